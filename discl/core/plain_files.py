"""Opening files by names that others chose: a regular file, or a sentence; a pipe holds nobody up.

A named pipe waits for its other end, a device may never end. What is no regular file is refused
before a byte of it is read, and nothing that takes its place in between can hold us up: it is
opened without waiting, and looked at when it is open.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from discl.core.errors import UserError

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class NoFileError(UserError, OSError):
    """A pipe, socket, device or folder stands where a file is expected.

    It is an OSError, so that what is said of files that cannot be read is said of it, and a
    sentence where nobody says more.
    """

    def __init__(self, path: Path | str, mode: int) -> None:
        self.kind = _KINDS.get(stat.S_IFMT(mode), "no file")
        super().__init__(errno.EINVAL, f"it is {self.kind} and no file", str(path))
        self._mode = mode

    def __reduce__(self) -> Any:
        return type(self), (self.filename, self._mode)

    def __str__(self) -> str:
        return f"{self.filename} is {self.kind} and no file; put a file there, or take it away"


def open_file(path: Path | str, mode: str = "r", **options: Any) -> Any:
    """As the built-in `open`, for whatever may stand at `path`; text is UTF-8 without `encoding`.

    Raises NoFileError for what is no regular file, and OSError as `open` does.
    """
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    return open(path, mode, opener=_without_waiting, **options)


def plain_bytes(path: Path | str) -> bytes:
    """The bytes of a file; raises as `open_file` does."""
    with open_file(path, "rb", buffering=0) as stream:
        data: bytes = stream.readall()
        return data


def plain_text(path: Path, encoding: str = "utf-8", errors: str = "strict") -> str:
    """The text of a file, lines ended by `\\n`; raises as `open_file`, or UnicodeDecodeError."""
    with open_file(path, encoding=encoding, errors=errors) as stream:
        text: str = stream.read()
        return text


def append_line(path: Path, line: str) -> None:
    """Append a line; one that a kill cut off before it is ended first, and spoils no other.

    Raises as `open_file` does.
    """
    with open_file(path, "a+b") as stream:
        cut_off = False
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            cut_off = stream.read(1) != b"\n"
        stream.write(b"\n" * cut_off + line.encode() + b"\n")


def plain(path: Path) -> Path:
    """`path`, for a library that opens it by its name.

    Raises NoFileError for what is there and no regular file, and OSError where it is missing.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise NoFileError(path, mode)
    return path


def check_folder(folder: Path) -> Path:
    """`folder`, for a library that opens files in it; raises NoFileError for a pipe among them."""
    for path in folder.rglob("*"):
        try:
            mode = path.stat().st_mode
        except OSError:  # a link to nothing, which the library tells
            continue
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise NoFileError(path, mode)
    return folder


def _without_waiting(path: str, flags: int) -> int:
    try:
        number = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, 0o666)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EISDIR):  # a socket, a pipe that nobody reads
            raise NoFileError(path, os.stat(path).st_mode) from error
        raise
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        raise NoFileError(path, mode)
    return number


def parsed_json(text: str | bytes) -> Any:
    """What JSON says; raises json.JSONDecodeError also where it is nested deeper than Python goes.

    And UnicodeDecodeError where bytes are no text: both are ValueErrors.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "", 0) from error
