"""One run in full: settings, results, course over the epochs, cost and files."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from discl.config import commands
from discl.config.benchmark import Benchmark, MetricsTable
from discl.config.experiment import Experiment
from discl.core.conventions import PREFIXES, SHOTS, base_name
from discl.core.errors import UserError
from discl.core.interfaces import EpochReport
from discl.core.metric_names import position
from discl.core.result import Result
from discl.core.seals import DamagedFileError
from discl.files.fetch import offline
from discl.harness.inspect.index import StoredRun, experiment_file, progress_text
from discl.harness.run import events
from discl.harness.wandb.sent_log import sent_records


class MixInterval(NamedTuple):
    """Consecutive epochs with one mix of levels."""

    first: int
    last: int
    mix: dict[int, float]
    gains: dict[int, float]  # level -> mean probe gain over these epochs, where a probe ran
    real_phase: bool


class ClassRecall(NamedTuple):
    """A class on the in-distribution test split."""

    label: int
    name: str
    photos: int  # real training photos
    group: str  # many, medium or few
    recall: float | None


class Attempt(NamedTuple):
    """One attempt at the run."""

    folder: Path
    progress: str  # 'epoch 12 of 30'
    complete: bool
    files: dict[str, int]  # name -> bytes


# ---------------------------------------------------------------- epochs


def history(run: StoredRun) -> list[EpochReport]:
    """Epoch reports of the attempt that counts; empty where its record is missing or damaged."""
    folder = main_attempt(run)
    try:
        reports = events.epochs(folder) if folder else []
    except (DamagedFileError, OSError, TypeError, ValueError, AttributeError):
        return []
    return reports if all(_has_numbers(report) for report in reports) else []


def _has_numbers(report: EpochReport) -> bool:
    """Whether every value that should be a number is one: a record may have been edited."""
    values = [
        report.epoch,
        *report.mix.values(),
        *report.gains.values(),
        *dict(report.values).values(),
        report.loss or 0.0,
    ]
    return all(isinstance(value, int | float) for value in values)


def main_attempt(run: StoredRun) -> Path | None:
    """The attempt whose result counts, else the last one."""
    if run.result:
        for folder in run.attempts:
            if int(folder.name) == run.result.attempt:
                return folder
    return run.attempts[-1] if run.attempts else None


def mix_intervals(reports: Sequence[EpochReport]) -> list[MixInterval]:
    """The mix of levels over the epochs, with equal consecutive epochs joined."""
    intervals = []
    for (mix, real_phase), members in groupby(
        reports, key=lambda report: (report.mix, report.real_phase)
    ):
        epochs = list(members)
        gains = _mean_gains(epochs)
        intervals.append(MixInterval(epochs[0].epoch, epochs[-1].epoch, mix, gains, real_phase))
    return intervals


def _mean_gains(reports: Sequence[EpochReport]) -> dict[int, float]:
    levels = sorted({level for report in reports for level in report.gains})
    return {
        level: float(np.mean([report.gains[level] for report in reports if level in report.gains]))
        for level in levels
    }


def group_shares(reports: Sequence[EpochReport]) -> dict[str, float]:
    """Many, medium, few -> their share of all training images; empty where that is not recorded."""
    totals: Counter[str] = Counter()
    for report in reports:
        totals.update(report.seen_by_group)
    drawn = totals.total()
    return {group: count / drawn for group, count in totals.items()} if drawn else {}


def probe_photos(reports: Sequence[EpochReport]) -> int | None:
    """Photos that the gains of all levels are of; None where nothing was probed, or not said."""
    return next((r.probe_photos for r in reports if r.probe_photos is not None), None)


def curve(reports: Sequence[EpochReport], metric: str) -> dict[int, float]:
    """Epoch -> a metric, where it was measured."""
    return {report.epoch: report.values[metric] for report in reports if metric in report.values}


# ---------------------------------------------------------------- results


def selection_metric(run: StoredRun) -> str:
    """The val metric that chooses the epoch."""
    select = identity(run).get("select")
    return str(select.get("metric", "")) if isinstance(select, Mapping) else ""


def identity(run: StoredRun) -> dict[str, Any]:
    """The settings that change the answer; empty where they are unknown."""
    if run.result:
        return run.result.identity
    folder = main_attempt(run)
    recorded = experiment_file(folder).get("identity") if folder else None
    return recorded if isinstance(recorded, dict) else {}


class MetricKey(NamedTuple):
    """The parts of a key such as `test/adjusted_macro_acc`."""

    split: str
    prefix: str  # how the logits were changed first, such as "adjusted_"
    base: str


def parse_key(key: str) -> MetricKey:
    split, _, metric = key.rpartition("/")
    base = base_name(key)
    return MetricKey(split, metric.removesuffix(base), base)


def reading_order(key: str) -> tuple[int, str, int, int, str]:
    """Sort key of metrics: test splits, then val, then OOD; plain logits before changed ones."""
    split, prefix, base = parse_key(key)
    split_rank = {"test": 0, "id_test": 0, "val": 1, "ood": 2}.get(split, 3)
    prefix_rank = PREFIXES.index(prefix) + 1 if prefix in PREFIXES else len(prefix)
    return (split_rank, split, prefix_rank, position(base), base)


def by_split(result: Result) -> dict[tuple[str, str], dict[str, float]]:
    """(split, prefix) -> metric -> value, in reading order."""
    tables: dict[tuple[str, str], dict[str, float]] = {}
    for key in sorted(result.metrics, key=reading_order):
        split, prefix, base = parse_key(key)
        tables.setdefault((split, prefix), {})[base] = result.metrics[key]
    return tables


def class_recalls(result: Result) -> list[ClassRecall]:
    """Recall of each class, the class with most training photos first."""
    members = SHOTS[_metrics_table(result).shots].members(np.array(result.group_counts, np.int64))
    recalls = []
    for label, (name, photos, recall) in enumerate(
        zip(result.classes, result.counts, result.class_recalls, strict=True)
    ):
        group = next((group for group, inside in members.items() if inside[label]), "")
        recalls.append(ClassRecall(label, str(name), int(photos), group, recall))
    return sorted(recalls, key=lambda row: (-row.photos, row.label))


def _metrics_table(result: Result) -> MetricsTable:
    """The conventions of a result's metrics; the defaults where they cannot be read."""
    try:
        table = MetricsTable(**result.identity.get("metrics", {}))
    except (TypeError, ValueError):
        return MetricsTable()
    return table if table.shots in SHOTS else MetricsTable()


# ---------------------------------------------------------------- command and files


def command(run: StoredRun) -> str:
    """The command that repeats or resumes the run; "" where it cannot be known any more."""
    if run.result:
        recorded = run.result.provenance.get("command")
        if isinstance(recorded, str):
            return recorded
    try:
        with offline():  # the id needs the photos, and nothing is fetched for it
            experiment = _experiment(run)
            ready = experiment.benchmark.part("datasets").build().ready
            if ready and experiment.id() == run.id:
                return shlex.join(commands.of_run(experiment))
    except (UserError, ValueError, TypeError, KeyError, OSError):
        pass
    return ""


def _experiment(run: StoredRun) -> Experiment:
    """The experiment of a run from its file.

    The configuration names the strategy without its parameters; the identity has them.
    """
    folder = main_attempt(run)
    content = experiment_file(folder) if folder else {}
    config = dict(content["config"])
    strategy = str(config["strategy"])
    seed = int(config.pop("seed"))
    if "eval_precision" not in content["identity"]["train"]:
        # a default, which is written down by the name that it had then
        config["train"] = {**config["train"], "eval_precision": "auto"}
    parameters = content["identity"]["strategy"]["parameters"]
    config["strategy"] = {strategy: parameters} if parameters else {}
    return Experiment(Benchmark(**config), strategy, seed)


def attempts(run: StoredRun) -> list[Attempt]:
    """The attempts of a run, oldest first."""
    return [
        Attempt(folder, _progress(folder), (folder / "result.json").exists(), _sizes(folder))
        for folder in run.attempts
    ]


def _progress(folder: Path) -> str:
    try:
        return progress_text(folder)
    except DamagedFileError as error:
        return str(error)


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}


def wandb_copies(run: StoredRun) -> list[dict[str, Any]]:
    """Where the run was sent at W&B, by the log of this machine."""
    records = sent_records(run.folder)
    return [{"destination": key, **asdict(record)} for key, record in records.items()]


def as_dict(run: StoredRun) -> dict[str, Any]:
    """All of it, for programs."""
    reports = history(run)
    result = run.result
    metric = selection_metric(run)
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
        "epoch": result.rule.name if result else None,
        "epochs": [rule.name for rule in result.rules] if result else [],
        "metrics": result.metrics if result else {},
        "errors": result.errors if result else {},
        "predictions": result.predictions if result else "",
        "classes": [row._asdict() for row in class_recalls(result)] if result else [],
        "chosen_epoch": result.chosen_epoch if result else None,
        "levels": [interval._asdict() for interval in mix_intervals(reports)],
        "probe_photos": probe_photos(reports),
        "val": {"metric": metric, "epochs": curve(reports, metric)},
        "loss": {report.epoch: report.loss for report in reports if report.loss is not None},
        "seen": result.seen if result else {},
        "seen_by_group": {report.epoch: report.seen_by_group for report in reports},
        "cost": result.cost if result else {},
        "attempts": [
            attempt._asdict() | {"folder": str(attempt.folder)} for attempt in attempts(run)
        ],
        "failures": [asdict(failure) for failure in run.failures],
        "folder": str(run.folder),
        "wandb": wandb_copies(run),
    }
