"""Unfinished files and folders: their names, their writers' locks, and removal where those died."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

UNFINISHED = ".tmp"  # of a file or folder that is being written beside the one it will be
_NAME = re.compile(r"\.(.+)\.[0-9a-f]{8}\.(?:tmp|trial)")
_OF_0_1 = re.compile(r"\.(.+)\.half")  # nothing said whose it was
_NEW_S = 5.0  # an empty one so young may be about to be locked
_DAY_S = 24 * 3600.0  # after so long the writer is gone, where nothing else can tell
_seen: set[str] = set()  # folders in which this process has looked


def beside(path: Path) -> Path:
    """A new name in the folder of `path`, for what will be `path`."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{UNFINISHED}")


@contextmanager
def held_file(path: Path) -> Iterator[None]:
    """Make an empty file and hold its lock, which says that a process is at work on it."""
    yield from _held(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666))


@contextmanager
def held_folder(path: Path) -> Iterator[None]:
    """Make a folder and hold its lock, which says that a process is at work on it."""
    path.mkdir()
    yield from _held(os.open(path, os.O_RDONLY))


def _held(number: int) -> Iterator[None]:
    try:
        with suppress(OSError):  # some network disks lock nothing
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def is_held(path: Path) -> bool:
    """Whether a process is at work on `path`, made as above, or it is too new to tell."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        state = os.fstat(number)
        age_s = time.time() - state.st_ctime
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # locks cannot tell
            return age_s < _DAY_S
        # between the making of a file or folder and its lock lies a moment
        is_empty = not (os.listdir(number) if path.is_dir() else state.st_size)
        return age_s < _NEW_S and is_empty
    finally:
        os.close(number)


def collect(folder: Path, name: str | None = None) -> None:
    """Remove from a folder what writers left unfinished that have died.

    A process looks into a folder once; with `name` each time, and only for that of this file.
    """
    if name is None:
        if (key := str(folder)) in _seen:
            return
        _seen.add(key)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _is_left(entry, name):
                _remove(Path(entry.path))


def collect_below(folder: Path, depth: int) -> None:
    """`collect`, and in the folders within, so many levels down; nothing outside is followed."""
    collect(folder)
    if depth:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    collect_below(Path(entry.path), depth - 1)


def _is_left(entry: os.DirEntry[str], name: str | None) -> bool:
    if not entry.name.startswith("."):
        return False
    if found := _NAME.fullmatch(entry.name):
        return name in (None, found[1]) and not is_held(Path(entry.path))
    is_old = name is None and _OF_0_1.fullmatch(entry.name) is not None
    return is_old and time.time() - entry.stat(follow_symlinks=False).st_mtime > _DAY_S


def _remove(path: Path) -> None:
    with suppress(OSError):  # another process may be at it, too
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
