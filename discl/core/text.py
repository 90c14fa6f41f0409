"""Text for messages and the terminal."""

from __future__ import annotations

from collections.abc import Iterable

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_JOINER = "\N{ZERO WIDTH JOINER}"  # makes one picture of several emoji


def listed(words: Iterable[str]) -> str:
    """'a, b and c'; an empty string where there are none."""
    *most, last = [*words] or [""]
    return f"{', '.join(most)} and {last}" if most else last


def printable(text: str, most: int = 0) -> str:
    """`text` on one line of a terminal, cut to `most` characters unless that is 0.

    Characters that move the cursor or change the direction of writing are replaced.
    """
    safe = "".join(char if char.isprintable() or char == _JOINER else _REPLACEMENT for char in text)
    return safe if not most or len(safe) <= most else f"{safe[: most - 1]}…"
