"""Draws studies: PNG, SVG, or a page that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from discl.core.errors import UserError
from discl.files.vega import check_picture as check_file
from discl.files.vega import write_picture
from discl.harness.tuning.history import StudySnapshot
from discl.harness.tuning.plots import optuna_plots, setting_charts, trial_charts

FORMATS = (".png", ".svg", ".html")
KINDS = (*trial_charts.CHARTS, *setting_charts.CHARTS, *optuna_plots.KINDS)


def check_picture(path: Path) -> None:
    """Raise before the studies are read what `draw` would raise about the file.

    Raises UserError where the ending is unknown, the renderer is missing, or the file cannot be
    written.
    """
    check_file(path, FORMATS, "plots")


def draw(studies: Sequence[StudySnapshot], kind: str | None, path: Path) -> Path:
    """Draw studies of one sweep; only a history holds several.

    Without a kind: history, or pareto where there are two objectives. Raises UserError where there
    is nothing to draw, or the kind does not fit the studies.
    """
    check_picture(path)
    kind = kind or ("pareto" if len(studies[0].objective) > 1 else "history")
    for study in studies:
        if not study.scored:
            raise UserError(
                f"{study.name}: no trial is over yet, so there is nothing to draw; let the sweep go"
                " on first"
            )
    if len(studies) > 1 and kind != "history":
        raise UserError(
            f"a picture of kind {kind} is of one study; name one of"
            f" {', '.join(study.name for study in studies)}"
        )
    if kind in trial_charts.CHARTS:
        chart = trial_charts.CHARTS[kind](studies)
        return write_picture(trial_charts.specification(chart), path, chart.title)
    if kind in optuna_plots.KINDS:
        return optuna_plots.draw(studies[0], kind, path)
    spec = setting_charts.CHARTS[kind](studies[0])
    return write_picture(spec, path, studies[0].name)
