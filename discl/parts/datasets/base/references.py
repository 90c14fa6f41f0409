"""References of files: paths below a folder as text of one line, whatever bytes they have."""

from __future__ import annotations

import os
import re

# what `ref_of` writes, and nothing else: no escape stands for a slash or a dot
_ESCAPES = re.compile(r"\\x(5c|[89a-f][0-9a-f]|[01][0-9a-f]|7f)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def ref_of(path: bytes) -> str:
    r"""A path's bytes as text: one line of UTF-8, backslashes, controls and other bytes as \xNN."""
    text = path.replace(b"\\", b"\\x5c").decode("utf-8", "backslashreplace")
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def path_of(ref: str) -> str:
    """The path that a reference stands for, for `open`; the inverse of `ref_of`."""
    if "\\" not in ref:
        return ref
    raw = b"".join(
        bytes.fromhex(part) if i % 2 else part.encode("utf-8")
        for i, part in enumerate(_ESCAPES.split(ref))
    )
    return os.fsdecode(raw)


def leads_out(ref: str) -> bool:
    """Whether a reference is none of a file below its folder: absolute, with `..`, or no path."""
    if not ref or ref[0] == "/" or (".." in ref and ".." in ref.split("/")):
        return True
    return "\\" in ref and "\\" in _ESCAPES.sub("", ref)
