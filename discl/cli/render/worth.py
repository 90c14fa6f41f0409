"""What levels are worth, on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discl.cli.render.tables import show, tell
from discl.core.text import echo, typed

if TYPE_CHECKING:
    from discl.harness.worth.levels import WorthCurve


def print_worth(curve: WorthCurve) -> None:
    """The worth of each level, the levels that are proposed, and the command that takes them."""
    from discl.harness.worth.levels import METRICS

    metrics = list(curve.levels[0].metrics)
    proposed = {*curve.proposal.levels}
    rows = [
        [
            f"{row.level}" + (" (photos)" if row.level == 100 else ""),
            *(_percent(row.metrics[metric]) for metric in metrics),
            str(row.metrics[metrics[0]].n),
            "x" if row.level in proposed else "",
        ]
        for row in curve.levels
    ]
    show(
        f"{curve.benchmark} at scale {curve.scale}: worth of each level alone, {curve.epochs}"
        " epochs, percent on val",
        ["level", *(METRICS[metric] for metric in metrics), "seeds", "proposed"],
        rows,
        worth=[METRICS[curve.metric], "proposed"],
        elsewhere="--format json",
    )
    tell(f"proposal, by {METRICS[curve.metric]}: {curve.proposal.why}")
    listed = ",".join(map(str, curve.proposal.levels))
    setting = f"levels=[{listed}]"
    echo(typed("discl", "bench", curve.benchmark, "--scale", curve.scale, "--set", setting))


def _percent(value: Any) -> str:
    width = "" if value.half_width is None else f" ± {100 * value.half_width:.1f}"
    return f"{100 * value.mean:.1f}{width}"
