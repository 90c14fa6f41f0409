"""What tuning found, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from discl.cli.render.tables import short_setting, show

if TYPE_CHECKING:
    from discl.harness.tuning.comparison import Gain, Search


def print_searches(title: str, metric: str, searches: Sequence[Search]) -> None:
    """A line for each strategy: what was tried, and what is best."""
    header = [
        "strategy",
        "best settings",
        "trials",
        "given up",
        "failed",
        "runs",
        "hours",
        "default",
        "best",
    ]
    rows = [
        [
            search.strategy,
            short_setting(search.settings),
            str(search.complete),
            str(search.given_up),
            str(search.failed),
            str(search.runs),
            f"{search.hours:.2f}",
            _percent(search.default),
            _percent(search.best),
        ]
        for search in searches
    ]
    show(
        f"{title}: {metric}, mean over replicates, in percent",
        header,
        rows,
        left=2,
        worth=["best", "default", "best settings", "trials", "failed", "hours"],
        elsewhere="--format json",
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def print_gains(seeds: int, titles: dict[str, str], lines: Sequence[Gain]) -> None:
    """The default settings of each strategy beside the tuned ones, on `seeds` fresh seeds."""
    from discl.harness.leaderboard.wording import percent

    header = ["strategy"]
    for title in titles.values():
        header += [f"{title}, default", f"{title}, tuned", f"{title}, gain"]
    rows = []
    for line in lines:
        cells = [line.strategy]
        for metric in titles:
            cells += [percent(line.default[metric]), percent(line.tuned[metric])]
            cells.append(percent(line.gain[metric], True))
        rows.append(cells)
    show(
        f"default against tuned on {seeds} fresh seeds (percent, mean ± half a 95 % interval;"
        " gains are paired by seed, and the interval of each stands alone)",
        header,
        rows,
        worth=[f"{title}, gain" for title in titles.values()],
        elsewhere="--format json",
    )
