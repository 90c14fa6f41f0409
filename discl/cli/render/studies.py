"""Studies on the terminal: all of them, one in full, and what mattered; as JSON types, too."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from discl.cli.render.tables import short_setting, show, show_pairs, tell
from discl.core.text import counted, echo

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from discl.harness.tuning.history import StudySnapshot


def print_studies(url: str, studies: Sequence[StudySnapshot]) -> None:
    """All studies of a database, a line each."""
    from discl.harness.tuning.storage.address import redacted

    header = [
        "study",
        "trials",
        "given up",
        "failed",
        "running",
        "waiting",
        "objective",
        "best",
        "hours",
        "last activity",
    ]
    show(
        f"studies in {redacted(url)} (best in percent)",
        header,
        [_line(study) for study in studies],
        worth=["best", "trials", "running", "waiting", "failed", "last activity", "objective"],
        elsewhere="--format json",
    )


def _line(study: StudySnapshot) -> list[str]:
    from discl.harness.tuning.slots import hours_of

    states = study.states
    counts = [
        states["complete"] + states["given up"] + states["pruned"],
        states["given up"],
        states["failed"],
        states["running"],
        states["waiting"] + states["interrupted"],
    ]
    return [
        study.name,
        *map(str, counts),
        study.objective[0],
        _percent(study.best),
        f"{hours_of(study.slots):.2f}",
        f"{study.last_activity:%Y-%m-%d %H:%M}" if study.last_activity else "-",
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def summary_json(study: StudySnapshot) -> dict[str, Any]:
    """A study in plain values, without its trials."""
    from discl.harness.tuning.slots import hours_of

    last = study.last_activity
    return {
        "study": study.name,
        "strategy": study.strategy,
        "objective": study.objective,
        "trials": dict(study.states),
        "best": study.best,
        "hours": hours_of(study.slots),
        "last_activity": last.isoformat(timespec="seconds") if last else None,
    }


def study_json(study: StudySnapshot, sort: str) -> dict[str, Any]:
    """A study with its trials, sorted by "slot" or by "value", in plain values."""
    from discl.harness.tuning.description import command

    best = [
        {"slot": study.slots.index(trial), "command": shlex.join(command(study, trial))}
        for trial in study.front
    ]
    return {
        **summary_json(study),
        "definition": study.definition,
        "trials": [_trial_row(slot, trial) for slot, trial in _sorted(study, sort)],
        "best_settings": best,
    }


def _sorted(study: StudySnapshot, sort: str) -> list[tuple[int, FrozenTrial]]:
    from discl.harness.tuning.slots import state_of, value_of

    def rank(slot_and_trial: tuple[int, FrozenTrial]) -> tuple[bool, bool, float, int]:
        slot, trial = slot_and_trial
        value = value_of(trial)
        return state_of(trial) != "complete", value is None, -(value or 0.0), slot

    return sorted(study.trials, key=rank) if sort == "value" else study.trials


def _trial_row(slot: int, trial: FrozenTrial) -> dict[str, Any]:
    from discl.harness.tuning.proposals import finished_trial
    from discl.harness.tuning.slots import hours_of, state_of, value_of
    from discl.harness.tuning.space import settings
    from discl.harness.tuning.storage.database import FAILURE

    return {
        "slot": slot,
        "number": trial.number,
        "state": state_of(trial),
        "scores": finished_trial(trial).scores,
        "value": value_of(trial),
        "cost": finished_trial(trial).cost,
        "settings": settings(trial.params),
        "hours": hours_of([trial]),
        "failure": trial.user_attrs.get(FAILURE),
    }


def print_study(study: StudySnapshot, sort: str) -> None:
    """A study with its trials, sorted by "slot" or by "value", and its best settings."""
    from discl.harness.tuning.description import command, describe

    show_pairs(study.name, describe(study))
    rows = [_trial_row(slot, trial) for slot, trial in _sorted(study, sort)]
    paths = sorted({path for row in rows for path in row["settings"]})
    header = [
        "slot",
        "state",
        "runs",
        "objective",
        *study.objective[1:],
        *(path.rpartition(".")[2] for path in paths),
        "hours",
    ]
    show(
        f"trials ({study.objective[0]} in percent)",
        header,
        [_cells(row, paths, study) for row in rows],
        left=2,
        worth=["objective", "state", *(path.rpartition(".")[2] for path in paths), "runs"],
        elsewhere="--format json",
    )
    for row in rows:
        if row["failure"]:
            tell(f"failed: slot {row['slot']}: {row['failure']}")
    for trial in study.front:
        slot = study.slots.index(trial)
        echo(f"best, slot {slot}:\n  {shlex.join(command(study, trial))}")


def _cells(row: dict[str, Any], paths: list[str], study: StudySnapshot) -> list[str]:
    costs = ["-" if row["cost"] is None else f"{row['cost']:g}" for _ in study.objective[1:]]
    values = [
        short_setting(row["settings"][path]) if path in row["settings"] else "-" for path in paths
    ]
    return [
        str(row["slot"]),
        row["state"],
        f"{len(row['scores'])} of {study.replicates}",
        _percent(row["value"]),
        *costs,
        *values,
        f"{row['hours']:.2f}",
    ]


def print_importances(study: StudySnapshot, importances: Mapping[str, float]) -> None:
    """The settings of a study, the one that matters most first."""
    objective = study.objective[0]
    if len(study.objective) > 1:
        objective = f"the Pareto front of {' and '.join(study.objective)}"
    tell(f"{study.name}: settings that separate the best trials for {objective} from the rest")
    largest = max(importances.values())
    rows = [
        [path, "█" * round(30 * share / largest), f"{100 * share:.0f}"]
        for path, share in importances.items()
    ]
    show("", ["setting", "", "share (%)"], rows, left=2, worth=["share (%)"])
    count = len(study.scored)
    best = -(-count // 10)  # Optuna's tenth
    tell(
        f"from {counted(count, 'trial')}, {study.states['given up']} of them given up and so"
        f" estimated; the best are {best}: a hint, no more (see --help)"
    )
