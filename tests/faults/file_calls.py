"""Kills a command, or fills the disk, at one of its calls that change files: any of them."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from discl.files import disk

MAKES = ("mkdir", "open", "fsync")  # what needs room on the disk, beside writes
REMOVES = ("rename", "replace", "unlink", "remove", "rmdir")
FOREVER = 10_000


class KilledError(BaseException):
    """The process is dead: nothing that it would still do changes a file."""


class FileCalls:
    """Counts calls that change files; from number `at` on the process is dead, or the disk full."""

    def __init__(self, at: int = FOREVER, full: bool = False) -> None:
        self.at = at
        self.full = full
        self.names: list[str] = []

    @property
    def struck(self) -> bool:
        return len(self.names) > self.at

    def call(self, name: str, needs_room: bool = True) -> None:
        if self.full and not needs_room:
            return
        self.names.append(name)
        if self.struck and self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.struck:
            raise KilledError(name)

    def counted(self, name: str, real: Callable[..., Any], needs_room: bool) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            self.call(name, needs_room)
            return real(*args, **named)

        return call

    def opened(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, mode: str = "r", *args: Any, **named: Any) -> Any:
            if not set(mode) & set("wax+") or isinstance(file, int):
                return real(file, mode, *args, **named)
            self.call("open")
            stream = real(file, mode, *args, **named)
            stream.write = self.counted("write", stream.write, True)
            return stream

        return call

    def opened_by_flags(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, flags: int, *args: Any, **named: Any) -> Any:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self.call("open")
            return real(path, flags, *args, **named)

        return call


@contextmanager
def watched(calls: FileCalls, one_step: bool = True) -> Iterator[FileCalls]:
    """Count in this block; without `one_step` two folders cannot be exchanged in one step."""
    real_open = io.open
    exchange = disk.exchange if one_step else lambda one, other: False
    with pytest.MonkeyPatch.context() as patched:
        for name in (*MAKES, *REMOVES):
            if name != "open":
                call = calls.counted(name, getattr(os, name), name in MAKES)
                patched.setattr(os, name, call)
        patched.setattr(os, "open", calls.opened_by_flags(os.open))
        patched.setattr(io, "open", calls.opened(real_open))
        patched.setattr(builtins, "open", calls.opened(real_open))
        patched.setattr(disk, "exchange", calls.counted("exchange", exchange, False))
        yield calls
