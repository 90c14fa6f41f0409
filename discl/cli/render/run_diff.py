"""Two runs on the terminal, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from discl.cli.render.run_pages import print_table
from discl.cli.render.tables import short_setting, tell
from discl.cli.render.text import percent, points
from discl.harness.inspect.index import COMPLETE

if TYPE_CHECKING:
    from discl.core.conventions import EpochRule
    from discl.harness.inspect.diff import Change, MetricDifference, RunDiff

_COLUMNS = ("A", "B", "B - A, points")


def print_diff(diff: RunDiff, sort: str, most: int, rule: EpochRule, note: str = "") -> None:
    """Print the differences of two runs; `most` metrics and half as many classes, 0 = all."""
    for letter, run in (("A", diff.a), ("B", diff.b)):
        state = "" if run.state == COMPLETE else f"  ({run.state}: {run.why})"
        tell(f"{letter}  {run.id}  {run.name}{state}")
    tell(diff.headline)
    if diff.metrics:
        tell(f"both at {rule.words}{f': {note}' if note else ''}")
    _print_changes("settings", diff.settings)
    _print_changes("recorded beside them; changes no identity", diff.recorded)
    if diff.comparability:
        title = "comparability key: these two may not be in one table"
        _print_changes(title, diff.comparability)
    _print_metric_differences(diff, sort, most)
    _print_class_differences(diff, max(1, most // 2) if most else None)
    if diff.classes_note:
        tell(f"classes are not compared: {diff.classes_note}")


def _print_metric_differences(diff: RunDiff, sort: str, most: int) -> None:
    from discl.harness.inspect.diff import by_size

    titles = {
        metric.metric: title
        for title, metric in {**diff.b.board_metrics, **diff.a.board_metrics}.items()
    }
    on_board = [metric for metric in diff.metrics if metric.metric in titles]
    others = [
        metric for metric in diff.metrics if metric.metric not in titles and metric.difference
    ]
    shown = (sorted(others, key=by_size) if sort == "size" else others)[: most or None]
    if on_board:
        print_table(
            "columns of a board (percent; ± as if the test photos were others each time)",
            ["column", *_COLUMNS],
            [[titles[metric.metric], *_difference_cells(metric)] for metric in on_board],
            worth=_COLUMNS[::-1],
        )
    if shown:
        rows = [[metric.metric, *_difference_cells(metric)] for metric in shown]
        print_table("other metrics", ["metric", *_COLUMNS], rows, worth=_COLUMNS[::-1])
    _print_counts(diff, len(others) - len(shown))


def _difference_cells(metric: MetricDifference) -> list[str]:
    return [percent(metric.a), percent(metric.b), points(metric.difference, metric.error)]


def _print_class_differences(diff: RunDiff, most: int | None) -> None:
    changed = [row for row in diff.classes if row.difference][:most]
    rows = [
        [
            row.a.name,
            row.a.group,
            f"{row.a.photos:,}",
            percent(row.a.recall or 0),
            percent(row.b),
            points(row.difference, None),
        ]
        for row in changed
    ]
    if rows:
        print_table(
            "classes whose recall differs most (percent)",
            ["class", "group", "photos", *_COLUMNS],
            rows,
            left=2,
            worth=_COLUMNS[::-1],
        )


def _print_counts(diff: RunDiff, not_shown: int) -> None:
    """Say how many metrics are equal, and how many differ and are not shown."""
    if not diff.metrics:
        lacking = [f"{run.id} is {run.state}" for run in (diff.a, diff.b) if not run.result]
        tell(f"no metric to compare: {' and '.join(lacking) or 'they have none in common'}")
        return
    equal = sum(metric.difference == 0 for metric in diff.metrics)
    parts = [f"{equal} metrics are equal"] if equal else []
    parts += [f"{not_shown} more differ, --most 0 shows them"] if not_shown else []
    if parts:
        tell("; ".join(parts))


def _print_changes(title: str, changes: Sequence[Change]) -> None:
    if changes:
        rows = [[change.path, _setting(change.a), _setting(change.b)] for change in changes]
        print_table(title, ["setting", "A", "B"], rows, left=3)


def _setting(value: Any) -> str:
    return "(not set)" if value is None else short_setting(value) or "(empty)"
