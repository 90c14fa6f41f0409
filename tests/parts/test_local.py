import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.core.errors import UserError
from discl.core.interfaces import NOT_READY
from discl.parts.executors import local
from discl.parts.executors.base import work_queue
from discl.parts.executors.base.worker import Worker, read_answer
from discl.parts.executors.local import LocalProcesses
from discl.testing import alive, gone, squares


def surroundings() -> Callable[[int], tuple[str | None, ...]]:
    return lambda item: tuple(
        os.environ.get(name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    )


def test_workers_get_a_gpu_and_threads_each_and_the_caller_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5,-1,7")
    monkeypatch.delenv("OMP_NUM_THREADS")
    answers = {
        answer for _, answer in LocalProcesses(workers=2, threads=3).run(surroundings, iter([0, 1]))
    }
    assert answers == {("3", "3"), ("3", "5")}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3, 5,-1,7"
    assert "OMP_NUM_THREADS" not in os.environ


def test_one_gpu_is_left_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert all(
        "CUDA_VISIBLE_DEVICES" not in each for each in LocalProcesses(workers=2).environments()
    )


def interrupts() -> Callable[[int], None]:
    return lambda item: signal.raise_signal(signal.SIGINT)


def test_work_in_this_process_is_interrupted_and_gives_back_what_it_took() -> None:
    import torch

    before, handler = (
        torch.get_num_threads(),
        signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        with pytest.raises(KeyboardInterrupt):
            list(LocalProcesses(threads=before + 1).run(interrupts, iter([0])))
    finally:
        signal.signal(signal.SIGINT, handler)
    assert torch.get_num_threads() == before


def test_threads_in_this_process_are_given_back() -> None:
    import torch

    def threads() -> Callable[[int], int]:
        return lambda item: torch.get_num_threads()

    before = torch.get_num_threads()
    assert list(LocalProcesses(threads=before + 1).run(threads, iter([0]))) == [(0, before + 1)]
    assert torch.get_num_threads() == before


class _Staged:
    """A function of two stages; `first` and `second` do what a test wants of them."""

    def __init__(self, first: Callable[[int], None], second: Callable[[int], None]) -> None:
        self.first, self.second = first, second
        self.begun, self.ended = list[int](), list[int]()

    def begin(self, item: int) -> Callable[[], int]:
        self.begun.append(item)
        self.first(item)
        return partial(self._finish, item)

    def _finish(self, item: int) -> int:
        self.second(item)
        self.ended.append(item)
        return -item


def _nothing(item: int) -> None: ...


def test_a_second_stage_runs_beside_the_first_of_the_next_item() -> None:
    both = threading.Barrier(2, timeout=10)  # each stage waits for the other

    def first(item: int) -> None:
        if item > 0:
            both.wait()

    def second(item: int) -> None:
        if item < 3:
            both.wait()

    work = _Staged(first, second)
    answers = list(LocalProcesses().run(lambda: work, iter(range(4))))  # type: ignore[arg-type, return-value]
    assert answers == [(0, 0), (1, -1), (2, -2), (3, -3)]


def test_a_second_stage_that_fails_ends_the_run_with_its_own_error() -> None:
    def second(item: int) -> None:
        if item == 1:
            raise UserError("the disk is full")

    work = _Staged(_nothing, second)
    with pytest.raises(UserError, match="^the disk is full$"):
        list(LocalProcesses().run(lambda: work, iter(range(9))))  # type: ignore[arg-type, return-value]
    assert work.begun == [0, 1, 2]


def test_a_stop_lets_the_second_stage_end() -> None:
    stopped = threading.Event()

    def first(item: int) -> None:
        if item == 2:
            stopped.set()
            raise KeyboardInterrupt

    def second(item: int) -> None:
        if item == 1:
            assert stopped.wait(10)

    work = _Staged(first, second)
    with pytest.raises(KeyboardInterrupt):
        list(LocalProcesses().run(lambda: work, iter(range(9))))  # type: ignore[arg-type, return-value]
    assert work.ended == [0, 1]


def test_items_that_depend_on_an_answer_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LOOK_SECONDS", 0.0)
    known = list[int]()

    def items() -> Iterator[Any]:
        yield 1
        while not known:
            yield NOT_READY
        yield 2

    work = _Staged(_nothing, _nothing)
    for _, answer in LocalProcesses().run(lambda: work, items()):  # type: ignore[arg-type, return-value]
        known.append(answer)
    assert known == [-1, -2]


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"workers": -1}, {"threads": -1}])
def test_counts_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match="executor 'local'"):
        LocalProcesses(**wrong)


def hoards(folder: Path, tries: int) -> Callable[[tuple[int, bool]], int]:
    """Holds so many bytes; dies of it where told to, the last time not before it can have been
    seen.
    """

    def work(item: tuple[int, bool]) -> int:
        size, fatal = item
        held = np.ones(size, np.uint8)
        if fatal:
            (folder / f"held-{uuid.uuid4()}").touch()
            time.sleep(1.0 if len(list(folder.glob("held-*"))) == tries else 0)
            os.kill(os.getpid(), signal.SIGKILL)
        return len(held)

    return work


LINUX = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux tells what another process holds"
)


@LINUX
def test_an_item_that_needs_too_much_memory_is_lost_with_what_it_held_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LOOK_SECONDS", 0.05)
    answers = dict(
        LocalProcesses(workers=2).run(
            partial(hoards, tmp_path, 3),
            iter([(1, False), (300_000_000, True), (2, False), (3, False)]),
        )
    )
    lost = answers.pop((300_000_000, True))
    assert answers == {(1, False): 1, (2, False): 2, (3, False): 3}
    assert (lost.how, lost.workers) == ("SIGKILL", 3)
    assert 300_000_000 < lost.peak_bytes < 600_000_000
    assert "(the last: SIGKILL with 0." in lost.about(1)


@LINUX
def test_what_an_item_held_is_not_what_the_one_before_it_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(work_queue, "TRIES", 1)
    items = [
        (200_000_000, False),
        (200_000_001, False),
        (1, True),
    ]  # each worker gets a large one first
    answers = dict(LocalProcesses(workers=2).run(partial(hoards, tmp_path, 1), iter(items)))
    assert 0 < answers[1, True].peak_bytes < 200_000_000


def test_large_items_and_answers_pass(tmp_path: Path) -> None:
    items = [bytes([i]) * 3_000_000 for i in range(3)]
    assert sorted(LocalProcesses(workers=2).run(echo, iter(items))) == [
        (item, item) for item in items
    ]


def echo() -> Callable[[Any], Any]:
    return lambda item: item


SCRIPT = """
import os, sys, time
from discl.parts.executors.local import LocalProcesses

def sleeper():
    open(os.path.join(sys.argv[1], f"prepared-{os.getpid()}"), "w").close()
    return time.sleep

if __name__ == "__main__":
    list(LocalProcesses(workers=2).run(sleeper, iter([600.0, 600.0])))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_a_caller_that_is_stopped(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    caller = subprocess.Popen(
        [sys.executable, tmp_path / "script.py", tmp_path],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a background shell job ignores it, and hands that down
    )
    while (
        len(workers := [int(path.name.split("-")[1]) for path in tmp_path.glob("prepared-*")]) < 2
    ):
        assert caller.poll() is None
        time.sleep(0.05)
    if how is signal.SIGINT:
        os.killpg(caller.pid, how)  # as a terminal does: the workers get it too
    else:
        caller.send_signal(how)
    _, told = caller.communicate(timeout=60)
    assert gone(set(workers))
    assert told.count("Traceback") == (
        how is signal.SIGINT
    )  # the caller's own, and none of a worker's
    assert not alive(caller.pid)


class PeculiarError(Exception):
    """Can be pickled, but not read again."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def fails(kind: type[BaseException], *arguments: str) -> Callable[[Any], Any]:
    def work(item: Any) -> Any:
        raise kind(*arguments)

    return work


@pytest.mark.parametrize(
    ("given", "raised", "text"),
    [
        ((ZeroDivisionError, "by nothing"), ZeroDivisionError, "by nothing"),
        ((PeculiarError, "one", "other"), RuntimeError, "PeculiarError: one and other"),
        ((SystemExit, "enough"), SystemExit, "enough"),
    ],
)
def test_an_exception_travels_with_its_traceback_or_is_retold(
    given: tuple[Any, ...], raised: type[BaseException], text: str
) -> None:
    worker = Worker(pickle.dumps(partial(fails, *given)))
    with pytest.raises(raised) as caught:
        read_answer(worker.answer(pickle.dumps(0)))
    assert str(caught.value) == text
    assert "in work" in caught.value.__notes__[0]


def test_an_answer_that_cannot_travel_is_an_exception() -> None:
    with pytest.raises((AttributeError, pickle.PicklingError)):
        read_answer(Worker(pickle.dumps(unpicklable)).answer(pickle.dumps(0)))


def unpicklable() -> Callable[[Any], Any]:
    return lambda item: lambda: item


def test_a_prepare_that_fails_is_an_exception_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(LocalProcesses(workers=2).run(partial(squares, tmp_path / "missing"), iter([1])))
