"""Finds a run by what a person calls it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from discl.core.errors import UserError
from discl.harness.inspect.index import Run, every, ids, legible, read
from discl.harness.run.store import Store

LEAST = 4  # characters of an id that may stand for it
_NAMED = 5  # runs named in a message


def find(store: Store, word: str) -> Run:
    """The run that `word` means: an id, its first characters, or a name that one run bears."""
    known = ids(store)
    begins = [id for id in known if id.startswith(word)] if re.fullmatch(r"[0-9a-f]+", word) else []
    fitting = [word] if word in known else begins if len(word) >= LEAST else []
    if len(fitting) == 1 and (run := read(store, store.root / fitting[0])):
        return run
    runs = every(store)
    named = [run for run in runs if run.name == word and word]
    if len(named) == 1:
        return named[0]
    if several := named or [run for run in runs if run.id in begins]:
        raise _ambiguous(word, several)
    raise _unknown(word, runs, store)


def _ambiguous(word: str, runs: Sequence[Run]) -> UserError:
    said = "; ".join(
        f"{run.id} ({legible(run.name, 80) or run.state}, {run.when})" for run in runs[:_NAMED]
    )
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    if len(runs) == 1:
        return UserError(
            f"{word!r} is too short for a run; it begins {said}: give at least {LEAST} characters"
        )
    return UserError(f"{word!r} means {len(runs)} runs: {said}{more}; give an id, or more of it")


def _unknown(word: str, runs: Sequence[Run], store: Store) -> UserError:
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
        f"{legible(run.name, 80)} ({run.id})" if run.name else run.id for run in near
    )
    return UserError(f"no run called {word!r}; did you mean {meant}?")
