"""Pictures of studies: some by Optuna, and those that know of slots and replicates; PNG and SVG by
matplotlib, HTML by plotly.
"""

from __future__ import annotations

import importlib
import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna

from discl.core.errors import UserError
from discl.files.disk import check_deliverable, delivering
from discl.harness.tuning.history import (
    StudySnapshot,
    importances,
    scored,
    state_of,
    told,
    value_of,
)
from discl.harness.tuning.proposals import frozen, quiet

# tell lines apart without colour: share of white, and matplotlib's and plotly's words for a dash
_LINES = list(
    zip(
        (0.0, 0.5, 0.0, 0.5, 0.0, 0.5),
        ("-", "--", ":", "-", "-.", ":"),
        ("solid", "dash", "dot", "solid", "dashdot", "dot"),
        strict=True,
    )
)


class Marks(NamedTuple):
    """One thing of a chart, in one of `_LOOKS`."""

    name: str
    look: str
    x: list[float]
    y: list[float]


class Chart(NamedTuple):
    """A chart of our own, to be drawn by either library."""

    title: str
    across: str
    up: str
    marks: list[Marks]


def check_picture(path: Path) -> None:
    """Raise now what `draw` would raise about the file after reading the studies."""
    if path.suffix.lower() not in _WRITERS:
        raise UserError(f"{str(path)!r}: a picture is a .png, .svg or .html file")
    library = _WRITERS[path.suffix.lower()].library
    try:
        importlib.import_module(library)
    except ImportError as error:
        raise UserError(f"{library} is not installed; pip install 'discl[plots]'") from error
    check_deliverable(path)


def draw(studies: Sequence[StudySnapshot], kind: str | None, path: Path) -> Path:
    """Draw studies of one sweep; only a history holds several.

    Without a kind: history, or pareto where there are two objectives.
    """
    check_picture(path)
    kind = kind or ("pareto" if len(studies[0].objective) > 1 else "history")
    for study in studies:
        if not scored(study):
            raise UserError(
                f"{study.name}: no trial is over yet, so there is nothing to draw; let the sweep go"
                " on first"
            )
    if len(studies) > 1 and kind != "history":
        raise UserError(
            f"a picture of kind {kind} is of one study; name one of"
            f" {', '.join(study.name for study in studies)}"
        )
    writer = _WRITERS[path.suffix.lower()]
    with warnings.catch_warnings(), quiet(), delivering(path) as half:
        warnings.simplefilter(
            "ignore", UserWarning
        )  # what Optuna says of small studies, the command says itself
        if kind in CHARTS:
            writer.chart(CHARTS[kind](studies), half, path.suffix.lower())
        else:
            writer.optunas(studies[0], kind, half, path.suffix.lower())
    return path


# ---------------------------------------------------------------- charts of our own


def _percent(key: str) -> float:
    return 100.0 if key.startswith("val/") else 1.0


def _label(key: str) -> str:
    return f"{key} (%)" if key.startswith("val/") else f"{key} (count)"


def _history(studies: Sequence[StudySnapshot]) -> Chart:
    if len({study.objective[0] for study in studies}) > 1:
        raise UserError(
            "these studies have different objectives:"
            f" {', '.join(sorted({study.objective[0] for study in studies}))}; name one of them"
        )
    key = studies[0].objective[0]
    scale = _percent(studies[0].objective[0])
    shared = f"{studies[0].sweep}/" if len(studies) > 1 else ""
    marks = [
        _best_so_far(study, study.name.removeprefix(shared) if shared else "best so far", scale)
        for study in studies
    ]
    if not shared:
        marks += [
            _trials(studies[0], state, look, scale)
            for state, look in (("complete", "dot"), ("given up", "hollow"))
        ]
    title = shared.rstrip("/") or studies[0].name
    return Chart(
        title,
        "trial, in the order of the budget (number)",
        f"{_label(key)}, mean of {_runs(studies)}",
        [each for each in marks if each.x],
    )


def _runs(studies: Sequence[StudySnapshot]) -> str:
    counts = sorted({study.replicates for study in studies})
    return f"{' or '.join(map(str, counts))} run{'s' if counts != [1] else ''}"


def _best_so_far(study: StudySnapshot, name: str, scale: float) -> Marks:
    whole = [
        (slot, value)
        for slot, trial in study.trials
        if state_of(trial) == "complete" and (value := value_of(trial)) is not None
    ]
    best = np.maximum.accumulate([scale * value for _, value in whole]) if whole else np.array([])
    x = [float(slot) for slot, _ in whole]
    # the last one goes on to the end of what was tried
    return Marks(
        name,
        "steps",
        [*x, float(len(study.slots) - 1)] if x else [],
        [*best.tolist(), *best[-1:].tolist()],
    )


def _trials(study: StudySnapshot, state: str, look: str, scale: float) -> Marks:
    there = [
        (float(slot), scale * value)
        for slot, trial in study.trials
        if state_of(trial) == state and (value := value_of(trial)) is not None
    ]
    words = {"complete": "a trial", "given up": "given up (estimate)"}
    return Marks(words[state], look, [slot for slot, _ in there], [value for _, value in there])


def _replicates(studies: Sequence[StudySnapshot]) -> Chart:
    (study,) = studies
    scale = _percent(study.objective[0])
    marks = []
    for state, look, name in (
        ("complete", "dot", "a run"),
        ("given up", "hollow", "a run of a trial that was given up"),
    ):
        there = [
            (slot, frozen(trial).scores) for slot, trial in study.trials if state_of(trial) == state
        ]
        points = [
            (float(slot), scale * score) for slot, scores in there for score in scores.values()
        ]
        marks.append(Marks(name, look, [x for x, _ in points], [y for _, y in points]))
    whole = [
        (float(slot), scale * frozen(trial).mean)
        for slot, trial in study.trials
        if state_of(trial) == "complete"
    ]
    marks.append(Marks("mean of a trial", "bar", [x for x, _ in whole], [y for _, y in whole]))
    up = f"{_label(study.objective[0])}, each of {_runs(studies)}"
    return Chart(
        study.name,
        "trial, in the order of the budget (number)",
        up,
        [each for each in marks if each.x],
    )


def _pareto(studies: Sequence[StudySnapshot]) -> Chart:
    (study,) = studies
    if len(study.objective) < 2:
        raise UserError(
            f"{study.name} has one objective, {study.objective[0]}, so no Pareto front; draw --kind"
            " history"
        )
    scales = [_percent(key) for key in study.objective]
    marks = []
    for name, look, trials in (
        ("a trial", "hollow", scored(study)),
        ("no trial is better in both", "dot", study.front),
    ):
        points = [
            [value * scale for value, scale in zip(trial.values, scales, strict=True)]
            for trial in trials
        ]
        marks.append(Marks(name, look, [x for x, _ in points], [y for _, y in points]))
    across, up = map(_label, study.objective)
    return Chart(study.name, across, up, marks)


CHARTS: Mapping[str, Callable[[Sequence[StudySnapshot]], Chart]] = {
    "history": _history,
    "replicates": _replicates,
    "pareto": _pareto,
}
OPTUNAS = {
    "importance": "plot_param_importances",
    "parallel": "plot_parallel_coordinate",
    "slice": "plot_slice",
    "contour": "plot_contour",
}
KINDS = (*CHARTS, *OPTUNAS)


class _OfAllObjectives(optuna.importance.PedAnovaImportanceEvaluator):
    """What leads to the Pareto front.

    Optuna's picture asks for one objective after the other, each as if the least were the best.
    """

    def evaluate(
        self, study: optuna.Study, params: list[str] | None = None, *, target: Any = None
    ) -> dict[str, float]:
        return super().evaluate(study, params=params)


def _plotted(module: Any, study: StudySnapshot, kind: str, words: Callable[[str], str]) -> Any:
    """Optuna's picture, of values in percent."""
    scales = [_percent(key) for key in study.objective]
    key = study.objective[0]
    if kind == "importance":
        importances(study)  # refuses what is too little
        return module.plot_param_importances(
            told(study, None, scales, words),
            _OfAllObjectives(),
            target=lambda trial: trial.values[0],
            target_name=words(" and ".join(study.objective)),
        )
    if kind != "slice" and len(study.space) < 2:
        raise UserError(
            f"{study.name} tunes one setting, and a picture of kind {kind} is of several; draw"
            " --kind slice"
        )
    return getattr(module, OPTUNAS[kind])(
        told(study, 1, scales, words), target_name=words(_label(key))
    )


# ---------------------------------------------------------------- matplotlib

_DOTS: Mapping[str, dict[str, Any]] = {
    "dot": {"marker": "o", "linestyle": "", "color": "0.35", "markersize": 4},
    "hollow": {
        "marker": "o",
        "linestyle": "",
        "markerfacecolor": "white",
        "markeredgecolor": "0.35",
        "markersize": 4,
    },
    "bar": {"marker": "_", "linestyle": "", "color": "0", "markersize": 9, "markeredgewidth": 1.5},
}


def _settings(size: tuple[float, float]) -> dict[str, Any]:
    """No random ids in SVG: the same study gives the same file."""
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "discl",
        "figure.figsize": size,
        "figure.autolayout": False,
    }


def _no_formula(words: str) -> str:
    return words.replace("$", r"\$")


def _save(figure: Any, half: Path, suffix: str) -> None:
    kind = suffix.removeprefix(".")
    figure.savefig(
        half,
        format=kind,
        dpi=200,
        bbox_inches="tight",
        facecolor="white",
        metadata={"Date": None} if kind == "svg" else None,
    )


def _draw_chart(chart: Chart, half: Path, suffix: str) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with rc_context({**_settings((5.4, 3.4)), "font.size": 9}):
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        lines = itertools.cycle(_LINES)
        for each in chart.marks:
            if each.look == "steps":
                shade, style, _ = next(lines)
                axes.step(
                    each.x,
                    each.y,
                    where="post",
                    color=str(shade),
                    linestyle=style,
                    linewidth=1.6,
                    label=_no_formula(each.name),
                )
            else:
                axes.plot(each.x, each.y, label=_no_formula(each.name), **_DOTS[each.look])
        axes.set(xlabel=chart.across, ylabel=_no_formula(chart.up))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(
            loc="outside upper center", ncols=3, frameon=False, title=_no_formula(chart.title)
        )
        _save(figure, half, suffix)


def _draw_optunas(study: StudySnapshot, kind: str, half: Path, suffix: str) -> None:
    import matplotlib as mpl
    from optuna.visualization import matplotlib as pictures

    mpl.use("agg")
    from matplotlib import pyplot

    count = len(study.space)
    sizes = {
        "contour": (2.2 * max(count, 2) + 1, 2.0 * max(count, 2)),
        "parallel": (2.0 * count + 2, 4.0),
    }
    # Optuna sets a style for good
    with mpl.rc_context(_settings(sizes.get(kind, (6.4, 4.2)))):
        axes = np.ravel(_plotted(pictures, study, kind, _no_formula))
        figure = axes[0].figure
        try:
            for each in figure.axes:
                _tidy(each)
            for each in axes if len(axes) > 1 else ():
                each.label_outer(remove_inner_ticks=True)
            figure.suptitle(_no_formula(study.name), fontsize=10, y=0.96)
            _save(figure, half, suffix)
        finally:
            pyplot.close(figure)


def _tidy(axes: Any) -> None:
    """No title that repeats the kind; words that do not run into each other."""
    axes.set_title("")
    axes.set_title("", loc="left")
    axes.tick_params(which="both", labelsize=7)
    if axes.get_xscale() == "log":
        axes.tick_params(axis="x", which="both", labelrotation=45)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_size(7)


# ---------------------------------------------------------------- plotly

_HTML_DOTS: Mapping[str, dict[str, Any]] = {
    "dot": {"symbol": "circle", "color": "#595959", "size": 8},
    "hollow": {"symbol": "circle-open", "color": "#595959", "size": 8},
    "bar": {"symbol": "line-ew-open", "color": "#000000", "size": 14, "line": {"width": 2}},
}


def _write_chart(chart: Chart, half: Path, suffix: str) -> None:
    from plotly.graph_objects import Figure, Scatter

    figure = Figure()
    lines = itertools.cycle(_LINES)
    for each in chart.marks:
        if each.look == "steps":
            shade, _, dash = next(lines)
            line = {
                "shape": "hv",
                "dash": dash,
                "color": f"rgb({255 * shade:.0f}, {255 * shade:.0f}, {255 * shade:.0f})",
            }
            figure.add_trace(
                Scatter(x=each.x, y=each.y, name=escape(each.name), mode="lines", line=line)
            )
        else:
            figure.add_trace(
                Scatter(
                    x=each.x,
                    y=each.y,
                    name=escape(each.name),
                    mode="markers",
                    marker=_HTML_DOTS[each.look],
                )
            )
    figure.update_layout(
        template="plotly_white", xaxis_title=escape(chart.across), yaxis_title=escape(chart.up)
    )
    _write(figure, chart.title, half)


def _write_optunas(study: StudySnapshot, kind: str, half: Path, suffix: str) -> None:
    from optuna import visualization as pictures

    # plotly reads a part of HTML in words
    _write(_plotted(pictures, study, kind, escape), study.name, half)


def _write(figure: Any, title: str, half: Path) -> None:
    figure.update_layout(title=escape(title))
    half.write_text(figure.to_html(include_plotlyjs=True, full_html=True), "utf-8")


class _Writer(NamedTuple):
    library: str
    chart: Callable[[Chart, Path, str], None]
    optunas: Callable[[StudySnapshot, str, Path, str], None]


_MATPLOTLIB = _Writer("matplotlib", _draw_chart, _draw_optunas)
_WRITERS = {
    ".png": _MATPLOTLIB,
    ".svg": _MATPLOTLIB,
    ".html": _Writer("plotly", _write_chart, _write_optunas),
}
