"""Differences between two runs: settings, recorded facts, metrics and classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from discl.config.load import UNVARIED
from discl.core.conventions import base_name
from discl.core.metric_names import is_share
from discl.core.result import Result
from discl.harness.inspect.details import (
    ClassRecall,
    class_recalls,
    identity,
    main_attempt,
    reading_order,
)
from discl.harness.inspect.index import StoredRun, experiment_file

# keys of identity["images"] that are of the bank, not of a part
_BANK_KEYS = ("variants", "best_of", "threshold", "seed", "size", "source")
# settings that only runs with generated images have
_IMAGE_SETTINGS = ("levels", "bank.", "generator.", "scorer.", "prompts.")
_IMAGES_CHANGE = "levels of generated images"
# not settings of one run, or part of the identity in another form
_NOT_SETTINGS = (*UNVARIED, "title", "trackers", "strategy", "seed")


class Change(NamedTuple):
    """A dotted path and the values of both runs; None where a run has no such setting."""

    path: str
    a: Any
    b: Any


class MetricDifference(NamedTuple):
    """A metric of both runs, as shares."""

    metric: str
    a: float
    b: float
    difference: float  # b - a
    # standard error from the choice of test photos, as if each run had photos of its own
    error: float | None


class ClassDifference(NamedTuple):
    """The recall of a class in both runs."""

    a: ClassRecall
    b: float
    difference: float  # b - a


@dataclass(frozen=True)
class RunDiff:
    """Differences of run B from run A."""

    a: StoredRun
    b: StoredRun
    headline: str  # whether they are the same run, differ in the seed, or in more
    settings: list[Change]  # settings that change the answer
    recorded: list[Change]  # versions, hardware, commit, and settings that change no answer
    comparability: list[Change]  # why they may not be in one table
    metrics: list[MetricDifference]
    classes: list[ClassDifference]
    classes_note: str  # why classes are not compared


def diff_runs(a: StoredRun, b: StoredRun) -> RunDiff:
    """Compare two runs, complete or not."""
    settings = changed_settings(a, b)
    classes, note = class_differences(a, b)
    return RunDiff(
        a,
        b,
        headline=_headline(a, b, settings),
        settings=settings,
        recorded=changed_records(a, b),
        comparability=changed_comparability(a, b),
        metrics=metric_differences(a, b),
        classes=classes,
        classes_note=note,
    )


def _headline(a: StoredRun, b: StoredRun, settings: list[Change]) -> str:
    if a.id == b.id:
        return "both are the same run"
    unknown = [run.id for run in (a, b) if not identity(run)]
    if unknown:
        return f"the settings of {' and '.join(unknown)} are not known: no file has them any more"
    paths = [change.path for change in settings]
    if paths == ["seed"]:
        return "they differ only in the seed: what differs below is random"
    others = [path for path in paths if path != "seed"]
    if not others:
        return "their settings are the same, though their ids are not"
    seed = (
        "and in the seed, so randomness is part of what differs below"
        if "seed" in paths
        else "at the same seed"
    )
    return f"they differ in {len(others)} setting{'s' if len(others) != 1 else ''} {seed}"


# ---------------------------------------------------------------- settings


def changed_settings(a: StoredRun, b: StoredRun) -> list[Change]:
    """Settings of the identity that differ, strategies first.

    Settings of images are one line where only one of the runs has images.
    """
    settings_a = dotted(identity(a))
    settings_b = dotted(identity(b))
    changes = _with_defaults(_changes(settings_a, settings_b), a, b)
    has_images_a = "levels" in settings_a
    has_images_b = "levels" in settings_b
    if settings_a and settings_b and has_images_a != has_images_b:
        changes = [change for change in changes if not change.path.startswith(_IMAGE_SETTINGS)]
        changes.append(Change(_IMAGES_CHANGE, _levels(settings_a), _levels(settings_b)))
    return sorted(changes, key=lambda change: (not change.path.startswith("strategy"), change.path))


def _levels(settings: Mapping[str, Any]) -> str:
    return " ".join(str(level) for level in settings["levels"]) if "levels" in settings else "none"


def _with_defaults(changes: list[Change], a: StoredRun, b: StoredRun) -> list[Change]:
    """Changes with the defaults that an identity leaves out; equal values are dropped.

    The configuration that a run was started with has the defaults, where its file exists.
    """
    config_a = _config(a)
    config_b = _config(b)
    filled = [
        Change(
            path,
            config_a.get(path) if value_a is None else value_a,
            config_b.get(path) if value_b is None else value_b,
        )
        for path, value_a, value_b in changes
    ]
    return [change for change in filled if change.a != change.b]


def dotted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """An identity by the paths that --set takes, beside versions and digests of parts."""
    strategy = settings.get("strategy")
    name = str(strategy.get("name", "")) if isinstance(strategy, Mapping) else ""
    return {_path(keys, name): value for keys, value in _leaves(settings, ())}


def _path(keys: tuple[str, ...], strategy: str) -> str:
    """The dotted path of a key of an identity."""
    if len(keys) == 1:
        return keys[0]
    if keys[0] == "images":
        keys = ("bank", *keys[1:]) if keys[1] in _BANK_KEYS else keys[1:]
    if keys[0] == "strategy":
        if keys[1] == "name":
            return "strategy"
        if keys[1] == "version":
            return "strategy.version"
        return ".".join(("strategy", strategy, *keys[2:]))
    if keys[1:2] == ("parameters",):
        keys = (keys[0], *keys[2:])
    return ".".join(keys)


def _leaves(value: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(keys, value) of everything in nested tables that is no table."""
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


# ---------------------------------------------------------------- recorded facts


def changed_records(a: StoredRun, b: StoredRun) -> list[Change]:
    """Recorded facts that differ: settings that change no answer, then provenance."""
    in_identity = {change.path for change in changed_settings(a, b)}
    config = _changed_config(a, b, in_identity)
    provenance = _changes(_provenance(a), _provenance(b))
    if _IMAGES_CHANGE in in_identity:  # what the generator had seen is no fact of a run without one
        provenance = [
            change
            for change in provenance
            if change.path != "training_data" and not change.path.startswith("bank_content.")
        ]
    return [*config, *provenance]


def _changed_config(a: StoredRun, b: StoredRun, in_identity: set[str]) -> list[Change]:
    """Configuration beside the changed settings; empty unless both runs have their files."""
    config_a = _config(a)
    config_b = _config(b)
    if not config_a or not config_b:
        return []
    changes = [change for change in _changes(config_a, config_b) if change.path not in in_identity]
    if _IMAGES_CHANGE in in_identity:
        changes = [change for change in changes if not change.path.startswith(_IMAGE_SETTINGS)]
    return changes


def _config(run: StoredRun) -> dict[str, Any]:
    """The configuration a run was started with, by dotted path."""
    folder = main_attempt(run)
    config = experiment_file(folder).get("config") if folder else None
    if not isinstance(config, dict):
        return {}
    return _flat({key: value for key, value in config.items() if key not in _NOT_SETTINGS})


def _provenance(run: StoredRun) -> dict[str, Any]:
    """The provenance of a run by dotted path, without what differs between any two runs."""
    provenance = run.result.provenance if run.result else {}
    return _flat({key: provenance[key] for key in provenance if key not in ("date", "command")})


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    return {".".join(keys): value for keys, value in _leaves(table, ())}


def changed_comparability(a: StoredRun, b: StoredRun) -> list[Change]:
    """Parts of the comparability key that differ; a run without images has no bank to compare."""
    if a.result is None or b.result is None:
        return []
    changes = _changes(_flat(a.result.comparability), _flat(b.result.comparability))
    return [change for change in changes if change.a is not None and change.b is not None]


# ---------------------------------------------------------------- results


def metric_differences(a: StoredRun, b: StoredRun) -> list[MetricDifference]:
    """Metrics that both runs have, in reading order; counts are left out."""
    if a.result is None or b.result is None:
        return []
    shared = a.result.metrics.keys() & b.result.metrics.keys()
    return [
        _metric_difference(key, a.result, b.result)
        for key in sorted(shared, key=reading_order)
        if is_share(base_name(key))
    ]


def _metric_difference(key: str, a: Result, b: Result) -> MetricDifference:
    error_a = a.errors.get(key)
    error_b = b.errors.get(key)
    error = None if error_a is None or error_b is None else math.hypot(error_a, error_b)
    value_a = a.metrics[key]
    value_b = b.metrics[key]
    return MetricDifference(key, value_a, value_b, value_b - value_a, error)


def by_size(metric: MetricDifference) -> tuple[bool, float, str]:
    """Sort key: the largest difference first, NaN last."""
    return math.isnan(metric.difference), -abs(metric.difference), metric.metric


def class_differences(a: StoredRun, b: StoredRun) -> tuple[list[ClassDifference], str]:
    """Classes by how much their recall differs; or none, and why."""
    if a.result is None or b.result is None:
        return [], ""
    if (a.result.classes, len(a.result.counts)) != (b.result.classes, len(b.result.counts)):
        return [], "their classes are not the same"
    recalls_b = {row.label: row.recall for row in class_recalls(b.result)}
    differences = []
    for row in class_recalls(a.result):
        recall_b = recalls_b[row.label]
        if row.recall is not None and recall_b is not None:
            differences.append(ClassDifference(row, recall_b, recall_b - row.recall))
    return sorted(differences, key=lambda item: (-abs(item.difference), item.a.label)), ""


def as_dict(diff: RunDiff) -> dict[str, Any]:
    """All of it, for programs."""

    def run_words(run: StoredRun) -> dict[str, str]:
        return {"id": run.id, "name": run.name, "state": run.state}

    def class_words(row: ClassDifference) -> dict[str, Any]:
        words = row.a._asdict()
        recall = words.pop("recall")
        return {**words, "a": recall, "b": row.b, "difference": row.difference}

    return {
        "a": run_words(diff.a),
        "b": run_words(diff.b),
        "headline": diff.headline,
        "settings": [change._asdict() for change in diff.settings],
        "recorded": [change._asdict() for change in diff.recorded],
        "comparability": [change._asdict() for change in diff.comparability],
        "metrics": [metric._asdict() for metric in diff.metrics],
        "classes": [class_words(row) for row in diff.classes],
        "classes_note": diff.classes_note,
    }
