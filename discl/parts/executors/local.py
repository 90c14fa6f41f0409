"""This machine: in this process, or in several with one GPU each."""

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
from discl.parts.executors.base.two_stages import StageThread
from discl.parts.executors.base.work_queue import WorkItem, WorkQueue
from discl.parts.executors.base.worker import Worker, read_answer

EXIT_SECONDS = 5.0  # how long an idle worker may take to exit; then it is killed
# between checks of the memory of busy workers, which is unknown once they are dead
LOOK_SECONDS = 1.0


class LocalProcesses:
    """`workers` processes with `threads` torch threads each; 0 threads: the cores shared out.

    Items are pulled in the caller's thread, each as a worker comes free; while the iterator makes
    us wait, no answer is handed out, so it must not wait for one.
    """

    version = 1
    not_hashed = ("workers", "threads")

    def __init__(self, workers: int = 1, threads: int = 0) -> None:
        """Settings:

        `workers`: processes side by side.
        `threads`: torch threads of each; 0 shares the cores out.
        """
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

    @property
    def is_here(self) -> bool:
        """Whether the work is done in this process."""
        return self.workers == 1

    @property
    def begins_two(self) -> bool:
        """Whether an item is begun while another one's second stage is at work."""
        return self.is_here

    @property
    def side_by_side(self) -> int:
        """Workers that share one device, and its memory."""
        return -(-self.workers // max(1, len(_gpus())))

    def run(
        self, prepare: Callable[[], Callable[[Any], Any]], items: Iterator[Any]
    ) -> Iterator[tuple[Any, Any]]:
        """(item, answer) pairs as they come; in this process where there is one worker."""
        if self.is_here:
            yield from self._here(prepare, items)
            return
        pool = _ProcessPool(pickle.dumps(prepare), self.environments())
        try:
            yield from pool.run(items)
            pool.shut_down(EXIT_SECONDS)
        finally:
            pool.shut_down(0.0)

    def _here(
        self, prepare: Callable[[], Callable[[Any], Any]], items: Iterator[Any]
    ) -> Iterator[tuple[Any, Any]]:
        function = begin = None
        with _torch_threads(self.threads), StageThread() as second:
            for item in items:
                if item is NOT_READY:
                    if not second.is_busy:
                        time.sleep(LOOK_SECONDS)
                    yield from second.take()  # what is not known yet may depend on it
                    continue
                if function is None:
                    function = prepare()
                    begin = getattr(function, "begin", None)
                if begin is None:
                    yield item, function(item)
                    continue
                finish = begin(item)
                before = second.take()
                second.put(item, finish)
                yield from before
            yield from second.take()

    def environments(self) -> list[dict[str, str]]:
        """The variables of each worker that differ from ours: its threads, and its GPU."""
        threads = {"OMP_NUM_THREADS": str(self.threads or max(1, cores() // self.workers))}
        gpus = _gpus()
        if len(gpus) < 2:
            return [threads] * self.workers
        return [
            threads | {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]}
            for number in range(self.workers)
        ]


class _WorkerProcess:
    """A worker in a process of its own, and the item it is at."""

    def __init__(self, prepare: bytes, environment: Mapping[str, str]) -> None:
        # a fork would inherit our threads' locks and our CUDA context
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self.work: WorkItem | None = None
        self.peak_bytes: int | None = None  # at this item, as far as seen
        self._process = spawn.Process(target=_serve, args=(theirs, prepare), daemon=True)
        with _inherited(environment):
            self._process.start()
        theirs.close()

    def give(self, work: WorkItem) -> None:
        """Send it an item."""
        self.work = work
        self.peak_bytes = None
        with contextlib.suppress(OSError):  # no /proc here
            # forget the peak of the item before
            Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")
        with contextlib.suppress(OSError):  # it died meanwhile, which the next wait notices
            self.pipe.send_bytes(work.body)

    def reply(self) -> bytes | None:
        """The reply to the item; None = the process died."""
        try:
            return self.pipe.recv_bytes()
        except (EOFError, OSError):
            return None

    def look(self) -> None:
        """Note the most memory it has held since it got its item."""
        with contextlib.suppress(OSError):  # no /proc here, or it is gone
            status = Path(f"/proc/{self._process.pid}/status").read_text()
            peak = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
            if peak:  # a dead process that nobody has waited for holds none
                self.peak_bytes = 1024 * int(peak[1])

    def stop(self, wait_seconds: float) -> str:
        """Wait until it exits, kill it after `wait_seconds`; says how it ended.

        Its pipe must be closed on either side.
        """
        self._process.join(wait_seconds)
        self._process.kill()
        self._process.join()
        code = self._process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class _ProcessPool:
    """The worker processes of one run, by number.

    One is started when there is work and none is idle. Not a pool of concurrent.futures, loky or
    pebble: with the first two a worker that dies takes the items of all others with it; a worker of
    pebble gets no environment of its own before it imports anything, and nobody knows which one
    holds which item, so that its memory cannot be watched.
    """

    def __init__(self, prepare: bytes, environments: list[dict[str, str]]) -> None:
        self._prepare = prepare
        self._environments = environments
        self._workers: dict[int, _WorkerProcess] = {}

    def run(self, items: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        queue = WorkQueue(items)
        self._hand_out(queue)
        while True:
            busy = {worker.pipe: number for number, worker in self._workers.items() if worker.work}
            if not busy and not queue.open:
                return
            ready = wait([*busy], LOOK_SECONDS)
            for number in busy.values():
                self._workers[number].look()
            answers = [
                pair
                for pipe, number in busy.items()
                if pipe in ready
                for pair in self._collect(number, queue)
            ]
            # before the answers go out: the workers are busy while the caller is
            self._hand_out(queue)
            yield from answers
            # and after: the next items may depend on the answers
            self._hand_out(queue)

    def _collect(self, number: int, queue: WorkQueue) -> Iterator[tuple[Any, Any]]:
        worker = self._workers[number]
        work = worker.work
        worker.work = None
        assert work is not None  # noqa: S101 - only busy workers are asked
        reply = worker.reply()
        if reply is not None:
            yield work.item, read_answer(reply)
        elif lost := self._remove_dead(number, work):
            yield work.item, lost
        else:
            queue.put_back(work)

    def _remove_dead(self, number: int, work: WorkItem) -> WorkersDied | None:
        worker = self._workers.pop(number)
        how = worker.stop(EXIT_SECONDS)
        worker.pipe.close()
        return work.worker_died(how, worker.peak_bytes)

    def _hand_out(self, queue: WorkQueue) -> None:
        idle = [number for number, worker in self._workers.items() if worker.work is None]
        free = [number for number in range(len(self._environments)) if number not in self._workers]
        for number in idle + free:
            work = queue.draw()
            if work is None:
                return
            if number not in self._workers:
                self._workers[number] = _WorkerProcess(self._prepare, self._environments[number])
            self._workers[number].give(work)

    def shut_down(self, wait_seconds: float) -> None:
        """End all workers; those that do not exit in time are killed."""
        for worker in self._workers.values():
            worker.pipe.close()
        for worker in self._workers.values():
            worker.stop(wait_seconds)
        self._workers.clear()


def _serve(pipe: Connection, prepare: bytes) -> None:
    """In a worker: answer until the pipe is closed."""
    threading.Thread(target=die_with_parent, daemon=True).start()
    worker = Worker(prepare)
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send_bytes(worker.answer(pipe.recv_bytes()))


@contextlib.contextmanager
def _inherited(environment: Mapping[str, str]) -> Iterator[None]:
    """A process started inside has these variables before it imports anything.

    It never sees Ctrl-C: stopping it is our part.
    """
    # where it is started by the start of a process, it unblocks SIGINT again
    resource_tracker.ensure_running()
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


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
    """The GPUs we may use, as CUDA_VISIBLE_DEVICES names them.

    torch is asked only where it is loaded, since importing it takes seconds.
    """
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        names = [name.strip() for name in listed.split(",")]
        # CUDA itself stops at the first name that is none
        return list(itertools.takewhile(lambda name: name and name[0] != "-", names))
    torch = sys.modules.get("torch")
    count = torch.cuda.device_count() if torch else len(glob.glob("/dev/nvidia[0-9]*"))
    return [str(i) for i in range(count)]
