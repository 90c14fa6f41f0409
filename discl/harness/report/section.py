"""One benchmark of the page: its comparison, charts and tables, as the template asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from discl.core.conventions import other_rule
from discl.core.text import counted
from discl.engine.evaluation.metrics import definitions
from discl.harness.leaderboard.paper_results import PaperResults
from discl.harness.leaderboard.power import of_first_two
from discl.harness.leaderboard.statistics import PairedDifference, SeedSummary
from discl.harness.leaderboard.table import Board
from discl.harness.leaderboard.wording import (
    old_rows,
    one_class,
    percent,
    reading,
    source_of_error,
    warning,
)
from discl.harness.report.chart import DrawnChart, draw_charts
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.tables.confusions import Confusions, confusions
from discl.harness.report.tables.group_scores import GroupScores, group_scores
from discl.harness.report.tables.hard_classes import HardClasses, hard_classes
from discl.harness.run.result_parts import metrics_of_result


@dataclass(frozen=True)
class Section:
    """One benchmark of the page."""

    comparison: Comparison
    gallery: Any = None  # images of the bank, where it is on this machine
    failures: Sequence[Any] = ()
    tuning: Any = None
    # (truth, guess) -> photos of a confused pair, where the photos are on this machine
    pairs: Mapping[tuple[int, int], Any] = field(default_factory=dict)
    group_names: Mapping[int, str] = field(default_factory=dict)  # where they are known here
    notes: Sequence[str] = ()  # what is not shown, and why
    source: str = ""  # the command that made it
    charts: list[DrawnChart] = field(default_factory=list)

    @property
    def board(self) -> Board:
        return self.comparison.board

    @property
    def id(self) -> str:
        return f"{self.board.benchmark}-{self.board.scale}"

    @property
    def number_of_seeds(self) -> str:
        return counted(len(self.board.declared_seeds), "seed")

    @property
    def smallest_p(self) -> str:
        return f"; with {self.number_of_seeds} none can be below {self.board.smallest_p:.3g}"

    @property
    def reading(self) -> str:
        return reading(self.board)

    @property
    def one_class(self) -> str:
        """Runs that call all photos of a split one class; "" without any."""
        return one_class(self.board)

    @property
    def warning(self) -> str:
        """Where the sign of a difference hangs on the epoch that is read."""
        return warning(self.board)

    @property
    def beside(self) -> dict[str, str]:
        """Metric -> title of a column with the numbers of the other epoch."""
        short = other_rule(self.board.rule).short
        return {metric: f"{self.board.columns[metric]}, {short}" for metric in self.board.other}

    @property
    def source_of_error(self) -> str:
        sentences = (source_of_error(self.board), old_rows(self.board))
        return " ".join(filter(None, sentences))

    @property
    def power(self) -> dict[str, str]:
        """Metric -> how many seeds would tell its best two rows apart, where two have it."""
        found = {metric: of_first_two(self.board, metric) for metric in self.board.columns}
        return {metric: sentence for metric, sentence in found.items() if sentence}

    @property
    def published(self) -> Sequence[PaperResults]:
        return self.board.papers

    @property
    def costs(self) -> list[str]:
        """The costs of a run that a reader can choose from."""
        return list(dict.fromkeys(row["cost"] for row in self._rows("costs")))

    @cached_property
    def groups(self) -> GroupScores | None:
        """Accuracy by group of photos."""
        return group_scores(self.comparison, self.group_names)

    @cached_property
    def confusions(self) -> Confusions | None:
        """The most frequent mistakes."""
        return confusions(self.comparison)

    @cached_property
    def hard(self) -> HardClasses | None:
        """What is hard, and what the images are."""
        return hard_classes(self.comparison)

    def _rows(self, chart: str) -> Rows:
        return next((drawn.rows for drawn in self.charts if drawn.id == chart), [])

    @property
    def definitions(self) -> dict[str, str]:
        """Metric -> definition, of the metrics that the runs measured."""
        first = self.board.rows[0].results[0]
        measured = {
            key for row in self.board.rows for result in row.results[:1] for key in result.metrics
        }
        return definitions(measured, np.array(first.counts), metrics_of_result(first))

    @property
    def compared(self) -> list[dict[str, Any]]:
        """Rows of the table of differences, for every baseline and metric."""
        board_rows = {row.strategy: row for row in self.board.rows}
        return [
            {
                "strategy": name,
                "metric": metric,
                "baseline": baseline,
                "complete": board_rows[name].complete,
                "cells": _cells(difference, board_rows[name].metrics[metric]),
            }
            for baseline, by_metric in self.comparison.differences.items()
            for metric, by_strategy in by_metric.items()
            for name, difference in sorted(by_strategy.items(), key=_largest_first)
        ]

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Rows of the table of runs."""
        return [
            {
                "id": result.id,
                "strategy": result.strategy,
                "seed": result.seed,
                "epoch": result.chosen_epoch + 1,
                "minutes": f"{result.cost['seconds'] / 60:.1f}",
                "commit": result.provenance.get("commit", "?"),
                "command": result.provenance.get("command", "-"),
            }
            for row in self.board.rows
            for result in row.results
        ]


def _largest_first(named: tuple[str, PairedDifference]) -> float:
    mean = named[1].mean
    return -mean.mean if mean.n else 1.0


def _cells(difference: PairedDifference, summary: SeedSummary) -> list[tuple[Any, str]]:
    """(value to sort by, text) of every column."""
    gain = difference.mean
    star = "*" if gain.excludes_zero() else ""
    middles = [
        (f"{100 * estimate.mean:.6g}" if estimate.n else "", percent(estimate))
        for estimate in (summary.median, summary.iqm)
    ]
    return [
        (f"{100 * gain.mean:.6g}", percent(gain, signed=True) + star) if gain.n else ("", "-"),
        _cell(difference.p, "{:.3g}"),
        _cell(difference.p_holm, "{:.3g}"),
        _cell(difference.improvement if gain.n > 1 else None, "{:.2f}"),
        *middles,
        _cell(summary.seed_sd, "{:.1f}", 100),
        _cell(summary.test_se, "{:.1f}", 100),
    ]


def _cell(value: float | None, text: str, scale: float = 1.0) -> tuple[Any, str]:
    return ("", "-") if value is None else (f"{scale * value:.6g}", text.format(scale * value))


def draw_section(comparison: Comparison, **more: Any) -> Section:
    """A section with its charts drawn; `more` are the other fields of Section."""
    if tuning := more.get("tuning"):
        comparison = replace(comparison, tuning_rows=tuning.tables)
    return Section(comparison, charts=draw_charts(comparison), **more)
