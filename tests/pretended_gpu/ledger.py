"""Counts what makes the host wait for the device, by the function of ours that caused it."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import discl

_OURS = str(Path(discl.__file__).parent.parent) + "/discl/"
_LIBRARIES = "/site-packages/"
# torch's files between a call of ours and its operator, where that is all they are
_TORCH_ITSELF = ("torch/_", "torch/functional", "torch/utils/_", "torch/nn/functional")


class Cause(NamedTuple):
    """Where something was asked for."""

    ours: str  # "discl/engine/training/loop.py Fit._step", the innermost; "" = none of ours
    library: str  # the file of a library that we called and that asked; "" = we did ourselves


class Ledger:
    """Waits and pageable uploads since it was last emptied."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, Cause]] = Counter()
        self.lines: dict[tuple[str, Cause], int] = {}  # of our file, the last seen

    def note(self, kind: str) -> None:
        """Count what the caller's callers caused, e.g. "wait: item"."""
        cause, line = _cause(sys._getframe(1))
        self.counts[kind, cause] += 1
        self.lines[kind, cause] = line

    def empty(self) -> None:
        """Begin again."""
        self.counts.clear()
        self.lines.clear()

    def ours(self) -> dict[str, int]:
        """How often each function of ours asked, by "kind, function"."""
        return self._table(by_library=False)

    def libraries(self) -> dict[str, int]:
        """How often libraries asked that we called, by "kind, function of ours > file"."""
        return self._table(by_library=True)

    def _table(self, by_library: bool) -> dict[str, int]:
        return {
            f"{kind}, {cause.ours}{' > ' + cause.library if by_library else ''}": count
            for (kind, cause), count in sorted(self.counts.items())
            if bool(cause.library) == by_library
        }

    def shown_lines(self) -> list[str]:
        """What is counted with the line of ours that asked last, for the message of a test."""
        return [
            f"{count} {kind}: {cause.ours}:{self.lines[kind, cause]} {cause.library}".rstrip()
            for (kind, cause), count in sorted(self.counts.items())
        ]


def _cause(frame: FrameType | None) -> tuple[Cause, int]:
    library = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_OURS):
            place = f"discl/{file[len(_OURS) :]} {frame.f_code.co_qualname}"
            return Cause(place, library), frame.f_lineno
        if not library and _LIBRARIES in file:
            inner = file.split(_LIBRARIES)[1]
            if not inner.startswith(_TORCH_ITSELF):
                library = inner
        frame = frame.f_back
    return Cause("", library), 0
