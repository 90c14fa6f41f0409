"""What a shell may complete a word to.

Asked at every press of Tab: nothing heavy is imported, and nothing is ever raised.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path

import click
from click.shell_completion import CompletionItem

NEWEST = 50  # runs offered

Answer = Callable[[click.Context, click.Parameter | None, str], list[CompletionItem]]


def _completing(
    known: Callable[[], Iterable[str | CompletionItem]], listed: bool = False
) -> Answer:
    """Those of `known` that begin as the word does; in a list, as its last part, where what stands
    before is offered no more.
    """

    @wraps(known)
    def answer(
        _context: click.Context, _parameter: click.Parameter | None, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, begun = incomplete.rpartition(",") if listed else ("", "", incomplete)
        taken = set(before.split(",")) if comma else set()
        try:
            items = [
                item if isinstance(item, CompletionItem) else CompletionItem(item)
                for item in known()
            ]
        except Exception:  # a traceback amid what is being typed helps nobody
            return []
        fitting = [
            item for item in items if item.value.startswith(begun) and item.value not in taken
        ]
        return [CompletionItem(f"{before}{comma}{item.value}", help=item.help) for item in fitting]

    return answer


def _benchmarks() -> Iterable[str]:
    from discl.core.search_path import benchmarks

    return benchmarks()


def _scales() -> Iterable[str]:
    from discl.core.search_path import SCALES

    return SCALES


def _sweeps() -> Iterable[str]:
    from discl.core.search_path import files

    return sorted(files("sweeps"))


def _parts(kind: str) -> Callable[[], Iterable[str]]:
    def known() -> Iterable[str]:
        from discl.core.registry import names

        return sorted(names(kind))

    return known


def _kinds() -> Iterable[str]:
    from discl.core.registry import KINDS

    return ("benchmarks", *KINDS)


def _run_ids() -> Iterable[CompletionItem]:
    """The newest, with their names; where the folders lie is the store's affair, and importing that
    takes too long here.
    """
    from discl.files.disk import home

    with os.scandir(home() / "runs") as entries:
        newest = sorted(
            (entry for entry in entries if entry.is_dir()),
            key=lambda entry: entry.stat().st_mtime,
            reverse=True,
        )
    return [CompletionItem(entry.name, help=_name(Path(entry))) for entry in newest[:NEWEST]]


def _name(run: Path) -> str | None:
    """From the first line of its last record."""
    attempts = sorted(path for path in run.iterdir() if path.name.isdecimal())
    try:
        with (attempts[-1] / "events.jsonl").open(encoding="utf-8") as record:
            name = str(json.loads(record.readline())["name"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return (
        "".join(each for each in name if each.isprintable())[:60] or None
    )  # a shell shows it as it is


def _checks() -> Iterable[str]:
    from discl.harness.doctor.finding import CHECKS

    return CHECKS


benchmarks = _completing(_benchmarks)
scales = _completing(_scales)
sweeps = _completing(_sweeps)
kinds = _completing(_kinds)
strategies, trackers = (
    _completing(_parts("strategies"), listed=True),
    _completing(_parts("trackers"), listed=True),
)
datasets, executors, run_ids = (
    _completing(_parts("datasets")),
    _completing(_parts("executors")),
    _completing(_run_ids),
)
checks = _completing(_checks)
