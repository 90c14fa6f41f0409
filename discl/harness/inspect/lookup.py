"""Finds a run by its id, by the beginning of its id, or by its name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from discl.core.errors import UserError
from discl.core.text import printable
from discl.harness.inspect.index import RunListing, StoredRun, read_run
from discl.harness.run.store import Store

MIN_ID_LENGTH = 4  # characters of an id that may stand for it
_MAX_LISTED = 5  # runs in a message


def find(store: Store, word: str) -> StoredRun:
    """The run with this id, this beginning of an id, or this name.

    Raises UserError where no run or several runs fit.
    """
    listing = RunListing(store)
    ids = listing.ids
    is_hex = re.fullmatch(r"[0-9a-f]+", word)
    beginning = [id for id in ids if id.startswith(word)] if is_hex else []
    matches = beginning if len(word) >= MIN_ID_LENGTH else []
    if word in ids:
        matches = [word]
    match = read_run(store, store.root / matches[0]) if len(matches) == 1 else None
    if match:
        return match
    runs = list(listing.newest_first())
    named = [run for run in runs if run.name == word and word]
    if len(named) == 1:
        return named[0]
    several = named or [run for run in runs if run.id in beginning]
    if several:
        raise _ambiguous(word, several)
    raise _unknown(word, runs, store)


def _ambiguous(word: str, runs: Sequence[StoredRun]) -> UserError:
    listed = "; ".join(
        f"{run.id} ({printable(run.name, 80) or run.state}, {run.when})"
        for run in runs[:_MAX_LISTED]
    )
    if len(runs) == 1:
        return UserError(
            f"{word!r} is too short for a run; it begins {listed}: give at least"
            f" {MIN_ID_LENGTH} characters"
        )
    more = f" and {len(runs) - _MAX_LISTED} more" if len(runs) > _MAX_LISTED else ""
    return UserError(f"{word!r} means {len(runs)} runs: {listed}{more}; give an id, or more of it")


def _unknown(word: str, runs: Sequence[StoredRun], store: Store) -> UserError:
    if not runs:
        return UserError(
            f"no run called {word!r}: there is none yet in {store.root}; make some with: discl"
            " bench cifar10_lt"
        )
    names = {run.name: run for run in runs if run.name} | {run.id: run for run in runs}
    near = [names[name] for name in difflib.get_close_matches(word, names, n=3, cutoff=0.5)]
    if not near:
        return UserError(f"no run called {word!r}; `discl runs ls` lists them")
    meant = " or ".join(
        f"{printable(run.name, 80)} ({run.id})" if run.name else run.id for run in near
    )
    return UserError(f"no run called {word!r}; did you mean {meant}?")
