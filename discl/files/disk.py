"""Writing that a kill cannot tear, and the places the environment names."""

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


@contextmanager
def clear_disk_errors(doing: str, where: Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into a sentence."""
    try:
        yield
    except OSError as error:
        way_out = {
            errno.ENOSPC: (
                "the disk is full; free some space or point DISCL_HOME and DISCL_DATA elsewhere"
            ),
            errno.EDQUOT: "the disk quota is used up; point DISCL_HOME and DISCL_DATA elsewhere",
            errno.EROFS: (
                "the disk is read-only; point DISCL_HOME and DISCL_DATA at a writable folder"
            ),
            errno.EACCES: (
                "permission denied; point DISCL_HOME and DISCL_DATA at a folder you may write"
            ),
            errno.EPERM: (
                "permission denied; point DISCL_HOME and DISCL_DATA at a folder you may write"
            ),
            errno.ENOTDIR: (
                "a file stands where a folder is needed; point DISCL_HOME and DISCL_DATA elsewhere"
            ),
            errno.EEXIST: (
                "a file stands where a folder is needed; point DISCL_HOME and DISCL_DATA elsewhere"
            ),
        }.get(error.errno or 0)
        if way_out is None:
            raise
        raise DiskError(f"{doing} failed at {where}: {way_out}") from error


@contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; renamed over `path` when the block ends well, removed when
    it does not.
    """
    with clear_disk_errors("writing", path), _renamed(path) as half:
        yield half


@contextmanager
def delivering(path: Path) -> Iterator[Path]:
    """`publishing` for a file the user named: what goes wrong is said about that file."""
    with _said_of(path), _renamed(path) as half:
        yield half


def check_deliverable(path: Path) -> None:
    """Raise now what `delivering` would raise after long work."""
    if path.is_dir():
        raise UserError(f"{str(path)!r} is a folder; name a file")
    trial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.trial")
    with _said_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
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
    half = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.half")
    try:
        yield half
        with half.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Only one process of this machine is inside for `folder`; the others wait.

    A dead process holds nothing.
    """
    with clear_disk_errors("locking", folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def publishing_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to fill; becomes `path` when the block ends well, and goes when it
    does not. `path` must be new or empty.
    """
    if path.is_dir() and any(path.iterdir()):
        raise UserError(f"{path} is there and not empty; give a new folder, or move that one away")
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; give a new folder")
    with clear_disk_errors("writing", path):
        half = path.absolute().with_name(f".{path.absolute().name}.{uuid.uuid4().hex[:8]}.half")
        half.mkdir(parents=True)
        try:
            yield half
            for written in half.rglob("*"):
                if written.is_file():
                    with written.open("rb") as opened:
                        os.fsync(opened.fileno())
            os.replace(half, path)
        finally:
            shutil.rmtree(half, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, or nothing."""
    with publishing(path) as half:
        half.write_text(text, "utf-8")


def resource(place: str) -> Path:
    """A local path: `pkg://package/path` lies inside an installed package; anything else is taken
    as it is.
    """
    if not place.startswith("pkg://"):
        return Path(place).expanduser()
    from importlib.resources import files

    package, _, inside = place.removeprefix("pkg://").partition("/")
    if ".." in Path(inside).parts:
        raise UserError(f"{place!r} leaves its package; name a path inside it")
    try:
        root = Path(str(files(package)))
    except ModuleNotFoundError as error:
        raise UserError(f"{place!r}: no package called {package!r} is installed") from error
    return root / inside
