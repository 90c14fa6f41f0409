"""Files that a kill cannot leave half-written, locks, and the folders the environment names."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from discl.core.errors import DiskError, UserError


def home() -> Path:
    """Banks, runs and trackers' files: $DISCL_HOME, else ~/.cache/discl."""
    return Path(os.environ.get("DISCL_HOME") or Path.home() / ".cache" / "discl").expanduser()


def data_home() -> Path:
    """Materialised datasets: $DISCL_DATA, else $DISCL_HOME/data."""
    return Path(os.environ.get("DISCL_DATA") or home() / "data").expanduser()


_ELSEWHERE = "point DISCL_HOME and DISCL_DATA elsewhere"
_WRITABLE = "permission denied; point DISCL_HOME and DISCL_DATA at a folder you may write"
_IN_THE_WAY = f"a file stands where a folder is needed; {_ELSEWHERE}"
_WAYS_OUT = {
    errno.ENOSPC: f"the disk is full; free some space or {_ELSEWHERE}",
    errno.EDQUOT: f"the disk quota is used up; {_ELSEWHERE}",
    errno.EROFS: "the disk is read-only; point DISCL_HOME and DISCL_DATA at a writable folder",
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
}


@contextmanager
def clear_disk_errors(doing: str, where: Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into a sentence.

    Raises DiskError for these, and lets any other OSError through.
    """
    try:
        yield
    except OSError as error:
        way_out = _WAYS_OUT.get(error.errno or 0)
        if way_out is None:
            raise
        raise DiskError(f"{doing} failed at {where}: {way_out}") from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, renamed over `path` when the block ends well.

    It is removed when the block does not.
    """
    with clear_disk_errors("writing", path), _renamed(path) as tmp:
        yield tmp


@contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """`atomic_write` for a file the user named: errors are sentences about that file."""
    with _errors_name(path), _renamed(path) as tmp:
        yield tmp


def check_output(path: Path) -> None:
    """Raise now what `atomic_output` would raise after long work.

    Raises UserError where `path` is a folder, or lies in one that cannot be written.
    """
    if path.is_dir():
        raise UserError(f"{str(path)!r} is a folder; name a file")
    trial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.trial")
    with _errors_name(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{str(path)!r} cannot be written ({error.strerror or error}); name a file in a folder"
            " you may write"
        ) from error


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = _beside(path)
    try:
        yield tmp
        _flush(tmp)
        os.replace(tmp, path)
    finally:
        tmp.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to fill, which becomes `path` when the block ends well.

    It is removed when the block does not. Raises UserError unless `path` is new or empty.
    """
    if path.is_dir() and any(path.iterdir()):
        raise UserError(f"{path} is there and not empty; give a new folder, or move that one away")
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; give a new folder")
    with clear_disk_errors("writing", path):
        tmp = _beside(path.absolute())
        tmp.mkdir(parents=True)
        try:
            yield tmp
            for written in tmp.rglob("*"):
                if written.is_file():
                    _flush(written)
            os.replace(tmp, path)
        finally:
            shutil.rmtree(tmp, ignore_errors=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def _flush(path: Path) -> None:
    """Wait until the bytes of a file are on the disk."""
    with path.open("rb") as opened:
        os.fsync(opened.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, or nothing."""
    with atomic_write(path) as tmp:
        tmp.write_text(text, "utf-8")


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Only one process of this machine is inside for `folder`; the others wait.

    The lock of a process that died is free.
    """
    with clear_disk_errors("locking", folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def resource(location: str) -> Path:
    """A local path; `pkg://package/path` lies inside an installed package.

    Raises UserError where no such package is installed, or the path leaves it.
    """
    if not location.startswith("pkg://"):
        return Path(location).expanduser()
    from importlib.resources import files

    package, _, inside = location.removeprefix("pkg://").partition("/")
    if ".." in Path(inside).parts:
        raise UserError(f"{location!r} leaves its package; name a path inside it")
    try:
        root = Path(str(files(package)))
    except ModuleNotFoundError as error:
        raise UserError(f"{location!r}: no package called {package!r} is installed") from error
    return root / inside
