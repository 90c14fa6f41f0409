"""One line of `discl doctor`."""

from __future__ import annotations

from typing import NamedTuple

CHECKS = (
    "python",
    "torch",
    "disk",
    "data",
    "files",
    "hub",
    "wandb",
)  # in the order they are printed
OK = "ok"
NOTE = "note"
PROBLEM = "problem"
STATES = (OK, NOTE, PROBLEM)


class Finding(NamedTuple):
    """A result of a check: its state, a sentence, and what to do about it."""

    state: str  # one of STATES; a note stops nothing, a problem does
    message: str
    way_out: str = ""
