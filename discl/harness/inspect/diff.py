"""What differs between two runs: what they were told, what they were made with, and what came out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from discl.config.load import UNVARIED
from discl.core.metric_names import is_share
from discl.core.conventions import base_name
from discl.core.result import Result
from discl.harness.inspect.details import (
    ClassRecall,
    attempt_of,
    class_recalls,
    identity,
    in_order,
)
from discl.harness.inspect.index import Run, description

NOT_SAID = None  # where one run has no such setting, or leaves it at the default
_BANK = (
    "variants",
    "best_of",
    "threshold",
    "seed",
    "size",
)  # of identity["images"]: where a benchmark file has them
_IMAGES = (
    "levels",
    "bank.",
    "generator.",
    "scorer.",
    "prompts.",
)  # settings that only runs with generated images have
# of no one run, or told by the identity in other words
_NO_SETTING = (*UNVARIED, "title", "trackers", "strategy", "seed")


class Change(NamedTuple):
    """A dotted path and what either run has there."""

    path: str
    a: Any
    b: Any


class Shift(NamedTuple):
    """A metric of both runs; fractions."""

    metric: str
    a: float
    b: float
    difference: float  # b - a
    error: (
        float | None
    )  # its standard error from the choice of test photos, as if each run had photos of its own


class Moved(NamedTuple):
    """A class both know."""

    one: ClassRecall  # as run A has it
    b: float
    difference: float  # b - a


@dataclass(frozen=True)
class Difference:
    """B seen from A."""

    a: Run
    b: Run
    headline: str  # the same run, another seed, or how much else
    settings: list[Change]  # that change the answer
    recorded: list[
        Change
    ]  # that change none: versions, hardware, commit, and how fast the work went
    comparability: list[Change]  # why they may not stand in one table
    metrics: list[Shift]
    classes: list[Moved]
    classes_note: str  # why classes are not compared


def difference(a: Run, b: Run) -> Difference:
    settings = changed_settings(a, b)
    recorded = changed_records(a, b)
    comparability = changed_comparability(a, b)
    classes, note = moved_classes(a, b)
    return Difference(
        a, b, _headline(a, b, settings), settings, recorded, comparability, shifts(a, b), classes, note
    )


def _headline(a: Run, b: Run, settings: list[Change]) -> str:
    if a.id == b.id:
        return "both are the same run"
    unknown = [run.id for run in (a, b) if not identity(run)]
    if unknown:
        return (
            f"the settings of {' and '.join(unknown)} are not known: nothing is left that says them"
        )
    paths = [change.path for change in settings]
    if paths == ["seed"]:
        return "they differ in nothing but the seed: what differs below is chance"
    rest = [path for path in paths if path != "seed"]
    if not rest:
        return "their settings are the same, though their ids are not"
    alike = (
        "at the same seed"
        if "seed" not in paths
        else "and in the seed, so chance is part of what differs below"
    )
    return f"they differ in {len(rest)} setting{'s' if len(rest) != 1 else ''} {alike}"


# ---------------------------------------------------------------- what they were told


def changed_settings(a: Run, b: Run) -> list[Change]:
    """Settings that are part of what the runs are.

    Those of images are one line where only one of the runs has any.
    """
    one, two = dotted(identity(a)), dotted(identity(b))
    with_images = ["levels" in flat for flat in (one, two)]
    changes = [
        each
        for change in _changes(one, two)
        if (each := _filled(change, _config(a), _config(b))).a != each.b
    ]
    if one and two and with_images[0] != with_images[1]:
        levels = [
            " ".join(map(str, flat["levels"])) if has else "none"
            for flat, has in zip((one, two), with_images, strict=True)
        ]
        changes = [change for change in changes if not change.path.startswith(_IMAGES)] + [
            Change("levels of generated images", *levels)
        ]
    return sorted(changes, key=lambda change: (not change.path.startswith("strategy"), change.path))


def _filled(change: Change, a: Mapping[str, Any], b: Mapping[str, Any]) -> Change:
    """An identity leaves defaults out; what the run was begun with says them, as far as it goes."""
    path, one, two = change
    return Change(
        path, a.get(path) if one is NOT_SAID else one, b.get(path) if two is NOT_SAID else two
    )


def dotted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """An identity by the paths that --set takes, with the versions and digests of parts beside
    them.
    """
    name = (
        settings.get("strategy", {}).get("name", "")
        if isinstance(settings.get("strategy"), Mapping)
        else ""
    )
    return {_path(keys, str(name)): value for keys, value in _leaves(settings, ())}


def _path(keys: tuple[str, ...], strategy: str) -> str:
    if len(keys) == 1:
        return keys[0]
    if keys[0] == "images":
        keys = ("bank", *keys[1:]) if keys[1] in _BANK else keys[1:]
    if keys[0] == "strategy":
        named = {"name": "strategy", "version": "strategy.version"}.get(keys[1])
        return named or ".".join(("strategy", strategy, *keys[2:]))
    return ".".join(key for place, key in enumerate(keys) if key != "parameters" or place != 1)


def _leaves(value: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _leaves(below, (*above, str(key)))
    elif above:
        yield above, value


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    return [
        Change(path, a.get(path), b.get(path))
        for path in sorted({*a, *b})
        if a.get(path) != b.get(path)
    ]


# ---------------------------------------------------------------- what they were made with


def changed_records(a: Run, b: Run) -> list[Change]:
    """What is recorded beside the identity: provenance, and settings that change no answer of these
    runs.
    """
    made = _changes(
        *(
            _flat(
                {
                    key: value
                    for key, value in _provenance(run).items()
                    if key not in ("date", "command")
                }
            )
            for run in (a, b)
        )
    )
    told = {change.path for change in changed_settings(a, b)}
    return [*_config_changes(a, b, told), *made]


def _config_changes(a: Run, b: Run, told: set[str]) -> list[Change]:
    """Of what their files say, what is not told yet; only where both files are there."""
    one, two = _config(a), _config(b)
    if not one or not two:
        return []
    images = "levels of generated images" in told
    return [
        change
        for change in _changes(one, two)
        if change.path not in told and not (images and change.path.startswith(_IMAGES))
    ]


def _config(run: Run) -> dict[str, Any]:
    folder = attempt_of(run)
    config = description(folder).get("config") if folder else None
    return (
        _flat({key: value for key, value in config.items() if key not in _NO_SETTING})
        if isinstance(config, dict)
        else {}
    )


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    return {".".join(keys): value for keys, value in _leaves(table, ())}


def _provenance(run: Run) -> dict[str, Any]:
    return run.result.provenance if run.result else {}


def changed_comparability(a: Run, b: Run) -> list[Change]:
    """What forbids one table; a run without generated images has no bank to disagree about."""
    if a.result is None or b.result is None:
        return []
    return [
        each
        for each in _changes(_flat(a.result.comparability), _flat(b.result.comparability))
        if each.a is not None and each.b is not None
    ]


# ---------------------------------------------------------------- what came out


def shifts(a: Run, b: Run) -> list[Shift]:
    """Metrics that both have, by split."""
    if a.result is None or b.result is None:
        return []
    shared = a.result.metrics.keys() & b.result.metrics.keys()
    return [
        _shift(key, a.result, b.result)
        for key in sorted(shared, key=in_order)
        if is_share(base_name(key))
    ]


def _shift(key: str, a: Result, b: Result) -> Shift:
    errors = [result.errors.get(key) for result in (a, b)]
    error = (
        math.hypot(*(each for each in errors if each is not None)) if None not in errors else None
    )
    return Shift(key, a.metrics[key], b.metrics[key], b.metrics[key] - a.metrics[key], error)


def by_size(shift: Shift) -> tuple[bool, float, str]:
    """The largest difference first; what is not a number last."""
    return math.isnan(shift.difference), -abs(shift.difference), shift.metric


def moved_classes(a: Run, b: Run) -> tuple[list[Moved], str]:
    """Classes by how far their recall moved; or nothing, and why."""
    if a.result is None or b.result is None:
        return [], ""
    if (a.result.classes, len(a.result.counts)) != (b.result.classes, len(b.result.counts)):
        return [], "their classes are not the same"
    theirs = {one.label: one.recall for one in class_recalls(b.result)}
    found = []
    for one in class_recalls(a.result):
        other = theirs[one.label]
        if one.recall is not None and other is not None:
            found.append(Moved(one, other, other - one.recall))
    return sorted(found, key=lambda moved: (-abs(moved.difference), moved.one.label)), ""


def as_dict(found: Difference) -> dict[str, Any]:
    """Everything, for programs."""
    ends = {
        end: {"id": run.id, "name": run.name, "state": run.state}
        for end, run in (("a", found.a), ("b", found.b))
    }
    changes = {
        name: [change._asdict() for change in getattr(found, name)]
        for name in ("settings", "recorded", "comparability", "metrics")
    }
    classes = [
        {**moved.one._asdict(), "a": moved.one.recall, "b": moved.b, "difference": moved.difference}
        for moved in found.classes
    ]
    for one in classes:
        del one["recall"]
    return {
        **ends,
        "headline": found.headline,
        **changes,
        "classes": classes,
        "classes_note": found.classes_note,
    }
