"""Completion of names in a shell.

Asked at every press of Tab: nothing heavy is imported, and nothing is ever raised.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path

import click
from click.shell_completion import CompletionItem

MOST_RUNS = 50  # the newest, which are offered

Completer = Callable[[click.Context, click.Parameter | None, str], list[CompletionItem]]


def _completer(
    known: Callable[[], Iterable[str | CompletionItem]], comma_separated: bool = False
) -> Completer:
    """Completes to those of `known` that begin as the word does.

    In a comma-separated list the last part is completed, to none of the parts before it.
    """

    @wraps(known)
    def complete(
        _context: click.Context, _parameter: click.Parameter | None, incomplete: str
    ) -> list[CompletionItem]:
        before = comma = ""
        begun = incomplete
        if comma_separated:
            before, comma, begun = incomplete.rpartition(",")
        taken = set(before.split(",")) if comma else set()
        try:
            items = [
                item if isinstance(item, CompletionItem) else CompletionItem(item)
                for item in known()
            ]
        except Exception:  # a traceback would garble the command line
            return []
        return [
            CompletionItem(f"{before}{comma}{item.value}", help=item.help)
            for item in items
            if item.value.startswith(begun) and item.value not in taken
        ]

    return complete


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
    """The newest runs with their names.

    Reads the store's folders itself, since importing the store takes too long here.
    """
    from discl.files.disk import home

    with os.scandir(home() / "runs") as entries:
        folders = [entry for entry in entries if entry.is_dir()]
    newest = sorted(folders, key=_changed_at, reverse=True)
    return [CompletionItem(entry.name, help=_run_name(Path(entry))) for entry in newest[:MOST_RUNS]]


def _changed_at(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:  # it is gone
        return 0.0


def _run_name(run: Path) -> str | None:
    """The name in the first line of the run's last record; None where there is none."""
    from discl.core.plain_files import open_file, parsed_json

    try:
        attempts = sorted(path for path in run.iterdir() if path.name.isdecimal())
        with open_file(attempts[-1] / "events.jsonl", encoding="utf-8") as record:
            name = str(parsed_json(record.readline())["name"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    # a shell shows it as it is
    return "".join(letter for letter in name if letter.isprintable())[:60] or None


def _checks() -> Iterable[str]:
    from discl.harness.doctor.finding import CHECKS

    return CHECKS


benchmarks = _completer(_benchmarks)
scales = _completer(_scales)
sweeps = _completer(_sweeps)
kinds = _completer(_kinds)
strategies = _completer(_parts("strategies"), comma_separated=True)
trackers = _completer(_parts("trackers"), comma_separated=True)
datasets = _completer(_parts("datasets"))
executors = _completer(_parts("executors"))
run_ids = _completer(_run_ids)
checks = _completer(_checks)
