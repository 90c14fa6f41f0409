"""Reads the record of a run, events.jsonl, as far as it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from discl.core.interfaces import EpochReport

NAME = "events.jsonl"
_BY_LEVEL = ("mix", "seen", "gains")  # fields of an epoch whose keys are levels


def events(folder: Path) -> Iterator[dict[str, Any]]:
    """The events of one attempt, oldest first: `start`, `epoch`s, `finish`.

    A line that was cut off by a kill ends them.
    """
    path = folder / NAME
    lines = path.read_text("utf-8", "replace").splitlines() if path.exists() else []
    for line in lines:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            return
        if not isinstance(event, dict):
            return
        yield event


def epochs(folder: Path) -> list[EpochReport]:
    """The epochs of one attempt; empty where there is no record."""
    return [epoch(event) for event in events(folder) if event.get("event") == "epoch"]


def epoch(event: dict[str, Any]) -> EpochReport:
    """An `epoch` event as the report it was written from; JSON has no whole numbers as keys."""
    fields = {key: value for key, value in event.items() if key != "event"}
    for name in _BY_LEVEL:
        fields[name] = {int(level): value for level, value in fields.get(name, {}).items()}
    return EpochReport(**fields)
