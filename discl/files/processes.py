"""Worker processes: how many, and that none outlives the process that started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from discl.core.errors import UserError


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers() -> int:
    """Processes for work on files: $DISCL_WORKERS, else one for each core.

    Raises UserError where DISCL_WORKERS is no whole number from 1.
    """
    setting = os.environ.get("DISCL_WORKERS", "")
    if setting and not (setting.isdecimal() and int(setting)):
        raise UserError(f"DISCL_WORKERS = {setting!r}: takes a whole number from 1 up")
    return int(setting or cores())


def die_with_parent() -> None:
    """Wait for the parent's end, then end, even in the middle of an item."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def as_worker() -> None:
    """Start of a worker process: it ends with its parent, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=die_with_parent, daemon=True).start()


def in_processes(work: Callable[[Any], Any], items: Sequence[Any], processes: int) -> Iterator[Any]:
    """Results of `work` as they come, in any order; it and the items are pickled.

    Raises UserError where a process dies.
    """
    if min(processes, len(items)) <= 1:
        yield from map(work, items)
        return
    waiting = iter(items)
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit our threads' locks
    with ProcessPoolExecutor(min(processes, len(items)), spawn, as_worker) as pool:
        running: set[Future[Any]] = set()
        try:
            while True:
                free = range(2 * processes - len(running))
                for _, item in zip(free, waiting, strict=False):
                    running.add(pool.submit(work, item))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            raise UserError(
                "a process that worked on files died, most often for lack of memory; set"
                " DISCL_WORKERS to fewer; the same command goes on"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
