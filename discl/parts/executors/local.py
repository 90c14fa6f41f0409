"""This machine: in this very process, or in several, one GPU each where there are several."""

from __future__ import annotations

import contextlib
import glob
import itertools
import multiprocessing
import os
import pickle
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.interfaces import NOT_READY, WorkersDied
from discl.files.processes import cores, die_with_parent
from discl.parts.executors._worker import Worker, WorkItem, WorkQueue, read

_FAREWELL_S = 5.0  # how long an idle worker may take to leave; then it is killed
_LOOK_S = (
    1.0  # between looks at the memory of busy workers, which nobody can ask once they are dead
)


class LocalProcesses:
    """`workers` processes with `threads` torch threads each; 0 threads: the cores shared out
    evenly.

    Items are pulled in the caller's thread, each as a worker comes free; while the iterator makes
    us wait, no answer is handed out, so it must not wait for one.
    """

    version = 1
    not_hashed = ("workers", "threads")

    def __init__(self, workers: int = 1, threads: int = 0) -> None:
        if workers < 1:
            raise UserError(
                f"executor 'local': workers = {workers}; it takes 1 (no other process) or more"
            )
        if threads < 0:
            raise UserError(
                f"executor 'local': threads = {threads}; it takes 1 or more, or 0 to share the"
                " cores out"
            )
        self.workers = workers
        self.threads = threads

    def run(
        self, prepare: Callable[[], Callable[[Any], Any]], items: Iterator[Any]
    ) -> Iterator[tuple[Any, Any]]:
        if self.workers == 1:
            yield from self._here(prepare, items)
            return
        crew = _Crew(pickle.dumps(prepare), self._surroundings())
        try:
            yield from crew.run(items)
            crew.leave(_FAREWELL_S)
        finally:
            crew.leave(0.0)

    def _here(
        self, prepare: Callable[[], Callable[[Any], Any]], items: Iterator[Any]
    ) -> Iterator[tuple[Any, Any]]:
        work = None
        with _torch_threads(self.threads):
            for item in items:
                if item is NOT_READY:
                    time.sleep(_LOOK_S)
                    continue
                work = prepare() if work is None else work
                yield item, work(item)

    def _surroundings(self) -> list[dict[str, str]]:
        """What sets each worker's environment apart from ours."""
        threads = {"OMP_NUM_THREADS": str(self.threads or max(1, cores() // self.workers))}
        gpus = _gpus()
        if len(gpus) < 2:
            return [threads] * self.workers
        return [
            threads | {"CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)]}
            for place in range(self.workers)
        ]


class _Process:
    """A worker in a process of its own, and the job it is at."""

    def __init__(self, prepare: bytes, surroundings: Mapping[str, str]) -> None:
        spawn = multiprocessing.get_context(
            "spawn"
        )  # a fork would inherit our threads' locks and our CUDA context
        self.pipe, theirs = spawn.Pipe()
        self.job: WorkItem | None = None
        self.peak_bytes: int | None = None  # at this job, as far as seen
        self._process = spawn.Process(target=_serve, args=(theirs, prepare), daemon=True)
        with _inherited(surroundings):
            self._process.start()
        theirs.close()

    def give(self, job: WorkItem) -> None:
        self.job = job
        self.peak_bytes = None
        with contextlib.suppress(OSError):  # no /proc here
            Path(f"/proc/{self._process.pid}/clear_refs").write_text(
                "5"
            )  # forget the peak of the job before
        with contextlib.suppress(
            OSError
        ):  # it died meanwhile: whoever waits for the answer will see
            self.pipe.send_bytes(job.body)

    def outcome(self) -> bytes | None:
        """What came back for the job; None = the process died."""
        try:
            return self.pipe.recv_bytes()
        except (EOFError, OSError):
            return None

    def look(self) -> None:
        """Note the most memory it has held since it got its job."""
        with contextlib.suppress(OSError):  # no /proc here, or it is gone
            held = re.search(
                r"^VmHWM:\s*(\d+) kB",
                Path(f"/proc/{self._process.pid}/status").read_text(),
                re.MULTILINE,
            )
            self.peak_bytes = (
                1024 * int(held[1]) if held else self.peak_bytes
            )  # one that is dead, not yet buried, holds none

    def end(self, patience_s: float) -> str:
        """See the process out, by force after `patience_s`; says how it went.

        Its pipe must be closed on either side.
        """
        self._process.join(patience_s)
        self._process.kill()
        self._process.join()
        code = self._process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class _Crew:
    """The processes of one run, each at its place.

    One is started when there is work and nobody idle.
    """

    def __init__(self, prepare: bytes, surroundings: list[dict[str, str]]) -> None:
        self._prepare = prepare
        self._surroundings = surroundings
        self._staff: dict[int, _Process] = {}  # by place

    def run(self, items: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        supply = WorkQueue(items)
        self._hand_out(supply)
        while (busy := self._busy()) or supply.open:
            came = wait([*busy], _LOOK_S)
            for place in busy.values():
                self._staff[place].look()
            answered = [
                pair
                for pipe, place in busy.items()
                if pipe in came
                for pair in self._collect(place, supply)
            ]
            self._hand_out(
                supply
            )  # before the answers go out: the crew works while the caller does
            yield from answered
            self._hand_out(supply)  # and after: what comes next may hang on them

    def _busy(self) -> dict[Connection, int]:
        return {worker.pipe: place for place, worker in self._staff.items() if worker.job}

    def _collect(self, place: int, supply: WorkQueue) -> Iterator[tuple[Any, Any]]:
        worker = self._staff[place]
        job = worker.job
        worker.job = None
        assert job is not None  # noqa: S101 - only busy workers are asked
        outcome = worker.outcome()
        if outcome is not None:
            yield job.item, read(outcome)
        elif lost := self._bury(place, job):
            yield job.item, lost
        else:
            supply.take_back(job)

    def _bury(self, place: int, job: WorkItem) -> WorkersDied | None:
        worker = self._staff.pop(place)
        how = worker.end(_FAREWELL_S)
        worker.pipe.close()
        return job.lost(how, worker.peak_bytes)

    def _hand_out(self, supply: WorkQueue) -> None:
        idle = [place for place, worker in self._staff.items() if worker.job is None]
        unstaffed = [place for place in range(len(self._surroundings)) if place not in self._staff]
        for place in idle + unstaffed:
            job = supply.draw()
            if job is None:
                return
            if place not in self._staff:
                self._staff[place] = _Process(self._prepare, self._surroundings[place])
            self._staff[place].give(job)

    def leave(self, patience_s: float) -> None:
        """Send everybody home."""
        for worker in self._staff.values():
            worker.pipe.close()
        for worker in self._staff.values():
            worker.end(patience_s)
        self._staff.clear()


def _serve(pipe: Connection, prepare: bytes) -> None:
    """A worker's life: answer until nobody asks."""
    threading.Thread(target=die_with_parent, daemon=True).start()
    worker = Worker(prepare)
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send_bytes(worker.answer(pipe.recv_bytes()))


@contextlib.contextmanager
def _inherited(surroundings: Mapping[str, str]) -> Iterator[None]:
    """A process started inside has these variables before it imports anything, and never sees
    Ctrl-C: stopping it is our part.
    """
    # where it is started by the start of a process, it unblocks SIGINT again
    resource_tracker.ensure_running()
    before = {name: os.environ.get(name) for name in surroundings}
    os.environ.update(surroundings)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    """Give torch this many threads here, for a while; 0 leaves it alone."""
    if not threads:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _gpus() -> list[str]:
    """The GPUs we may use, as CUDA_VISIBLE_DEVICES names them; torch is asked only where it is
    loaded, since that takes seconds.
    """
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return list(
            itertools.takewhile(
                lambda gpu: gpu and gpu[0] != "-", (gpu.strip() for gpu in listed.split(","))
            )
        )
    torch = sys.modules.get("torch")
    count = torch.cuda.device_count() if torch else len(glob.glob("/dev/nvidia[0-9]*"))
    return [str(i) for i in range(count)]
