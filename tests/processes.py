"""Processes of discl that begin at once: forked from one that has imported what they need.

An interpreter that starts, imports torch and timm and trains a tiny network for a second spends
most of its time on the imports. `multiprocessing`'s fork server imports once per test session, or
has it all from a worker of the whole suite, which it is a fork of; what a test begins, interrupts
and kills is still a process of its own, and so are the workers that it starts in turn.
"""

from __future__ import annotations

import contextlib
import faulthandler
import itertools
import logging
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver, util
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from discl.core import registry
from discl.testing import alive

PRELOADED = [
    "discl.cli.plan",
    "discl.cli.running",
    "discl.cli.sweep",
    "discl.engine.training.loop",
    "discl.harness.run.execute",
    "discl.harness.tuning.tuner",
    "open_clip",
    "optuna",
    "scipy.optimize",
    "scipy.stats",
    "timm",
    "torch._dynamo",
]


_execute = util.spawnv_passfds
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(PRELOADED)


def prepare() -> None:
    """Fork the server from this process, before a test has patched anything in it.

    Without this call an interpreter starts as the first test needs it, and imports what is missing.
    """
    util.spawnv_passfds = _spawn
    try:
        forkserver.ensure_running()
    finally:
        util.spawnv_passfds = _execute


class Started:
    """A process that was begun, with the methods of `subprocess.Popen` that tests need."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def begin(
    function: Callable[..., None],
    *arguments: Any,
    log: Path,
    errors: Path | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Started:
    """Call a module's function in a process of its own; what it prints goes to `log`, and what it
    prints to stderr to `errors`, where that is given.
    """
    variables = {**os.environ, **(environment or {})}
    process = SERVER.Process(
        target=_call, args=(function, arguments, (log, errors or log), folder, variables)
    )
    process.start()
    return Started(process)


def discl(words: Sequence[str]) -> None:
    """The command."""
    from discl.cli import main

    sys.argv = ["discl", *words]
    main()


def module(words: Sequence[str]) -> None:
    """`python -m`."""
    sys.argv = [*words]
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def _call(
    function: Callable[..., None],
    arguments: tuple[Any, ...],
    outputs: tuple[Path, Path],
    folder: Path | None,
    environment: Mapping[str, str],
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(":") if path]
    registry.look_again()  # a worker of the suite, which this may be a fork of, knows its own
    if folder:
        os.chdir(folder)
    util.spawnv_passfds = _spawn
    function(*arguments)


def _spawn(executable: bytes, words: Sequence[str], passed: Sequence[int]) -> int:
    """Start a process of `multiprocessing` as a fork of this one, in which all is imported.

    Else it is as one that was executed: no descriptor but those passed, the usual handlers of
    signals, nothing but the program that it is given.
    """
    program = words[words.index("-c") + 1]
    serves = "forkserver" in program
    if not serves and "spawn_main" not in program:  # the resource tracker, which imports little
        return _execute(executable, words, passed)
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        kept = sorted({0, 1, 2, *passed})
        for below, above in itertools.pairwise([*kept, os.sysconf("SC_OPEN_MAX")]):
            os.closerange(below + 1, above)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if serves:
            _leave_pytest()
        sys.argv = ["-c", *words[words.index("-c") + 2 :]]
        exec(program, {"__name__": "__main__"})  # noqa: S102 - what Python would have executed
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # as an interpreter shows it
        traceback.print_exc()
    finally:
        os._exit(code)


def _leave_pytest() -> None:
    """Undo what pytest has done to this process: streams, hooks, warnings that are errors."""
    # the descriptors that these two write to are closed, and may soon be those of other files
    faulthandler.disable()
    logging.getLogger().handlers.clear()
    sys.unraisablehook, threading.excepthook = sys.__unraisablehook__, threading.__excepthook__
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(descriptor, mode, buffering=buffering, closefd=False)
        for descriptor, mode, buffering in ((0, "r", -1), (1, "w", -1), (2, "w", 1))
    )
    warnings.resetwarnings()
    for category in (
        DeprecationWarning,
        PendingDeprecationWarning,
        ImportWarning,
        ResourceWarning,
    ):
        warnings.simplefilter("ignore", category)


# ---------------------------------------------------------------- those there are


def descendants(process: int) -> dict[int, str]:
    """Processes that it started, and those that they started; with their command lines."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it is gone
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(fields[1])
    below: dict[int, str] = {}
    newest = {process}
    while newest:
        newest = {
            child for child, parent in parents.items() if parent in newest and child not in below
        }
        below |= {child: _command(child) for child in newest}
    return below


def _command(process: int) -> str:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return ""
    return words.replace(b"\0", b" ").decode(errors="replace")


def workers_of(process: int) -> list[int]:
    """Its worker processes, whichever executor started them."""
    own = _command(process)  # a fork has that of the process it was forked from
    marks = ("multiprocessing.spawn", "ray::Worker")
    return [
        child
        for child, command in descendants(process).items()
        if alive(child) and (command == own or any(mark in command for mark in marks))
    ]


def kill(process: int) -> None:
    """As the kernel does when memory runs out."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
