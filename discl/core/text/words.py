"""Lists of words, and text without characters that steer a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_JOINER = "\N{ZERO WIDTH JOINER}"  # makes one picture of several emoji


def listed(words: Iterable[str]) -> str:
    """'a, b and c'; an empty string where there are none."""
    *most, last = [*words] or [""]
    return f"{', '.join(most)} and {last}" if most else last


def counted(number: int, noun: str, plural: str = "") -> str:
    """'1 seed', '2,000 seeds'; `plural` where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def printable(text: str, most: int = 0) -> str:
    """`text` on one line of a terminal, cut to `most` characters unless that is 0.

    Characters that move the cursor or change the direction of writing are replaced.
    """
    safe = visible(text, keep="")
    return safe if not most or len(safe) <= most else f"{safe[: most - 1]}…"


def visible(text: str, keep: str = "\n\t") -> str:
    """`text` without characters that steer what shows it, such as escapes and bidi controls.

    Each of them is replaced by one that is seen, but for those in `keep`; blanks stay blanks.
    """
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char == _JOINER or char in keep
        else (
            " "
            if char.isspace() and char > "\x7f" and char not in "\x85\u2028\u2029"
            else _REPLACEMENT
        )
        for char in text
    )


def typed(*words: object) -> str:
    """A command for a message, as a shell takes it: a name with blanks or `$(...)` is one word."""
    return shlex.join([printable(str(word)) for word in words])
