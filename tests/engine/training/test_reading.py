"""Reading processes: how many, that they go on from plan to plan, and what happens to them."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from discl.core.errors import UserError
from discl.core.interfaces import Photos
from discl.engine.training import reading
from discl.engine.training.distributed import Share
from discl.engine.training.reading import Reader, reading_processes
from discl.engine.training.sampler import Plan
from tests.engine.training.test_loop import CONFIG, TRAIN, TRAINING_DATA

CUT = replace(
    CONFIG, batch=4, transform={"scale": [1.0, 1.0], "ratio": [1.0, 1.0], "color_jitter": 0.0}
)
CUDA = torch.device("cuda", 0)


def _who(row: int) -> Photos:
    """A picture of the process that reads it, and of the row."""
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[..., :] = os.getpid() // 256 % 256, os.getpid() % 256, row
    return picture


def _pid(row: int) -> Photos:
    return _who(row) if row < 20 else _dies()


def _dies() -> Photos:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _raises(row: int) -> Photos:
    raise (UserError("photo 7 is damaged; delete it") if row == 12 else RuntimeError("odd shapes"))


def _reader(processes: int) -> Reader:
    return Reader(replace(TRAINING_DATA, train=replace(TRAIN, whole=_pid)), CUT, processes)


def _plan(first: int, images: int = 12) -> Plan:
    rows = np.arange(first, first + images)
    return Plan(*(rows if name == "row" else rows * 0 + 100 for name in Plan._fields))


def _read(reader: Reader, plan: Plan) -> Iterator[Any]:
    for images, _ in reader.read(plan, 0, (0,), Share(0, 1)):
        yield images[:, 0, 0].tolist()


def test_processes_are_started_once_and_end_with_the_reader() -> None:
    reader = _reader(1)
    first, second = (list(_read(reader, _plan(first))) for first in (0, 4))
    assert [row for batch in second for *_, row in batch] == list(range(4, 16))
    assert {tuple(pid) for batch in first + second for *pid, _ in batch} == {tuple(first[0][0][:2])}
    assert len(multiprocessing.active_children()) == 1
    reader.close()
    assert not multiprocessing.active_children()


def test_a_plan_that_is_given_up_leaves_nothing_for_the_next() -> None:
    reader = _reader(1)
    next(_read(reader, _plan(0)))
    rows = [row for batch in _read(reader, _plan(6)) for *_, row in batch]
    assert rows == list(range(6, 18))
    reader.close()


def test_a_process_that_dies_is_told_with_the_way_out() -> None:
    reader = _reader(1)
    with pytest.raises(UserError, match=r"a process that reads photos died.*train.workers to few"):
        list(_read(reader, _plan(12)))
    reader.close()


def test_what_a_reading_process_raises_is_not_told_as_its_death() -> None:
    for first, kind, sentence in (
        (12, UserError, r"^photo 7 is damaged; delete it$"),
        (13, RuntimeError, "odd shapes"),
    ):
        reader = Reader(replace(TRAINING_DATA, train=replace(TRAIN, whole=_raises)), CUT, 1)
        with pytest.raises(kind, match=sentence):
            list(_read(reader, _plan(first)))
        reader.close()


def test_a_worker_of_a_sweep_may_start_reading_processes() -> None:
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()

    def work() -> None:
        reader = _reader(1)
        theirs.send([row for batch in _read(reader, _plan(0)) for *_, row in batch])
        theirs.send(multiprocessing.current_process().daemon)
        reader.close()

    worker = fork.Process(target=work, daemon=True)
    worker.start()
    theirs.close()
    assert ours.poll(30)
    assert ours.recv() == list(range(12))
    assert ours.recv() is True
    worker.join(30)


@pytest.mark.parametrize(("ranks", "processes"), [("1", 15), ("2", 7), ("16", 1), ("64", 1)])
def test_the_cores_of_each_gpu_read_but_one(
    ranks: str, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "cores", lambda: 16)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
    assert reading_processes("auto", CUDA) == processes
    assert reading_processes("auto", torch.device("cpu")) == 0
    assert reading_processes(3, CUDA) == 3
