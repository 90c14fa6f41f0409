"""Figures for papers: the report's comparison as vector graphics, legible in grey, the same bytes
from the same runs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.files.disk import delivering, write_text
from discl.harness.leaderboard.table import comparability_line, reading
from discl.harness.report.style import level_colours, looks
from discl.harness.report.tables import SPENT, Facts, Rows, tables

MARKERS = {
    "circle": "o",
    "diamond": "D",
    "square": "s",
    "cross": "P",
}  # of a shape, as matplotlib calls it
MARKERS |= {"triangle-up": "^", "triangle-down": "v", "triangle-right": ">", "triangle-left": "<"}
WIDTH = 3.4  # inches: a column of most conferences


class _Drawer:
    """Draws the figures of one benchmark."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.tables = tables(facts)
        self.looks = looks(facts.strategies)

    def rows(self, name: str, **of: Any) -> Rows:
        return [
            row
            for row in self.tables.get(name, [])
            if all(row[key] == value for key, value in of.items())
        ]

    def marker(self, strategy: str, size: float = 5) -> dict[str, Any]:
        look = self.looks[strategy]
        return {
            "marker": MARKERS[look.shape],
            "color": look.light,
            "markersize": size,
            "label": plain(strategy),
        }

    # ------------------------------------------------------------ figures

    def differences(self, axes: Any) -> str:
        metric = self.facts.metric
        base = self.facts.board.baselines[0]
        rows = self.rows("differences", metric=metric, baseline=base)
        for place, row in enumerate(reversed(rows)):
            look = self.marker(row["strategy"])
            axes.plot(
                row["mean"],
                place,
                **look,
                linestyle="",
                markerfacecolor=look["color"] if row["clear"] else "white",
            )
            if row["low"] is not None:
                axes.plot(
                    [row["low"], row["high"]],
                    [place, place],
                    color=look["color"],
                    linewidth=1.3,
                    zorder=1,
                )
        axes.axvline(0, color="0.4", linewidth=0.8)
        axes.set_yticks(range(len(rows)), [plain(row["strategy"]) for row in reversed(rows)])
        axes.set_xlabel(f"difference to {plain(base)}, {self._title(metric)} (points)")
        return (
            f"Difference to {base} paired by seed, {self._title(metric)}, points; lines are 95 %"
            " intervals, filled marks exclude zero."
        )

    def chain(self, axes: Any) -> str:
        rows = self.rows("chain", metric=self.facts.metric)
        for place, row in enumerate(reversed(rows)):
            axes.plot(row["mean"], place, **self.marker(row["strategy"]), linestyle="")
            if row["low"] is not None:
                axes.plot(
                    [row["low"], row["high"]],
                    [place, place],
                    color=self.looks[row["strategy"]].light,
                    linewidth=1.3,
                    zorder=1,
                )
        axes.axvline(0, color="0.4", linewidth=0.8)
        axes.set_yticks(range(len(rows)), [plain(row["label"]) for row in reversed(rows)])
        axes.set_xlabel(f"gain, {self._title(self.facts.metric)} (points)")
        return (
            "What rebalancing, synthesis and order add one after the other, points, paired by seed;"
            " lines are 95 % intervals."
        )

    def groups(self, axes: Any) -> str:
        rows = self.tables["groups"]
        names = [
            name for name in ("many", "medium", "few") if any(row["group"] == name for row in rows)
        ]
        wide = 0.8 / len(self.looks)
        for place, strategy in enumerate(self.looks):
            mine = {row["group"]: row for row in rows if row["strategy"] == strategy}
            at = [i - 0.4 + (place + 0.5) * wide for i, name in enumerate(names) if name in mine]
            there = [mine[name] for name in names if name in mine]
            half = [0.0 if row["low"] is None else row["mean"] - row["low"] for row in there]
            style = {
                "color": self.looks[strategy].light,
                "hatch": HATCHES[place % len(HATCHES)],
                "edgecolor": "white",
                "linewidth": 0,
            }
            ends = {
                "yerr": half if any(half) else None,
                "error_kw": {"linewidth": 0.7, "ecolor": "0.15"},
            }
            axes.bar(
                at,
                [row["mean"] for row in there],
                wide * 0.92,
                label=plain(strategy),
                **style,
                **ends,
            )
        axes.set_xticks(range(len(names)), names)
        axes.set_ylabel("recall (%)")
        return (
            "Mean recall of classes with many, medium and few real training photos; lines are 95 %"
            " intervals over seeds."
        )

    def classes(self, axes: Any) -> str:
        rows = self.tables["classes"]
        names = {row["order"]: row["class"] for row in rows}
        for strategy in self.looks:
            mine = [row for row in rows if row["strategy"] == strategy]
            axes.plot(
                [row["order"] for row in mine],
                [row["mean"] for row in mine],
                **self.marker(strategy, 3.5),
                linewidth=0.7,
            )
        axes.set_xticks(
            sorted(names),
            [plain(names[place]) for place in sorted(names)],
            rotation=40,
            ha="right",
            rotation_mode="anchor",
        )
        axes.set_ylabel("recall (%)")
        return (
            "Recall of each class, from the one with most real training photos to the one with"
            " fewest; mean over seeds."
        )

    def levels(self, axes: Any) -> str:
        rows = self.tables["levels"]
        names = [name for name in self.looks if any(row["strategy"] == name for row in rows)]
        colours = level_colours(sorted({row["level"] for row in rows}))
        for place, strategy in enumerate(reversed(names)):
            for row in (row for row in rows if row["strategy"] == strategy):
                low = place - 0.4 + 0.008 * row["from"]
                tall = 0.008 * row["share"]
                axes.bar(
                    row["epoch"], tall, 1.0, bottom=low, color=colours[row["level"]], linewidth=0
                )
        axes.set_yticks(range(len(names)), [plain(name) for name in reversed(names)])
        axes.set_xlabel("epoch")
        handles = [_patch(colours[level], f"{level} %") for level in colours]
        axes.figure.legend(
            handles=handles,
            loc="outside upper center",
            ncols=len(handles),
            frameon=False,
            fontsize=7,
            handlelength=1,
        )
        return (
            "Share of each guidance level in every epoch, mean over seeds; 100 % is the photo"
            " itself, 0 % text alone."
        )

    def val(self, axes: Any) -> str:
        return self._curve(axes, "val", f"{self.facts.histories.chosen} (%)")

    def loss(self, axes: Any) -> str:
        return self._curve(axes, "loss", "training loss")

    def _curve(self, axes: Any, name: str, up: str) -> str:
        for strategy, rows in groupby(self.tables[name], lambda row: row["strategy"]):
            mine = list(rows)
            look = self.looks[strategy]
            x = [row["epoch"] for row in mine]
            axes.plot(
                x,
                [row["mean"] for row in mine],
                **self.marker(strategy, 3),
                linewidth=1.1,
                linestyle=_dash(look.dash),
            )
            axes.fill_between(
                x,
                [row["low"] for row in mine],
                [row["high"] for row in mine],
                color=look.light,
                alpha=0.13,
                linewidth=0,
            )
        axes.set(xlabel="epoch", ylabel=up)
        return f"{up} over epochs, mean and 95 % band over seeds."

    def places(self, axes: Any) -> str:
        for row in self.tables["places"]:
            ends = {
                f"{way}err": (
                    None if row[f"{key}_low"] is None else row[f"{key}_mean"] - row[f"{key}_low"]
                )
                for way, key in (("x", "id"), ("y", "ood"))
            }
            axes.errorbar(
                row["id_mean"],
                row["ood_mean"],
                **ends,
                **self.marker(row["strategy"]),
                linestyle="",
                elinewidth=0.7,
            )
        axes.set(
            xlabel=f"{self._title(self.facts.board.first)}, at home (%)",
            ylabel="out of distribution (%)",
        )
        return (
            "Test photos from home against photos from elsewhere; crosses are 95 % intervals over"
            " seeds."
        )

    def costs(self, axes: Any) -> str:
        for row in self.rows("costs", metric=self.facts.metric, cost=SPENT["denoising_steps"]):
            half = None if row["low"] is None else row["mean"] - row["low"]
            axes.errorbar(
                row["spent"],
                row["mean"],
                yerr=half,
                **self.marker(row["strategy"]),
                linestyle="",
                elinewidth=0.7,
            )
        axes.set(
            xlabel="denoising steps of the bank", ylabel=f"{self._title(self.facts.metric)} (%)"
        )
        return (
            "Denoising steps of the images a run needs, against what it reaches; every run takes"
            " the same number of optimiser steps."
        )

    def _title(self, metric: str) -> str:
        return self.facts.board.columns[metric]


HATCHES = ("", "///", "..", "\\\\\\", "xx", "---", "++", "|||")


def figures(facts: Facts, folder: Path, formats: Sequence[str], command: str) -> list[Path]:
    """Write every figure there are data for, and a text with their captions; returns the files."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("figures need matplotlib; pip install 'discl[report]'")
    drawer = _Drawer(facts)
    written = []
    captions = []
    stem = f"{facts.board.benchmark}-{facts.board.scale}"
    for name, draw, table, legend in _known(drawer):
        if drawer.tables.get(table):
            paths = [folder / f"{stem}-{name}.{form}" for form in formats]
            captions.append((paths[0].stem, _drawn(draw, len(facts.strategies), legend, paths)))
            written += paths
    text = folder / f"{stem}-captions.txt"
    write_text(text, _captions(facts, captions, command))
    return [*written, text]


def _known(drawer: _Drawer) -> list[tuple[str, Callable[[Any], str], str, bool]]:
    """(name, who draws, the table it needs, whether it wants a legend of strategies)."""
    return [
        ("differences", drawer.differences, "differences", False),
        ("chain", drawer.chain, "chain", False),
        ("groups", drawer.groups, "groups", True),
        ("classes", drawer.classes, "classes", True),
        ("levels", drawer.levels, "levels", False),
        ("val", drawer.val, "val", True),
        ("loss", drawer.loss, "loss", True),
        ("ood", drawer.places, "places", True),
        ("cost", drawer.costs, "costs", True),
    ]


def _drawn(draw: Callable[[Any], str], strategies: int, legend: bool, paths: Sequence[Path]) -> str:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tall = 2.4 if legend else max(1.6, 0.28 * strategies + 0.7)
    with rc_context(dict(SETTINGS)):
        figure = Figure(
            figsize=(WIDTH, tall + (0.17 * -(-strategies // 3) if legend else 0)),
            layout="constrained",
        )
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        caption = draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        if legend:
            figure.legend(
                loc="outside upper center",
                ncols=3,
                frameon=False,
                fontsize=7,
                columnspacing=1,
                handletextpad=0.4,
            )
        for path in paths:
            with delivering(path) as half:
                form = path.suffix.removeprefix(".")
                figure.savefig(
                    half, format=form, dpi=300, facecolor="white", metadata=_UNDATED[form]
                )
    return caption


SETTINGS: Mapping[str, Any] = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "discl",
    "font.size": 8,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.4,
    "font.family": "DejaVu Sans",
    "axes.grid": False,
}
_UNDATED: Mapping[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {"Software": None},
}


def _patch(colour: str, label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=colour, label=label)


def _dash(dash: Sequence[int]) -> Any:
    return (0, tuple(dash)) if dash else "-"


def plain(text: str) -> str:
    """No formula, no endless name."""
    text = text.replace("$", r"\$")
    return text if len(text) <= 32 else text[:31] + "…"


def _captions(facts: Facts, captions: Sequence[tuple[str, str]], command: str) -> str:
    made = facts.board
    lines = [
        f"{made.title}, scale {made.scale}; {len(made.declared_seeds)} seeds.",
        f"Answer: {facts.answer.sentence}",
        "",
    ]
    lines += [f"{name}: {caption}" for name, caption in captions]
    lines += [
        "",
        reading(made),
        "",
        f"Figures: {command}",
        f"Runs: {made.command}",
        f"Comparability key: {comparability_line(made)}.",
    ]
    return "\n".join(
        [*lines, f"Code: {'; '.join(made.code)}. Hardware: {'; '.join(made.hardware)}.", ""]
    )
