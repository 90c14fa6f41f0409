"""Charts of trials: the best so far, every run, and two objectives, as Vega-Lite specifications."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from discl.core.errors import UserError
from discl.harness.tuning.history import StudySnapshot
from discl.harness.tuning.plots.setting_charts import axis_scale, axis_title
from discl.harness.tuning.proposals import finished_trial, lower_is_better
from discl.harness.tuning.slots import state_of, value_of

# lines differ in lightness and dash, too
_SHADES = ("#000000", "#808080")
_DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3))
_POINTS = {  # look -> what a Vega point has
    "dot": {"shape": "circle", "fill": "#808080", "stroke": "#808080"},
    "hollow": {"shape": "circle", "fill": "white", "stroke": "#808080"},
    "bar": {"shape": "stroke", "fill": "black", "stroke": "black"},
}
_CHANNELS = ("shape", "fill", "stroke")


class Series(NamedTuple):
    """The points of one entry of the legend."""

    name: str
    look: str  # "steps" for a line, or a key of `_POINTS`
    x: list[float]
    y: list[float]


class SeriesChart(NamedTuple):
    """A chart with two numeric axes."""

    title: str
    x_title: str
    y_title: str
    series: list[Series]


# ---------------------------------------------------------------- charts of trials


def _history(studies: Sequence[StudySnapshot]) -> SeriesChart:
    objectives = sorted({study.objective[0] for study in studies})
    if len(objectives) > 1:
        raise UserError(
            f"these studies have different objectives: {', '.join(objectives)}; name one of them"
        )
    shared = f"{studies[0].sweep}/" if len(studies) > 1 else ""
    series = [
        _best_so_far(study, study.name.removeprefix(shared) if shared else "best so far")
        for study in studies
    ]
    for state, name, look in (
        ("complete", "a trial", "dot"),
        ("given up", "given up (estimate)", "hollow"),
    ):
        dots = [_trials(study, state, name, look) for study in studies]
        x, y = [x for one in dots for x in one.x], [y for one in dots for y in one.y]
        series.append(Series(name, look, x, y))
    return SeriesChart(
        shared.rstrip("/") or studies[0].name,
        "trial, in the order of the budget (number)",
        f"{axis_title(objectives[0])}, mean of {_runs(studies)}",
        [line for line in series if line.x],
    )


def _runs(studies: Sequence[StudySnapshot]) -> str:
    counts = sorted({study.replicates for study in studies})
    return f"{' or '.join(map(str, counts))} run{'s' if counts != [1] else ''}"


def _values(study: StudySnapshot, state: str) -> tuple[list[float], list[float]]:
    """Slots of the trials in a state, and their objective as the axis shows it."""
    scale = axis_scale(study.objective[0])
    slots: list[float] = []
    values: list[float] = []
    for slot, trial in study.trials:
        value = value_of(trial)
        if state_of(trial) == state and value is not None:
            slots.append(float(slot))
            values.append(scale * value)
    return slots, values


def _best_so_far(study: StudySnapshot, name: str) -> Series:
    slots, values = _values(study, "complete")
    if not slots:
        return Series(name, "steps", [], [])
    better = np.minimum if lower_is_better(study.objective[0]) else np.maximum
    best = better.accumulate(values).tolist()
    # the line goes on to the last trial that was proposed
    return Series(name, "steps", [*slots, float(len(study.slots) - 1)], [*best, best[-1]])


def _trials(study: StudySnapshot, state: str, name: str, look: str) -> Series:
    return Series(name, look, *_values(study, state))


def _replicates(studies: Sequence[StudySnapshot]) -> SeriesChart:
    (study,) = studies
    series = [
        _runs_of_trials(study, "complete", "a run", "dot"),
        _runs_of_trials(study, "given up", "a run of a trial that was given up", "hollow"),
        _trials(study, "complete", "mean of a trial", "bar"),
    ]
    return SeriesChart(
        study.name,
        "trial, in the order of the budget (number)",
        f"{axis_title(study.objective[0])}, each of {_runs(studies)}",
        [line for line in series if line.x],
    )


def _runs_of_trials(study: StudySnapshot, state: str, name: str, look: str) -> Series:
    scale = axis_scale(study.objective[0])
    series = Series(name, look, [], [])
    for slot, trial in study.trials:
        if state_of(trial) == state:
            scores = [scale * score for score in finished_trial(trial).scores.values()]
            series.x.extend([float(slot)] * len(scores))
            series.y.extend(scores)
    return series


def _pareto(studies: Sequence[StudySnapshot]) -> SeriesChart:
    (study,) = studies
    if len(study.objective) < 2:
        raise UserError(
            f"{study.name} has one objective, {study.objective[0]}, so no Pareto front; draw --kind"
            " history"
        )
    x_scale, y_scale = map(axis_scale, study.objective)
    series = []
    for name, look, trials in (
        ("a trial", "hollow", study.scored),
        ("no trial is better in both", "dot", study.front),
    ):
        x = [trial.values[0] * x_scale for trial in trials]
        y = [trial.values[1] * y_scale for trial in trials]
        series.append(Series(name, look, x, y))
    x_title, y_title = map(axis_title, study.objective)
    return SeriesChart(study.name, x_title, y_title, series)


CHARTS: Mapping[str, Callable[[Sequence[StudySnapshot]], SeriesChart]] = {
    "history": _history,
    "replicates": _replicates,
    "pareto": _pareto,
}


# ---------------------------------------------------------------- as a Vega-Lite specification


def specification(chart: SeriesChart) -> dict[str, Any]:
    """The chart as Vega-Lite."""
    lines = [series for series in chart.series if series.look == "steps"]
    points = [series for series in chart.series if series.look != "steps"]
    layers = []
    if lines:
        layers.append(_line_layer(lines))
    if points:
        layers.append(_point_layer(points))
    return {
        "title": chart.title,
        "width": 380,
        "height": 230,
        "encoding": {
            "x": _numeric_axis("x", chart.x_title),
            "y": _numeric_axis("y", chart.y_title),
        },
        "layer": layers,
        "resolve": {
            "scale": dict.fromkeys([*_CHANNELS, "strokeDash"], "independent"),
            "legend": dict.fromkeys([*_CHANNELS, "strokeDash"], "independent"),
        },
    }


def _numeric_axis(field: str, title: str) -> dict[str, Any]:
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False, "nice": True},
        "axis": {"tickMinStep": 1} if field == "x" else {},
    }


def _rows(series: Sequence[Series]) -> dict[str, Any]:
    rows = []
    for line in series:
        for x, y in zip(line.x, line.y, strict=True):
            rows.append({"series": line.name, "x": x, "y": y})
    return {"values": rows}


def _line_layer(lines: Sequence[Series]) -> dict[str, Any]:
    names = [series.name for series in lines]
    shades = list(itertools.islice(itertools.cycle(_SHADES), len(names)))
    dashes = list(itertools.islice(itertools.cycle(_DASHES), len(names)))
    return {
        "data": _rows(lines),
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.6},
        "encoding": {
            "stroke": _series_channel(names, shades),
            "strokeDash": _series_channel(names, dashes),
        },
    }


def _point_layer(points: Sequence[Series]) -> dict[str, Any]:
    names = [series.name for series in points]
    return {
        "data": _rows(points),
        "mark": {"type": "point", "size": 50, "opacity": 1},
        "encoding": {
            channel: _series_channel(names, [_POINTS[series.look][channel] for series in points])
            for channel in _CHANNELS
        },
    }


def _series_channel(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": list(names), "range": list(values)},
        "legend": {"orient": "top", "title": None},
    }
