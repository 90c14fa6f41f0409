"""Charts of one study that set its settings against its objective, as Vega-Lite specifications."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from optuna.trial import FrozenTrial

from discl.core.errors import UserError
from discl.core.hashing import canonical_json
from discl.harness.tuning.history import StudySnapshot
from discl.harness.tuning.space import settings

GRID = 40  # cells of a contour along each side
_COLOURS = {"scheme": "greys"}  # the darker the better; readable in print


def axis_scale(objective: str) -> float:
    """A val/ metric is a fraction and is shown in percent; a cost is shown as it is."""
    return 100.0 if objective.startswith("val/") else 1.0


def axis_title(objective: str) -> str:
    return f"{objective} (%)" if objective.startswith("val/") else f"{objective} (count)"


# ---------------------------------------------------------------- settings as numbers


class _Axis(NamedTuple):
    """How the values of one setting become positions; choices stand at 0, 1, 2 ..."""

    path: str
    choices: list[str]  # as words; empty for numbers
    log: bool

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    def position(self, value: Any) -> float:
        return float(self.choices.index(canonical_json(value))) if self.choices else float(value)

    def straight(self, values: Any) -> Any:
        """Positions [n], or their logarithms where the axis is logarithmic."""
        return np.log(values) if self.log else np.asarray(values, dtype=float)

    def encoding(self, field: str, end: str = "") -> dict[str, Any]:
        """A Vega-Lite position channel."""
        axis: dict[str, Any] = {"labelAngle": 0}
        if self.choices:
            words = json.dumps(self.choices)
            axis |= {
                "values": list(range(len(self.choices))),
                "labelExpr": f"{words}[datum.value]",
            }
        scale: dict[str, Any] = {"type": "log", "nice": False} if self.log else {"zero": False}
        if self.choices:
            scale |= {"domain": [-0.5, len(self.choices) - 0.5], "nice": False}
        return {
            "field": field,
            "type": "quantitative",
            "title": self.path,
            "scale": scale,
            "axis": axis,
        }


def _axes(study: StudySnapshot) -> list[_Axis]:
    return [
        _Axis(
            path,
            [canonical_json(choice) for choice in dimension.choices],
            dimension.log,
        )
        for path, dimension in sorted(study.space.items())
    ]


def check_several(study: StudySnapshot, kind: str) -> None:
    """Raises UserError where a study tunes one setting, and a kind of picture is of several."""
    if len(study.space) < 2:
        raise UserError(
            f"{study.name} tunes one setting, and a picture of kind {kind} is of several; draw"
            " --kind slice"
        )


def _objective(study: StudySnapshot, trial: FrozenTrial) -> float:
    """The first objective, as its axis shows it."""
    return float(trial.values[0]) * axis_scale(study.objective[0])


def _rows(study: StudySnapshot) -> list[dict[str, Any]]:
    """A row for each trial that has a value: its number, the objective, the settings by path."""
    rows = []
    for trial in study.scored:
        values = settings(trial.params)
        row: dict[str, Any] = {
            "trial": study.slots.index(trial),
            "objective": _objective(study, trial),
        }
        for axis in _axes(study):
            row[axis.path] = axis.position(values[axis.path])
        rows.append(row)
    return rows


def _field(path: str) -> str:
    """A path as Vega-Lite names a field: its dots are no steps into a table."""
    return path.replace(".", "\\.")


# ---------------------------------------------------------------- charts


def _importance(study: StudySnapshot) -> dict[str, Any]:
    shares = study.importances()
    rows = [
        {"setting": path, "share": share, "label": f"{share:.2f}" if share >= 0.01 else "<0.01"}
        for path, share in shares.items()
    ]
    position = {
        "y": {"field": "setting", "type": "nominal", "title": None, "sort": None},
        "x": {"field": "share", "type": "quantitative", "title": "importance (share)"},
    }
    text = {"type": "text", "align": "left", "dx": 3, "fontSize": 9}
    return {
        "title": [study.name, f"what decides {' and '.join(study.objective)}"],
        "width": 300,
        "data": {"values": rows},
        "encoding": position,
        "layer": [
            {"mark": {"type": "bar", "color": "#808080"}},
            {"mark": text, "encoding": {"text": {"field": "label", "type": "nominal"}}},
        ],
    }


def _contour(study: StudySnapshot) -> dict[str, Any]:
    check_several(study, "contour")
    axes = _axes(study)
    rows = _rows(study)
    colour = {
        "field": "objective",
        "type": "quantitative",
        "title": axis_title(study.objective[0]),
        "scale": _COLOURS | {"zero": False},
    }
    pairs = [_pair(rows, x, y, colour) for x, y in itertools.combinations(axes, 2)]
    return {"title": study.name, "columns": 2, "concat": pairs}


def _pair(rows: list[dict[str, Any]], x: _Axis, y: _Axis, colour: Any) -> dict[str, Any]:
    """Two settings: the trials as points on the objective interpolated between them."""
    cells = _interpolated(rows, x, y)
    area = {
        "data": {"values": cells},
        "mark": {"type": "rect", "strokeWidth": 0},
        "encoding": {
            "x": x.encoding("x_low"),
            "x2": {"field": "x_high"},
            "y": y.encoding("y_low"),
            "y2": {"field": "y_high"},
            "fill": colour,
        },
    }
    points = {
        "data": {"values": rows},
        "mark": {"type": "point", "filled": True, "stroke": "black", "strokeWidth": 0.8},
        "encoding": {
            "x": x.encoding(_field(x.path)),
            "y": y.encoding(_field(y.path)),
            "fill": colour,
        },
    }
    return {"width": 200, "height": 180, "layer": [area, points] if cells else [points]}


def _interpolated(rows: list[dict[str, Any]], x: _Axis, y: _Axis) -> list[dict[str, float]]:
    """The objective between the trials, linear over triangles of them; empty where none exist."""
    from scipy.interpolate import griddata
    from scipy.spatial import QhullError

    x_at = x.straight([row[x.path] for row in rows])
    y_at = y.straight([row[y.path] for row in rows])
    x_edges = np.linspace(x_at.min(), x_at.max(), GRID + 1)
    y_edges = np.linspace(y_at.min(), y_at.max(), GRID + 1)
    middles = np.meshgrid((x_edges[1:] + x_edges[:-1]) / 2, (y_edges[1:] + y_edges[:-1]) / 2)
    objective = np.array([row["objective"] for row in rows])
    try:
        values = griddata((x_at, y_at), objective, tuple(middles), rescale=True)
    except QhullError:  # fewer than three points, or all on a line
        return []
    if x.log:
        x_edges = np.exp(x_edges)
    if y.log:
        y_edges = np.exp(y_edges)
    return [
        {
            "x_low": float(x_edges[column]),
            "x_high": float(x_edges[column + 1]),
            "y_low": float(y_edges[row]),
            "y_high": float(y_edges[row + 1]),
            "objective": float(values[row, column]),
        }
        for row, column in np.ndindex(values.shape)
        if np.isfinite(values[row, column])
    ]


CHARTS: Mapping[str, Callable[[StudySnapshot], dict[str, Any]]] = {
    "importance": _importance,
    "contour": _contour,
}
