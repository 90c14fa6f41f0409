"""Worker processes: how many, and that none outlives the process that started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

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
