"""Worker processes: how many, and that none outlives the process that started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

from discl.core.errors import UserError


def cores() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers() -> int:
    """Processes for work on files: $DISCL_WORKERS, else one for each core."""
    said = os.environ.get("DISCL_WORKERS", "")
    if said and not (said.isdecimal() and int(said)):
        raise UserError(f"DISCL_WORKERS = {said!r}: takes a whole number from 1")
    return int(said or cores())


def die_with_parent() -> None:
    """Wait for the parent's end, then end.

    A pipe tells only a worker that is listening; one deep in its work must not stay either.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def as_worker() -> None:
    """What a worker process does first: it ends with its parent, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=die_with_parent, daemon=True).start()
