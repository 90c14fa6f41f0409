"""Reads the record of a run, events.jsonl, as far as it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from discl.core.interfaces import EpochReport
from discl.core.plain_files import plain_bytes
from discl.core.seals import damaged, opened_line

NAME = "events.jsonl"
WAY_OUT = "`discl verify` sets it aside; only the curves of the run are lost"
_BY_LEVEL = ("mix", "seen", "gains")  # fields of an epoch whose keys are levels


def events(folder: Path) -> Iterator[dict[str, Any]]:
    """The events of one attempt, oldest first: `start`, `epoch`s, `finish`.

    A line that was cut off by a kill ends them. Raises DamagedFileError where a line is not as it
    was written, or the record is that of another run.
    """
    path = folder / NAME
    try:
        lines = plain_bytes(path).decode("utf-8", "replace").split("\n") if path.exists() else []
    except OSError as error:
        raise damaged(path, f"cannot be read ({error.strerror or error})", WAY_OUT) from error
    for number, line in enumerate(lines, 1):
        try:
            event = opened_line(line)
        except ValueError as error:
            raise damaged(path, f"is damaged at line {number} ({error})", WAY_OUT) from error
        if event is None:
            if number < len(lines) - 1:
                raise damaged(path, f"is damaged at line {number} (it is no event)", WAY_OUT)
            return
        yield event


def epochs(folder: Path) -> list[EpochReport]:
    """The epochs of one attempt; empty where there is no record.

    Raises DamagedFileError as `events` does, and where a complete run has a record without its end.
    """
    path = folder / NAME
    recorded = list(events(folder))
    try:
        reports = [epoch(event) for event in recorded if event.get("event") == "epoch"]
    except (TypeError, ValueError, AttributeError) as error:
        raise damaged(path, f"holds an epoch that no run writes ({error})", WAY_OUT) from error
    if path.exists() and (folder / "result.json").exists():
        start = recorded[0] if recorded else {}
        planned = start.get("epochs", 0) if recorded else 1
        if isinstance(planned, int) and len(reports) < planned:
            raise damaged(path, f"ends after {len(reports)} epochs of a complete run", WAY_OUT)
    return reports


def epoch(event: dict[str, Any]) -> EpochReport:
    """An `epoch` event as the report it was written from; JSON has no whole numbers as keys.

    Raises TypeError, ValueError or AttributeError for what no run writes.
    """
    fields = {key: value for key, value in event.items() if key != "event"}
    for name in _BY_LEVEL:
        fields[name] = {int(level): value for level, value in fields.get(name, {}).items()}
    for name, kind in _kinds().items():
        if name in fields and not _fits(kind)(fields[name]):
            raise TypeError(f"{name} is {fields[name]!r:.40}")
    return EpochReport(**fields)


@cache
def _kinds() -> dict[str, Any]:
    return get_type_hints(EpochReport)


@cache
def _fits(kind: Any) -> Callable[[Any], bool]:
    """Whether a value is of a kind: a class, a table of two kinds, or one of several."""
    if get_origin(kind) is dict:
        of_key, of_value = map(_fits, get_args(kind))
        return lambda value: (
            isinstance(value, dict)
            and all(map(of_key, value))
            and all(map(of_value, value.values()))
        )
    if several := [_fits(one) for one in get_args(kind)]:
        return lambda value: any(fits(value) for fits in several)
    known = (int, float) if kind is float else (kind,)
    return lambda value: type(value) in known
