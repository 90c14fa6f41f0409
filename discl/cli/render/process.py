"""What a command needs of the process it runs in: streams, a working folder, file handles."""

from __future__ import annotations

import atexit
import errno
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

from discl.core.errors import UserError, is_out_of_memory

LEAST_HANDLES = 64  # below that, libraries fail while they are imported
ENOUGH_HANDLES = 4096
_TOO_MANY = os.strerror(errno.EMFILE)


class OutputError(UserError):
    """Standard output takes nothing more, as on a full disk."""


class _Output:
    """Standard output, whose errors can be told from those of other files.

    Once its reader has read enough, as of `discl list | head`, what is left goes nowhere: the
    command ends as it would have ended, with its own exit code.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if not len(text):  # click tries what a stream takes, and minds no error
            return self._stream.write(text)
        with _told():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with _told():
            self._stream.flush()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        close_output()
    except OSError as error:
        close_output()
        raise OutputError(
            f"standard output cannot be written ({error.strerror or error}); point it somewhere"
            " else, or free some space there"
        ) from error


def open_streams() -> None:
    """Give closed standard streams somewhere to go, and let standard output name its errors.

    The first file that is opened would take the number of a closed standard output, and what a
    library prints would be written into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as we run
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is sys.__stdout__:  # else a test, or a program that calls us, has its own
        sys.stdout = cast(TextIO, _Output(cast(TextIO, sys.stdout)))


def check_process() -> None:
    """Raises UserError where the working folder is gone, or too few files may be open at once."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UserError(
            "the folder that this shell works in was removed; change to one that is there, such as"
            " with `cd ~`"
        ) from error
    except OSError as error:
        raise UserError(
            f"the folder that this shell works in cannot be read ({error.strerror}); change to"
            " another one"
        ) from error
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH_HANDLES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_HANDLES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft != resource.RLIM_INFINITY and soft < LEAST_HANDLES:
        raise UserError(_few_handles(soft))


def fault_of_process(error: BaseException) -> str:
    """The sentence for an error of the process: handles, memory, a home; "" for others."""
    for cause in _chain(error):
        if isinstance(cause, MemoryError):
            return (
                f"there is not enough memory ({str(cause) or 'for the next step'}); lower what is"
                " asked for, or take a machine with more"
            )
        if is_out_of_memory(cause) and not isinstance(error, UserError):
            return (
                f"memory ran out ({_first_line(cause)}); end what else uses the device, lower"
                " train.batch or generator.chunk, set train.precision or generator.dtype ="
                " 'bfloat16', or compute on the CPU with CUDA_VISIBLE_DEVICES="
            )
        if isinstance(cause, RuntimeError) and "home directory" in str(cause):
            return (
                "a path that begins with ~ leads to no folder: HOME is not set, or there is no such"
                " user; write the whole path"
            )
        if getattr(cause, "errno", 0) in (errno.EMFILE, errno.ENFILE) or _TOO_MANY in str(cause):
            return _few_handles(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        if path := _cut_off_module(cause):
            with suppress(OSError):
                Path(path).unlink()
            return (
                f"{path} is damaged, as a full disk leaves what Python compiles; it was removed,"
                " give the command again"
            )
    return ""


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _cut_off_module(error: BaseException) -> str:
    """The compiled module that Python could not read; "" where it was something else."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "_compile_bytecode" and "importlib" in frame.f_code.co_filename:
            return str(frame.f_locals.get("bytecode_path") or "")
    return ""


def shield_end() -> None:
    """The process ends, and a second Ctrl-C does not disturb it; a third kills, if threads hang.

    Only the main thread can say so; elsewhere nothing happens.
    """
    with suppress(ValueError):
        signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, signal.SIG_DFL))
        # once threads have ended; the interpreter itself would give our handler up at its end
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def close_output() -> None:
    """Let what is left for a standard output that takes nothing more go nowhere, without a word."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _few_handles(limit: int) -> str:
    return (
        f"only {limit} files may be open at once (`ulimit -n`), which is too few; raise it, such as"
        " with `ulimit -n 1024`"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it, which may be long or a circle."""
    for _ in range(20):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
