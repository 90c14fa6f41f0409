"""Slices and parallel coordinates of a study, drawn by Optuna's own plots."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from html import escape
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from discl.core.errors import UserError
from discl.core.hashing import canonical_json
from discl.files.disk import atomic_output
from discl.harness.tuning.history import StudySnapshot
from discl.harness.tuning.plots.setting_charts import axis_scale, axis_title, check_several
from discl.harness.tuning.proposals import lower_is_better, quiet
from discl.harness.tuning.slots import in_memory
from discl.harness.tuning.space import settings

KINDS = ("parallel", "slice")
_STYLE = {
    "svg.fonttype": "none",  # words stay words
    "svg.hashsalt": "discl",  # the same study gives the same bytes
    "text.parse_math": False,  # a name with dollars is no formula
    "savefig.dpi": 300,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<style>svg {{ max-width: 100%; height: auto }}</style></head>
<body>
{drawing}
</body>
</html>
"""


def check_installed() -> None:
    """Raises UserError where matplotlib, which Optuna draws with, is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("matplotlib is not installed; pip install 'discl[plots]'")


def draw(study: StudySnapshot, kind: str, path: Path) -> Path:
    """Draw `kind`, one of `KINDS`, as PNG, SVG, or a page that needs no network.

    A dot or a line is a trial with a value; the first of two objectives is shown. Raises UserError
    where the study tunes too little for the kind, or matplotlib is not installed.
    """
    check_installed()
    if kind == "parallel":
        check_several(study, kind)
    form = path.suffix.lower()
    with _drawing(), atomic_output(path) as unfinished:
        figure = _FIGURES[kind](study)
        if form == ".html":
            page = _PAGE.format(title=escape(study.name), drawing=_svg(figure))
            unfinished.write_text(page, "utf-8")
        else:
            unfinished.write_bytes(_bytes(figure, form.removeprefix(".")))
    return path


@contextmanager
def _drawing() -> Iterator[None]:
    """Matplotlib without a window, its settings as they were afterwards."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    with mpl.rc_context(), quiet(), warnings.catch_warnings():
        mpl.use("agg")
        try:
            yield
        finally:
            plt.close("all")


def _bytes(figure: Any, form: str) -> bytes:
    written = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else {}
    figure.savefig(written, format=form, bbox_inches="tight", metadata=metadata)
    return written.getvalue()


def _svg(figure: Any) -> str:
    """The drawing alone, without the declarations that may not stand within a page."""
    written = _bytes(figure, "svg").decode("utf-8")
    return written[written.index("<svg") :]


def _parallel(study: StudySnapshot) -> Any:
    from optuna.visualization import matplotlib as plots

    axes = _styled(lambda: plots.plot_parallel_coordinate(_shown(study), target_name=_name(study)))
    axes.set_title(study.name, y=1.05)
    names = [_name(study), *sorted(study.space)]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    whole = [_whole(label, names) for label in labels]  # Optuna cuts long ones
    axes.set_xticks(axes.get_xticks(), whole, rotation=20, ha="right")
    # dark is good; in Optuna's colours the worst lines would be white on white
    axes.collections[0].set_cmap("viridis" if lower_is_better(study.objective[0]) else "viridis_r")
    figure = axes.get_figure()
    figure.set_size_inches(2.2 * (len(study.space) + 1), 4.2)
    for bar in (one for one in figure.axes if one.get_label() == "<colorbar>"):
        left, bottom, width, height = bar.get_position().bounds
        bar.set_position((left + 0.08, bottom, width, height))  # beside the last axis's numbers
    return _plain_numbers(figure)


def _whole(label: str, names: Sequence[str]) -> str:
    """The name that a label was cut from."""
    begun = label.removesuffix("...")
    return next((name for name in names if begun != label and name.startswith(begun)), label)


def _slice(study: StudySnapshot) -> Any:
    from optuna.visualization import matplotlib as plots

    drawn = _styled(lambda: plots.plot_slice(_shown(study), target_name=_name(study)))
    first = drawn if len(study.space) < 2 else drawn[0]
    figure = first.get_figure()
    if len(study.space) < 2:
        first.set_title(study.name)
    else:
        figure.suptitle(study.name)
        figure.set_size_inches(3.4 * len(study.space) + 1, 4.2)
    return _plain_numbers(figure)


def _plain_numbers(figure: Any) -> Any:
    """Powers of ten as numbers: no text is read as a formula."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                axis.set_major_formatter(lambda value, _: f"{value:g}")
                axis.set_minor_formatter(lambda _value, _place: "")
    return figure


def _styled(plot: Callable[[], Any]) -> Any:
    """A plot in our settings, whatever style Optuna has taken."""
    import matplotlib as mpl

    mpl.rcParams.update(_STYLE)
    drawn = plot()
    mpl.rcParams.update(_STYLE)
    return drawn


_FIGURES: Mapping[str, Callable[[StudySnapshot], Any]] = {"parallel": _parallel, "slice": _slice}


def _name(study: StudySnapshot) -> str:
    return axis_title(study.objective[0])


def _shown(study: StudySnapshot) -> optuna.Study:
    """A copy of the study with one objective, in the unit of its axis, and choices as words."""
    slots = [trial and _readable(trial, study) for trial in study.slots]
    return in_memory(study.name, slots, study.objective[:1])


def _readable(trial: FrozenTrial, study: StudySnapshot) -> FrozenTrial:
    if trial.state != TrialState.COMPLETE:
        return trial
    shown = copy(trial)
    words = {
        path: CategoricalDistribution([_word(choice) for choice in study.space[path].choices])
        for path, distribution in trial.distributions.items()
        if isinstance(distribution, CategoricalDistribution)
    }
    shown.distributions = {**trial.distributions, **words}
    values = settings(trial.params)
    shown.params = {**trial.params, **{path: _word(values[path]) for path in words}}
    shown.values = [trial.values[0] * axis_scale(study.objective[0])]
    return shown


def _word(choice: Any) -> Any:
    """A choice as a plot labels it."""
    return choice if isinstance(choice, bool | int | float | str) else canonical_json(choice)
