"""The words of `discl doctor`."""

from __future__ import annotations

from typing import NamedTuple

CHECKS = (  # by name, as they are told
    *(
        "python",
        "packages",
        "torch",
        "torchvision",
        "extras",
        "node",
        "places",
        "memory",
        "datasets",
        "banks",
        "tree",
        "bytecode",
    ),
    *("hub", "wandb", "studies"),
)
OK, NOTE, PROBLEM = STATES = ("ok", "note", "problem")


class Finding(NamedTuple):
    """What was found, how it is judged, and what to do about it."""

    state: str  # one of STATES; a note stops nothing, a problem does
    said: str
    way_out: str = ""
