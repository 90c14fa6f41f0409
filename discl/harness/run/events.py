"""Reads a run's record, events.jsonl, as far as it got."""

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

    A line that a kill has torn ends the record.
    """
    path = folder / NAME
    for line in path.read_text("utf-8", "replace").splitlines() if path.exists() else []:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            return
        if not isinstance(event, dict):
            return
        yield event


def epochs(folder: Path) -> list[EpochReport]:
    """What the epochs of one attempt reported; empty where the record is gone."""
    return [epoch(event) for event in events(folder) if event.get("event") == "epoch"]


def epoch(event: dict[str, Any]) -> EpochReport:
    """An `epoch` event as it was reported; JSON knows no whole numbers as keys."""
    plain = {key: value for key, value in event.items() if key != "event"}
    for name in _BY_LEVEL:
        plain[name] = {int(level): value for level, value in plain.get(name, {}).items()}
    return EpochReport(**plain)
