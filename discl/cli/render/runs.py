"""Lists of runs, on the terminal and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from discl.cli.render.tables import show, tell
from discl.cli.render.text import percent
from discl.core.conventions import VAL, EpochRule
from discl.core.text import csv_text, echo
from discl.harness.inspect.index import COMPLETE, STATES, RunListing, StoredRun

# columns that stay longest, the first most
_WORTH = (
    "strategy",
    "seed",
    "state",
    "all",
    "few",
    "benchmark",
    "when (UTC)",
    "ood",
    "scale",
    "worst group",
    "min",
    "worst group, ood",
    "commit",
)
_MIN_DIGITS = 8  # characters of an id or a commit
_ID_LENGTH = 16


def as_dict(run: StoredRun) -> dict[str, Any]:
    """A run of the list, for programs."""
    words = {
        name: getattr(run, name)
        for name in ("id", "name", "benchmark", "scale", "strategy", "seed", "state", "why")
    }
    return {
        **words,
        "main": {title: metric._asdict() for title, metric in run.board_metrics.items()},
        "epoch": run.result.rule.name if run.result else None,
        "minutes": run.minutes,
        "when": run.when,
        "commit": run.commit,
        "folder": str(run.folder),
    }


def as_csv(runs: Sequence[StoredRun]) -> str:
    """A row per run; board metrics as shares, under their titles."""
    titles = _titles(runs)
    words = ("id", "name", "benchmark", "scale", "strategy", "seed", "state")
    rows = []
    for run in runs:
        metrics = run.board_metrics
        values = [metrics[title].value if title in metrics else "" for title in titles]
        minutes = "" if run.minutes is None else f"{run.minutes:.2f}"
        epoch = run.result.rule.name if run.result else ""
        named = [getattr(run, name) for name in words]
        rows.append([*named, *values, minutes, run.when, run.commit, run.why, epoch])
    return csv_text([*words, *titles, "minutes", "when", "commit", "why", "epoch"], rows)


def print_list(
    shown: Sequence[StoredRun],
    more: bool,
    listing: RunListing,
    rule: EpochRule = VAL,
    note: str = "",
) -> None:
    """Print runs as a table, with why they are not complete, and how many there are.

    `note` says why they are read at the epoch they are read at.
    """
    total = len(listing)
    if not total:
        tell(f"no run yet in {listing.root}; make some with: discl bench cifar10_lt")
        return
    digits = _digits(listing.ids)
    if shown:
        _print_table(shown, digits, rule)
    for run in shown:
        if run.state != COMPLETE:
            tell(f"{run.id[:digits]} {run.state}: {run.why}")
    counts = Counter(run.state for run in shown)
    states = [f"{counts[state]:,} {state}" for state in STATES if counts[state]]
    tell(
        f"{'the newest ' if more else ''}{len(shown):,} of {total:,} runs:"
        f" {', '.join(states) or 'none fits'}{'; --most 0 shows all' if more else ''}"
    )
    if note:
        tell(note)


def _print_table(shown: Sequence[StoredRun], digits: int, rule: EpochRule) -> None:
    titles = _titles(shown)
    words = ["id", "benchmark", "scale", "strategy", "seed", "state"]
    header = [*words, *titles, "min", "when (UTC)", "commit"]
    echo()
    show(
        f"runs, newest first (percent, at {rule.words})",
        header,
        [_cells(run, titles, digits) for run in shown],
        left=header.index("state") + 1,
        worth=_WORTH,
        elsewhere="--format csv",
    )


def _titles(runs: Iterable[StoredRun]) -> list[str]:
    from discl.harness.leaderboard.columns import BRIEF

    measured = {title for run in runs for title in run.board_metrics}
    return [title for title in BRIEF if title in measured]


def _digits(ids: Sequence[str]) -> int:
    """How many leading characters tell all ids apart, at least eight."""
    digits = _MIN_DIGITS
    while digits < _ID_LENGTH and len({id[:digits] for id in ids}) < len(ids):
        digits += 1
    return digits


def _cells(run: StoredRun, titles: Sequence[str], digits: int) -> list[str]:
    seed = "" if run.seed is None else str(run.seed)
    words = [run.benchmark, run.scale, run.strategy, seed]
    metrics = run.board_metrics
    minutes = "-" if run.minutes is None else f"{run.minutes:.1f}"
    commit = run.commit[:_MIN_DIGITS] + ("+" if run.commit.endswith("+") else "")
    ends = [minutes, run.when.replace("T", " ")[:16] or "-", commit or "-"]
    return [
        run.id[:digits],
        *(word or "-" for word in words),
        run.state,
        *(percent(metrics[title].value) if title in metrics else "-" for title in titles),
        *ends,
    ]
