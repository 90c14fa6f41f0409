"""The JavaScript that draws: Vega, Vega-Lite and vega-embed as vl-convert carries them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from discl.core.errors import DiskError, UserError
from discl.core.plain_files import plain_text
from discl.files.disk import data_home, write_text
from discl.files.vega import require_vl_convert

_BUNDLE = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"


@contextmanager
def drawing_library() -> Iterator[Callable[[], str]]:
    """Start to bundle the JavaScript, and give a function that waits for it.

    Bundling takes seconds and holds Python's lock, so it runs in a child process, which ends with
    the context. What it gives is kept under the data folder, by the version of vl-convert, and read
    from there next time. Raises UserError where vl-convert is not installed.
    """
    require_vl_convert("report")
    kept = _place()
    if kept.is_file():
        yield lambda: _checked(plain_text(kept))
        return
    with subprocess.Popen(
        [sys.executable, "-I", "-c", _BUNDLE], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield lambda: _read(process, kept)
        finally:
            process.kill()


def _place() -> Path:
    return data_home() / "drawing" / f"vl-convert-{metadata.version('vl-convert-python')}.js"


def _read(process: subprocess.Popen[bytes], kept: Path) -> str:
    script, errors = process.communicate()
    if process.returncode:
        last = errors.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise UserError(
            f"vl-convert gives no JavaScript ({''.join(last)}); pip install"
            " 'vl-convert-python>=1.9,<2'"
        )
    text = _checked(script.decode("utf-8"))
    with contextlib.suppress(DiskError, OSError):  # the page needs no copy of it
        write_text(kept, text)
    return text


def _checked(script: str) -> str:
    """A script that can stand in a page, since nothing in it ends its element."""
    if "</script" in script.lower() or "<!--" in script:
        raise UserError(
            "this version of vl-convert holds a script that cannot stand in a page; pip install"
            " 'vl-convert-python>=1.9,<2'"
        )
    return script
