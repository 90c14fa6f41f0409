"""Errors of a disk that refuses, as sentences: it is full, a quota is used up, it is read-only."""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from discl.core.errors import DiskError, UserError

_ELSEWHERE = "point DISCL_HOME and DISCL_DATA elsewhere"
_WRITABLE = "permission denied; point DISCL_HOME and DISCL_DATA at a folder you may write"
_IN_THE_WAY = f"a file stands where a folder is needed; {_ELSEWHERE}"
_WAYS_OUT = {
    errno.ENOSPC: f"the disk is full; free some space or {_ELSEWHERE}",
    errno.EDQUOT: f"the disk quota is used up; free some of it or {_ELSEWHERE}",
    errno.EFBIG: f"a file would be larger than `ulimit -f` or the disk allows; raise it or"
    f" {_ELSEWHERE}",
    errno.EROFS: "the disk is read-only; point DISCL_HOME and DISCL_DATA at a writable folder",
    errno.EIO: f"the disk does not read or write it; if it is not broken, it may be a network disk;"
    f" {_ELSEWHERE}",
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
}
_OF_A_FILE = {  # for a file that the user named
    errno.ENOSPC: "the disk is full; free some space or name a file on another disk",
    errno.EDQUOT: "the disk quota is used up; free some of it or name a file on another disk",
    errno.EFBIG: "it would be larger than `ulimit -f` or the disk allows; raise it or name a file"
    " on another disk",
    errno.EROFS: "the disk is read-only; name a file on another disk",
}
# libraries that write on their own keep the error's text, or its number in the text
_TEXTS = {
    os.strerror(code).lower(): code
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
} | {"disk is full": errno.ENOSPC, "readonly database": errno.EROFS}
_NUMBER = re.compile(r"(?:os error|code:|errno) ?(\d+)")
_IN_PART = re.compile(r"\d+ requested and \d+ written")  # numpy, which keeps no number
_LITTLE_BYTES = 1 << 20


def refusal(error: BaseException, where: Path) -> int:
    """The errno with which a disk refused to write at `where`; 0 where `error` is of another kind.

    Errors of libraries are recognised by their text where they lost the number.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number is not None:
        return number if number in _WAYS_OUT else 0
    if isinstance(error, UserError):
        return 0
    text = str(error).lower()
    for part, code in _TEXTS.items():
        if part in text:
            return code
    if (told := _NUMBER.search(text)) and int(told[1]) in _TEXTS.values():
        return int(told[1])
    return _short_write(where) if _IN_PART.search(text) else 0


def _short_write(where: Path) -> int:
    """Why a disk took only a part of what was written."""
    existing = next((path for path in (where, *where.absolute().parents) if path.exists()), None)
    if existing is not None:
        free = os.statvfs(existing)
        if free.f_bavail * free.f_frsize < _LITTLE_BYTES:
            return errno.ENOSPC
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return errno.EDQUOT if limit == resource.RLIM_INFINITY else errno.EFBIG


@contextmanager
def clear_disk_errors(doing: str, where: Path) -> Iterator[None]:
    """Turn a full, limited, read-only or forbidden disk into a sentence.

    Raises DiskError for these, and lets any other error through.
    """
    try:
        yield
    except Exception as error:
        number = refusal(error, where)
        if not number:
            raise
        raise DiskError(f"{doing} failed at {where}: {_WAYS_OUT[number]}") from error


@contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """As `clear_disk_errors`, for a file that the user named; any OSError is a sentence.

    Raises UserError.
    """
    try:
        yield
    except Exception as error:
        number = refusal(error, path)
        if not number and not isinstance(error, OSError):
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        way_out = _OF_A_FILE.get(number, f"{reason}; name a file in a folder you may write")
        raise UserError(f"{str(path)!r} cannot be written: {way_out}") from error


def is_read_only(error: BaseException) -> bool:
    """Whether a DiskError says that the disk, or this user, may not write there."""
    return getattr(error.__cause__, "errno", None) in (errno.EROFS, errno.EACCES, errno.EPERM)


def sentence(error: Exception) -> str:
    """A disk's refusal that nobody has said more of; "" for an error of another kind."""
    where = getattr(error, "filename", None)
    number = refusal(error, Path(str(where or ".")))
    return (
        f"writing {where or 'a file'} failed: {_WAYS_OUT[number]}" if number in _OF_A_FILE else ""
    )
