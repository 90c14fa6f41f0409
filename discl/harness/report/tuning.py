"""The tuning of a benchmark: its studies in the database, as a table and as rows of charts."""

from __future__ import annotations

from typing import NamedTuple

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
from discl.harness.tuning.space import settings


class StudyLine(NamedTuple):
    """A line of the table of studies."""

    name: str
    trials: int
    given_up: int
    hours: str
    best: str
    settings: str


class TuningSection(NamedTuple):
    """All studies of a benchmark at a scale."""

    studies: list[StudyLine]
    tables: dict[str, Rows]


def tuning_section(
    url: str, benchmark: str, scale: str, part: str | None, notes: list[str]
) -> TuningSection | None:
    """Studies of the benchmark whose name contains `part`; None where there are none.

    Why studies that were asked for are not shown goes into `notes`.
    """
    try:
        studies = _studies(url, benchmark, scale, part)
    except UserError as error:
        if part is not None:
            notes.append(f"no tuning: {error}")
        return None
    if not studies:
        return None
    tables = {
        "trials": [row for study in studies for row in _trial_rows(study)],
        "importance": [row for study in studies for row in _importance_rows(study)],
    }
    lines = [_line(study) for study in studies]
    return TuningSection(lines, {name: rows for name, rows in tables.items() if rows})


def _studies(url: str, benchmark: str, scale: str, part: str | None) -> list[StudySnapshot]:
    with reading(url) as storage:
        of_benchmark = {
            name: definition
            for name, definition in definitions(storage).items()
            if (definition["benchmark"], definition["scale"]) == (benchmark, scale)
        }
        names = choose(of_benchmark, part) if part else sorted(of_benchmark)
        return [snapshot(storage, name) for name in names]


def _line(study: StudySnapshot) -> StudyLine:
    if study.best is None:
        best = "-"
    elif study.objective[0].startswith("val/"):
        best = f"{100 * study.best:.1f}"
    else:
        best = f"{study.best:.4g}"
    winner = winner_of(study.slots, study.objective)
    chosen = settings(winner.params) if winner else {}
    return StudyLine(
        study.name,
        len(study.trials),
        study.states["given up"],
        f"{hours_of(study.slots):.2f}",
        best,
        ", ".join(f"{path} = {canonical_json(value)}" for path, value in chosen.items()) or "-",
    )


def _trial_rows(study: StudySnapshot) -> Rows:
    """Trial x value, and the best so far; percent where the objective is a share."""
    scale = 100.0 if study.objective[0].startswith("val/") else 1.0
    best = None
    rows = []
    for slot, trial in study.trials:
        value = value_of(trial)
        if value is None:
            continue
        state = state_of(trial)
        if state == "complete":
            best = value if best is None else max(value, best)
        rows.append(
            {
                "study": study.name,
                "strategy": study.strategy,
                "trial": slot,
                "state": state,
                "value": round(scale * value, 4),
                "best": None if best is None else round(scale * best, 4),
            }
        )
    return rows


def _importance_rows(study: StudySnapshot) -> Rows:
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
