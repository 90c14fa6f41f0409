"""The one piece of JavaScript that draws: Vega, Vega-Lite and vega-embed, as vl-convert carries
them; nothing is fetched.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from discl.core.errors import UserError

_BUNDLE = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"


@contextmanager
def javascript() -> Iterator[Callable[[], str]]:
    """Begins to put the bundle together and gives what waits for it; whoever leaves earlier takes
    it down.

    It takes seconds and holds Python's lock all the while, so it happens in a process beside this
    one.
    """
    if importlib.util.find_spec("vl_convert") is None:
        raise UserError("the report needs vl-convert; pip install 'discl[report]'")
    with subprocess.Popen(
        [sys.executable, "-I", "-c", _BUNDLE], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield lambda: _read(process)
        finally:
            process.kill()


def _read(process: subprocess.Popen[bytes]) -> str:
    script, complaint = process.communicate()
    if process.returncode:
        last = complaint.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise UserError(
            f"vl-convert gives no JavaScript ({''.join(last)}); pip install"
            " 'vl-convert-python>=1.9,<2'"
        )
    return _inside(script.decode("utf-8"))


def _inside(script: str) -> str:
    """A script that can stand in a page: nothing in it may end its element."""
    if "</script" in script.lower() or "<!--" in script:
        raise UserError(
            "this version of vl-convert holds a script that cannot stand in a page; pip install"
            " 'vl-convert-python>=1.9,<2'"
        )
    return script
