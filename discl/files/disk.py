"""Files that a kill cannot leave half-written, locks, and the folders the environment names."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from discl.core.errors import UserError
from discl.core.plain_files import open_file
from discl.files.disks.errors import clear_disk_errors as clear_disk_errors
from discl.files.disks.errors import errors_name
from discl.files.disks.leftovers import UNFINISHED, beside, collect, held_file, held_folder, is_held


def home() -> Path:
    """Banks, runs and trackers' files: $DISCL_HOME, else ~/.cache/discl."""
    return _expanded(os.environ.get("DISCL_HOME") or "~/.cache/discl")


def data_home() -> Path:
    """Materialised datasets: $DISCL_DATA, else $DISCL_HOME/data."""
    given = os.environ.get("DISCL_DATA")
    return _expanded(given) if given else home() / "data"


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(
            f"{path!r} leads to no folder: there is no such user, or HOME is not set; point"
            " DISCL_HOME and DISCL_DATA at folders"
        ) from error


_ASIDE = ".old"  # of a folder whose successor takes its place
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)
_FEW = 256  # files that are flushed one by one; of more the whole disk is


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, renamed over `path` when the block ends well.

    It is removed when the block does not; what died writers left in the folder, too. Raises
    DiskError where the disk is full or cannot be written.
    """
    with clear_disk_errors("writing", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        collect(path.parent)
        with _renamed(path) as tmp:
            yield tmp


@contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """`atomic_write` for a file the user named: errors are sentences about that file."""
    with errors_name(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        collect(path.parent, path.name)  # in a folder of the user's nothing else is touched
        with _renamed(path) as tmp:
            yield tmp


def check_output(path: Path) -> None:
    """Raise now what `atomic_output` would raise after long work.

    Raises UserError where `path` is a folder, or lies in one that cannot be written.
    """
    if path.is_dir():
        raise UserError(f"{str(path)!r} is a folder; name a file")
    trial = beside(path).with_suffix(".trial")
    with errors_name(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    tmp = beside(path)
    with held_file(tmp):
        try:
            yield tmp
            flush(tmp)
            os.replace(tmp, path)
            flush(path.parent)
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
    with _folder_beside(path, _take_free_place) as tmp:
        yield tmp


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to fill, which takes the place of `path` when the block ends well.

    Readers, a kill and a full disk find the old folder or the new one, and never a mixture. Where
    the disk can exchange two folders in one step there is no moment without either; elsewhere that
    moment is as long as a rename, and `recovered` ends it. Raises DiskError where the disk is full
    or cannot be written.
    """
    with _folder_beside(path, _take_place) as tmp:
        yield tmp


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to work in, on the same disk, which is removed when the block ends.

    Those of processes that died go, too.
    """
    tmp = beside(path)
    with clear_disk_errors("writing", path):
        recovered(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with held_folder(tmp):
            try:
                yield tmp
            finally:
                shutil.rmtree(tmp, ignore_errors=True)


@contextmanager
def _folder_beside(path: Path, take_place: Callable[[Path, Path], None]) -> Iterator[Path]:
    path = path.resolve()
    with clear_disk_errors("writing", path):
        recovered(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp = beside(path)
        with held_folder(tmp):
            try:
                yield tmp
                flush_all(tmp)
                take_place(tmp, path)
                flush(path.parent)
            finally:
                shutil.rmtree(tmp, ignore_errors=True)  # the old one, or an unfinished new one


def _take_free_place(new: Path, path: Path) -> None:
    """Rename `new` to `path`, which is missing or an empty folder."""
    try:
        os.rename(new, path)
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise
        raise UserError(
            f"{path} was filled by another process meanwhile; give a new folder"
        ) from error


def _take_place(new: Path, path: Path) -> None:
    """Put `new` where `path` is; afterwards `new` is the old folder, or gone."""
    try:
        os.rename(new, path)
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise
    else:
        return
    if not exchange(new, path):
        aside = new.with_suffix(_ASIDE)
        os.rename(path, aside)
        os.rename(new, path)
        shutil.rmtree(aside, ignore_errors=True)


def recovered(path: Path) -> Path:
    """`path`, after what a process left that died while it replaced that folder is put right.

    A folder that was set aside and has no successor yet comes back; a superseded or unfinished one
    of a dead process is removed. Nothing is touched that a living process is at work on.
    """
    if not path.parent.is_dir():
        return path
    for aside in sorted(path.parent.glob(f".{glob.escape(path.name)}.????????{_ASIDE}")):
        if not is_held(aside.with_suffix(UNFINISHED)):
            if path.exists():
                shutil.rmtree(aside, ignore_errors=True)
            else:
                with suppress(OSError):  # another process did it, or only reads are allowed here
                    os.rename(aside, path)
    for left in sorted(path.parent.glob(f".{glob.escape(path.name)}.????????{UNFINISHED}")):
        if left.is_dir() and not is_held(left):
            shutil.rmtree(left, ignore_errors=True)
    return path


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False, and nothing done, where that is impossible.

    It needs Linux and a disk that can (`renameat2` with RENAME_EXCHANGE). Raises OSError where
    one of them is missing, or may not be changed.
    """
    import ctypes

    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is None:
        return False
    here, in_one_step = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if swap(here, os.fsencode(one), here, os.fsencode(other), in_one_step) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


def flush(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, are on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # a disk that syncs no folders
            raise
    finally:
        os.close(number)


def flush_all(folder: Path) -> None:
    """Wait until a folder with everything in it is on the disk."""
    inside = [path for path in folder.rglob("*") if not path.is_symlink()]
    if len(inside) > _FEW:
        os.sync()
        return
    for path in (*inside, folder):
        flush(path)


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
        lock = open_file(folder / ".lock", "w")
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
