"""Looks this machine over: what works, what to know, and what to repair, each with the way out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from discl.core.errors import UserError, unknown
from discl.harness.doctor.finding import CHECKS, PROBLEM, Finding
from discl.harness.doctor.network import PATIENCE_SECONDS, Pending, hub, studies, wandb
from discl.harness.doctor.software import (
    bytecode,
    extras,
    node,
    packages,
    python,
    torch,
    torchvision,
    tree,
)
from discl.harness.doctor.storage import banks, datasets, memory, places

Check = Callable[[], Iterator[Finding | Pending]]

_HOW: Mapping[str, Check] = {  # in the order of beginning: networks take longest
    "hub": hub,
    "wandb": wandb,
    "studies": studies,
    "python": python,
    "packages": packages,
    "torch": torch,
    "torchvision": torchvision,
    "extras": extras,
    "node": node,
    "places": places,
    "memory": memory,
    "datasets": datasets,
    "banks": banks,
    "tree": tree,
    "bytecode": bytecode,
}


@dataclass(frozen=True)
class Examined:
    """What a check found."""

    check: str
    findings: tuple[Finding, ...]


def examine(names: Iterable[str] = (), patience_s: float = PATIENCE_SECONDS) -> list[Examined]:
    """Every check, or those named.

    All networks together are waited for no longer than `patience_s` from the beginning.
    """
    wanted = list(names) or list(CHECKS)
    for name in wanted:
        if name not in CHECKS:
            raise unknown("check", name, CHECKS)
    until = time.monotonic() + patience_s
    begun = {name: list(_begin(name)) for name in _HOW if name in wanted}
    answered = {
        name: tuple(each.answered(until) if isinstance(each, Pending) else each for each in found)
        for name, found in begun.items()
    }
    return [Examined(name, answered[name]) for name in CHECKS if name in answered]


def _begin(name: str) -> Iterator[Finding | Pending]:
    """A check that breaks is a finding, not the end of all others."""
    try:
        yield from _HOW[name]()
    except UserError as error:
        yield Finding(PROBLEM, str(error))
    except Exception as error:
        yield Finding(
            PROBLEM,
            f"could not be checked ({type(error).__name__}: {error})",
            "please report this with the line above",
        )
