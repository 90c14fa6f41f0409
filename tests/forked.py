"""Workers of pytest-xdist that are forks of one process, which has imported what tests need.

Imports take most of what a worker does before its first test, ten seconds of a processor; so one
process does them for all. Its forks begin as workers otherwise do, which read from the process that
hands out the tests, and write to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SERVE = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.fork_server import serve; serve()"
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[Any]) -> None:
    """Where the whole suite is run by several workers of this machine, have them forked."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    plain = all(str(spec) == "execmodel=main_thread_only//popen" for spec in specs)
    if whole and plain and len(specs) > 1 and hasattr(os, "fork"):
        _fork(config, len(specs))


def _fork(config: pytest.Config, count: int) -> None:
    from execnet import gateway_io
    from execnet.gateway_base import Popen2IO

    pairs = [(os.pipe(), os.pipe()) for _ in range(count)]  # to a worker, and from it
    theirs = [end for to, back in pairs for end in (to[0], back[1])]
    server = subprocess.Popen(
        [sys.executable, "-u", "-c", SERVE, *map(str, theirs)],
        stdin=subprocess.DEVNULL,
        pass_fds=theirs,
    )
    for end in theirs:
        os.close(end)
    ours = [(to[1], back[0]) for to, back in pairs]

    class Pipes(Popen2IO):  # type: ignore[misc]
        """As a process of execnet's, but started by somebody else, who waits for it."""

        def wait(self) -> int:
            return 0

        def kill(self) -> None:
            server.terminate()

    original = gateway_io.create_io

    def create_io(spec: Any, execmodel: Any) -> Any:
        if not ours:  # a worker that takes the place of one that died
            return original(spec, execmodel)
        to, back = ours.pop(0)
        return Pipes(os.fdopen(to, "wb"), os.fdopen(back, "rb"), execmodel)

    patch = pytest.MonkeyPatch()
    patch.setattr(gateway_io, "create_io", create_io)

    def end() -> None:
        patch.undo()
        for descriptor in (one for pair in ours for one in pair):
            os.close(descriptor)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    config.add_cleanup(end)
