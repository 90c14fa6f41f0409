"""Lists of runs, on the terminal and for programs."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import click

from discl.cli.render.text import WIDE, console, percent, show_list
from discl.harness.inspect.index import COMPLETE, STATES, Run, legible
from discl.harness.run.store import Store

_SPARED = (
    "commit",
    "worst group, ood",
    "min",
    "worst group",
    "scale",
    "when (UTC)",
)  # columns, where a terminal is narrow
_SHORT = 8  # characters of an id or a commit in a list, where they tell the runs apart


# ---------------------------------------------------------------- lists


def line(run: Run) -> dict[str, Any]:
    """A run for programs."""
    main = {title: {"metric": one.metric, "value": one.value} for title, one in run.main.items()}
    words = {
        name: getattr(run, name)
        for name in ("id", "name", "benchmark", "scale", "strategy", "seed", "state", "why")
    }
    return {
        **words,
        "main": main,
        "minutes": run.minutes,
        "when": run.when,
        "commit": run.commit,
        "folder": str(run.folder),
    }


def as_csv(runs: Sequence[Run]) -> str:
    """A row a run; main metrics as fractions, under their titles."""
    titles = _titles(runs)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ("id", "name", "benchmark", "scale", "strategy", "seed", "state")
    writer.writerow([*head, *titles, "minutes", "when", "commit", "why"])
    for run in runs:
        values = [run.main[title].value if title in run.main else "" for title in titles]
        minutes = "" if run.minutes is None else f"{run.minutes:.2f}"
        writer.writerow(
            [
                *(getattr(run, name) for name in head),
                *values,
                minutes,
                run.when,
                run.commit,
                run.why,
            ]
        )
    return out.getvalue()


def print_list(shown: Sequence[Run], more: bool, store: Store) -> None:
    from discl.harness.inspect.index import count, ids

    if not (total := count(store)):
        click.echo(f"no run yet in {store.root}; make some with: discl bench cifar10_lt")
        return
    titles = _titles(shown)
    digits = _digits(ids(store))
    header = [
        "id",
        "benchmark",
        "scale",
        "strategy",
        "seed",
        "state",
        *titles,
        "min",
        "when (UTC)",
        "commit",
    ]
    if shown:
        rows = [_cells(run, titles, digits) for run in shown]
        lacking = _narrowed(header, rows, console().width)
        show_list(
            "runs, newest first (percent)",
            [name.replace(" ", "\n") for name in header],
            rows,
            left=header.index("state") + 1,
        )
        if lacking:
            click.echo(f"no room for {', '.join(lacking)}: --format csv has everything")
    for run in shown:
        if run.state != COMPLETE:
            click.echo(f"{run.id[:digits]} {run.state}: {legible(run.why)}")
    counts = Counter(run.state for run in shown)
    listed = (
        ", ".join(f"{counts[state]:,} {state}" for state in STATES if counts[state]) or "none fits"
    )
    click.echo(
        f"{'the newest ' if more else ''}{len(shown):,} of {total:,} runs:"
        f" {listed}{'; --most 0 shows all' if more else ''}"
    )


def _titles(runs: Iterable[Run]) -> list[str]:
    from discl.harness.leaderboard.columns import BRIEF

    there = {title for run in runs for title in run.main}
    return [title for title in BRIEF if title in there]


def _narrowed(header: list[str], rows: list[list[str]], room: int) -> list[str]:
    """Take away what may be spared until a table fits; what that was."""
    from rich.cells import cell_len

    gone = []
    for name in (name for name in _SPARED if name in header):
        place = [
            max(cell_len(word) for cells in (title.split(), *rows_) for word in cells)
            for title, *rows_ in _columns(header, rows)
        ]
        if sum(place) + 2 * (len(place) - 1) <= room:
            break
        at = header.index(name)
        for cells in (header, *rows):
            del cells[at]
        gone.append(name)
    return gone


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[Any]]:
    """Each title, and its cells as lists of one word."""
    return [[title, *([cells[at]] for cells in rows)] for at, title in enumerate(header)]


def _digits(ids: Sequence[str]) -> int:
    """Characters by which ids differ, at least eight."""
    digits = _SHORT
    while digits < 16 and len({id[:digits] for id in ids}) < len(ids):
        digits += 1
    return digits


def _cells(run: Run, titles: Sequence[str], digits: int) -> list[str]:
    words = [run.benchmark, run.scale, run.strategy, "" if run.seed is None else str(run.seed)]
    metrics = [percent(run.main[title].value) if title in run.main else "-" for title in titles]
    minutes = "-" if run.minutes is None else f"{run.minutes:.1f}"
    commit = run.commit[:_SHORT] + ("+" if run.commit.endswith("+") else "")
    ends = [minutes, run.when.replace("T", " ")[:16] or "-", commit or "-"]
    return [
        run.id[:digits],
        *(legible(word, WIDE) or "-" for word in words),
        run.state,
        *metrics,
        *(legible(end, WIDE) for end in ends),
    ]
