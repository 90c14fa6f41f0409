"""The one exception a user is meant to read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input or a bad surrounding: a sentence with the value, the cause and the way out.

    The CLI exits with 2.
    """


class DiskError(UserError):
    """The disk is full or may not be written: whatever comes next will fail alike."""


def unknown(what: str, given: str, known: Iterable[str]) -> UserError:
    """'no strategy called 'adaptve'; did you mean 'adaptive'?' or, where nothing is near, the list
    of what there is.
    """
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(names) or 'none'}"
    return UserError(f"no {what} called {given!r}; {hint}")
