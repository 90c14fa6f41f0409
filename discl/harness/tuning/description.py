"""A study in words: what is searched and how, and the command that repeats a trial."""

from __future__ import annotations

from optuna.trial import FrozenTrial

from discl.config import commands
from discl.config.sweep import COSTS, Dimension
from discl.core.conventions import VAL, epoch_rule
from discl.core.hashing import canonical_json
from discl.core.text import counted
from discl.harness.tuning.history import StudySnapshot
from discl.harness.tuning.proposals import lower_is_better
from discl.harness.tuning.space import settings


def describe(study: StudySnapshot) -> list[tuple[str, str]]:
    """(term, explanation) lines: benchmark, objective, replicates, sampler, pruner, space."""
    definition = study.definition
    lines = [
        ("benchmark", f"{definition['benchmark']} at scale {definition['scale']}"),
        ("set", _shared_settings(study)),
        ("objective", " and ".join(_explained(objective) for objective in study.objective)),
        ("read at", epoch_rule(definition.get("epoch", VAL.name)).words),
        ("a trial", _replicates(study)),
        (
            "proposed by",
            f"{definition['sampler']} with seed {definition['tune.seed']},"
            f" {definition['tune.round']} at a time,"
            f" {definition['tune.startup']} before it learns",
        ),
        ("given up", _pruning(study)),
    ]
    return lines + [(path, _range(dimension)) for path, dimension in study.space.items()]


def _shared_settings(study: StudySnapshot) -> str:
    pairs = [f"{path} = {canonical_json(value)}" for path, value in study.settings.items()]
    return ", ".join(pairs) or "nothing"


def _explained(objective: str) -> str:
    better = "the lower the better" if lower_is_better(objective) else "the higher the better"
    return f"{objective} ({COSTS.get(objective, better)})"


def _replicates(study: StudySnapshot) -> str:
    definition = study.definition
    benchmarks = ", ".join([definition["benchmark"], *definition["tune.also"]])
    seeds = ", ".join(map(str, definition["tune.seeds"]))
    runs = counted(study.replicates, "run")
    return f"{runs}: {benchmarks} with seeds {seeds}"


def _pruning(study: StudySnapshot) -> str:
    definition = study.definition
    ways = []
    prunes_between_runs = (
        definition["tune.pruner"] != "none"
        and len(study.objective) == 1
        and definition["tune.prune_after"] < study.replicates
    )
    if prunes_between_runs:
        ways.append(
            f"{definition['tune.pruner']} pruner after"
            f" {counted(definition['tune.prune_after'], 'run')},"
            f" p < {definition['tune.p']:g}"
        )
    if patience := definition["tune.patience"]:
        ways.append(f"within a run after {patience} evaluations on val below the median")
    return "; ".join(ways) or "never"


def _range(dimension: Dimension) -> str:
    if dimension.type == "categorical":
        return " | ".join(map(canonical_json, dimension.choices))
    low, high = dimension.ends()
    words = [f"{low:g} to {high:g}"]
    if dimension.log:
        words.append("logarithmic")
    if dimension.step:
        words.append(f"in steps of {dimension.step:g}")
    if dimension.type == "int":
        words.append("whole")
    return ", ".join(words)


def command(study: StudySnapshot, trial: FrozenTrial) -> list[str]:
    """The words of a `discl bench` that makes the runs of a trial, or finds them in the store."""
    definition = study.definition
    return commands.bench(
        definition["benchmark"],
        definition["scale"],
        [study.strategy],
        definition["tune.seeds"],
        {**study.settings, **settings(trial.params)},
    )
