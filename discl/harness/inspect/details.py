"""All that is known of one run: its settings, what came out, how it went, what it cost, and where
it lies.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from discl.config import commands
from discl.config.benchmark import Benchmark, MetricsTable
from discl.config.experiment import Experiment
from discl.core.metric_names import position
from discl.core.conventions import PREFIXES, SHOTS, base_name
from discl.core.errors import UserError
from discl.core.interfaces import EpochReport
from discl.core.result import Result
from discl.files.fetch import offline
from discl.harness.inspect.index import Run, description, progress
from discl.harness.run import events
from discl.harness.wandb.sent_log import sent_records


class Stretch(NamedTuple):
    """Epochs in a row with one mix."""

    first: int
    last: int
    mix: dict[int, float]
    gains: dict[int, float]  # level -> mean probe gain over these epochs, where a probe ran
    real_phase: bool


class ClassRecall(NamedTuple):
    """A class on the home test split."""

    label: int
    name: str
    photos: int  # it was trained on, the real ones
    group: str  # many, medium or few
    recall: float | None


class Attempt(NamedTuple):
    """One try at the run."""

    folder: Path
    far: str  # 'epoch 12 of 30'
    complete: bool
    files: dict[str, int]  # name -> bytes


# ---------------------------------------------------------------- how it went


def history(run: Run) -> list[EpochReport]:
    """What the epochs of the attempt that counts reported; empty where its record is gone or was
    edited.
    """
    folder = attempt_of(run)
    try:
        reports = events.epochs(folder) if folder else []
    except (OSError, TypeError, ValueError, AttributeError):
        return []
    return reports if all(map(_sound, reports)) else []


def _sound(report: EpochReport) -> bool:
    numbers = [
        report.epoch,
        *report.mix.values(),
        *report.gains.values(),
        *dict(report.values).values(),
        report.loss or 0.0,
    ]
    return all(isinstance(number, int | float) for number in numbers)


def attempt_of(run: Run) -> Path | None:
    """The attempt whose result counts, else the last one."""
    if run.result and (
        own := [folder for folder in run.attempts if int(folder.name) == run.result.attempt]
    ):
        return own[0]
    return run.attempts[-1] if run.attempts else None


def stretches(reports: Sequence[EpochReport]) -> list[Stretch]:
    """The level mix over the epochs."""
    groups: list[list[EpochReport]] = []
    for report in reports:
        if groups and (groups[-1][-1].mix, groups[-1][-1].real_phase) == (
            report.mix,
            report.real_phase,
        ):
            groups[-1].append(report)
        else:
            groups.append([report])
    return [
        Stretch(
            group[0].epoch, group[-1].epoch, group[0].mix, _mean_gains(group), group[0].real_phase
        )
        for group in groups
    ]


def _mean_gains(group: Sequence[EpochReport]) -> dict[int, float]:
    levels = sorted({level for report in group for level in report.gains})
    return {
        level: float(np.mean([report.gains[level] for report in group if level in report.gains]))
        for level in levels
    }


def curve(reports: Sequence[EpochReport], metric: str) -> dict[int, float]:
    """Epoch -> a metric, where it was measured."""
    return {report.epoch: report.values[metric] for report in reports if metric in report.values}


# ---------------------------------------------------------------- what came out


def chosen_by(run: Run) -> str:
    """The val metric that chooses the epoch."""
    select = identity(run).get("select")
    return str(select.get("metric", "")) if isinstance(select, Mapping) else ""


def identity(run: Run) -> dict[str, Any]:
    if run.result:
        return run.result.identity
    folder = attempt_of(run)
    said = description(folder).get("identity") if folder else None
    return said if isinstance(said, dict) else {}


class Place(NamedTuple):
    """Where a metric stands."""

    split: str
    prefix: str  # what was done to the logits first, as "adjusted_"
    base: str


def place_of(key: str) -> Place:
    split, _, metric = key.rpartition("/")
    base = base_name(key)
    return Place(split, metric.removesuffix(base), base)


def in_order(key: str) -> tuple[int, str, int, int, str]:
    """Sorts metrics as a person reads them: the home test split, val, photos from elsewhere; as
    they are before what was done to them.
    """
    split, prefix, base = place_of(key)
    first = {"test": 0, "id_test": 0, "val": 1, "ood": 2}.get(split, 3)
    return (
        first,
        split,
        PREFIXES.index(prefix) + 1 if prefix in PREFIXES else len(prefix),
        position(base),
        base,
    )


def by_split(result: Result) -> dict[tuple[str, str], dict[str, float]]:
    """(split, prefix) -> metric -> value, in the order of reading."""
    tables: dict[tuple[str, str], dict[str, float]] = {}
    for key in sorted(result.metrics, key=in_order):
        split, prefix, base = place_of(key)
        tables.setdefault((split, prefix), {})[base] = result.metrics[key]
    return tables


def class_recalls(result: Result) -> list[ClassRecall]:
    """By training photos, most first."""
    rule = SHOTS[_conventions(result).shots]
    groups = rule.members(np.array(result.counts, np.int64))
    rows = zip(result.classes, result.counts, result.class_recalls, strict=True)
    found = [
        ClassRecall(
            label,
            str(name),
            int(photos),
            next((group for group, inside in groups.items() if inside[label]), ""),
            recall,
        )
        for label, (name, photos, recall) in enumerate(rows)
    ]
    return sorted(found, key=lambda one: (-one.photos, one.label))


def _conventions(result: Result) -> MetricsTable:
    try:
        found = MetricsTable(**result.identity.get("metrics", {}))
    except (TypeError, ValueError):
        return MetricsTable()
    return found if found.shots in SHOTS else MetricsTable()


# ---------------------------------------------------------------- how to have it again, and where it lies


def command(run: Run) -> str:
    """What makes it again, or goes on with it; "" where that cannot be told any more."""
    if run.result and isinstance(said := run.result.provenance.get("command"), str):
        return said
    try:
        with offline():
            made = _experiment(run)
            ready = (
                made.benchmark.part("datasets").build().ready
            )  # its id needs the photos, and nothing is fetched for a look
            return shlex.join(commands.of_run(made)) if ready and made.id() == run.id else ""
    except (UserError, ValueError, TypeError, KeyError, OSError):
        return ""


def _experiment(run: Run) -> Experiment:
    """As it was begun: the tables of the strategies are lost beside the name of the chosen one, its
    identity has its parameters.
    """
    folder = attempt_of(run)
    said = description(folder) if folder else {}
    config = dict(said["config"])
    chosen = str(said["config"]["strategy"])
    seed = int(config.pop("seed"))
    spec = Benchmark(
        **config
        | {
            "strategy": (
                {chosen: parameters}
                if (parameters := said["identity"]["strategy"]["parameters"])
                else {}
            )
        }
    )
    return Experiment(spec, chosen, seed)


def tries(run: Run) -> list[Attempt]:
    return [
        Attempt(folder, _far(folder), (folder / "result.json").exists(), _sizes(folder))
        for folder in run.attempts
    ]


def _far(folder: Path) -> str:
    try:
        return progress(folder)
    except OSError:
        return "its record cannot be read"


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}


def sent_copies(run: Run) -> list[dict[str, Any]]:
    """Where copies at W&B were sent, as the mirror remembers it."""
    return [{"place": place, **asdict(note)} for place, note in sent_records(run.folder).items()]


def described(run: Run) -> dict[str, Any]:
    """Everything, for programs."""
    reports = history(run)
    result = run.result
    chosen = chosen_by(run)
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "why": run.why,
        "benchmark": run.benchmark,
        "scale": run.scale,
        "strategy": run.strategy,
        "seed": run.seed,
        "when": run.when,
        "command": command(run),
        "settings": identity(run),
        "comparability": result.comparability if result else {},
        "provenance": result.provenance if result else {},
        "metrics": result.metrics if result else {},
        "errors": result.errors if result else {},
        "predictions": result.predictions if result else "",
        "classes": [one._asdict() for one in class_recalls(result)] if result else [],
        "chosen_epoch": result.chosen_epoch if result else None,
        "levels": [stretch._asdict() for stretch in stretches(reports)],
        "val": {"metric": chosen, "epochs": curve(reports, chosen)},
        "loss": {report.epoch: report.loss for report in reports if report.loss is not None},
        "seen": result.seen if result else {},
        "cost": result.cost if result else {},
        "attempts": [attempt._asdict() | {"folder": str(attempt.folder)} for attempt in tries(run)],
        "failures": [asdict(failure) for failure in run.failures],
        "folder": str(run.folder),
        "mirrors": sent_copies(run),
    }
