"""What tuning found on a benchmark, from the studies in the database."""

from __future__ import annotations

from typing import Any, NamedTuple

from discl.core.errors import UserError
from discl.core.hashing import canonical_json
from discl.harness.report.comparison import Rows
from discl.harness.tuning.history import (
    LEAST_TRIALS,
    StudySnapshot,
    choose,
    definitions,
    reading,
    snapshot,
)
from discl.harness.tuning.slots import hours_of, state_of, value_of, winner_of


class Study(NamedTuple):
    """A line of the table."""

    name: str
    trials: int
    given_up: int
    hours: str
    best: str
    settings: str


class Tuning(NamedTuple):
    """All studies of a benchmark at a scale."""

    studies: list[Study]
    tables: dict[str, Rows]


def tuning(
    url: str, benchmark: str, scale: str, part: str | None, notes: list[str]
) -> Tuning | None:
    """Studies of the benchmark whose name `part` fits; None where there are none."""
    try:
        with reading(url) as storage:
            mine = {
                name: said
                for name, said in definitions(storage).items()
                if (said["benchmark"], said["scale"]) == (benchmark, scale)
            }
            views = [
                snapshot(storage, name) for name in (choose(mine, part) if part else sorted(mine))
            ]
    except UserError as error:
        if part is None:  # nobody asked for studies
            return None
        notes.append(f"no tuning: {error}")
        return None
    if not views:
        return None
    tables = {
        "trials": [row for each in views for row in _history(each)],
        "importance": [row for each in views for row in _importance(each)],
    }
    return Tuning(
        [_line(each) for each in views], {name: rows for name, rows in tables.items() if rows}
    )


def _line(study: StudySnapshot) -> Study:
    winner = winner_of(study.slots, study.objective)
    best = (
        "-"
        if study.best is None
        else f"{100 * study.best:.1f}"
        if study.objective[0].startswith("val/")
        else f"{study.best:.4g}"
    )
    chosen = (
        ", ".join(f"{path} = {canonical_json(value)}" for path, value in _settings(winner).items())
        if winner
        else "-"
    )
    return Study(
        study.name,
        len(study.trials),
        study.states["given up"],
        f"{hours_of(study.slots):.2f}",
        best,
        chosen,
    )


def _settings(trial: Any) -> dict[str, Any]:
    from discl.harness.tuning.space import settings

    return settings(trial.params)


def _history(study: StudySnapshot) -> Rows:
    """Trial x value, and the best so far; percent where the objective is a share."""
    scale = 100.0 if study.objective[0].startswith("val/") else 1.0
    best = None
    rows = []
    for slot, trial in study.trials:
        value = value_of(trial)
        state = state_of(trial)
        if value is None:
            continue
        if state == "complete":
            best = max(value, best) if best is not None else value
        rows.append(
            {
                "study": study.name,
                "strategy": study.strategy,
                "trial": slot,
                "state": state,
                "value": round(scale * value, 4),
            }
            | {"best": None if best is None else round(scale * best, 4)}
        )
    return rows


def _importance(study: StudySnapshot) -> Rows:
    if len(study.scored) < LEAST_TRIALS or not study.space:
        return []
    return [
        {
            "study": study.name,
            "strategy": study.strategy,
            "path": path,
            "share": round(100 * share, 2),
        }
        for path, share in study.importances().items()
    ]
