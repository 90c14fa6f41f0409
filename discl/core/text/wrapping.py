"""Lines of a terminal that end at words; a letter takes none of its columns, one or two."""

from __future__ import annotations

import re

# a word with the blanks after it; a number stays with its interval or its sign, and what stands in
# backticks stays together
WORDS = re.compile(r"`[^`]{1,24}`\S*\s*|\S+(?: (?:± \S+|%\S*))?\s*|\s+")
_PIECES = re.compile(r"[^\s_/.,:=-]*[\s_/.,:=-]*")  # of a word that is longer than the line
_OTHER_WIDTHS = "\u0300"  # from here on a letter may take none or two columns


def width_of(text: str) -> int:
    """Columns of a terminal that a line of text takes."""
    if are_of_one(text):
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def wrapped(text: str, width: int | None, *, whole_words: bool = False) -> list[str]:
    """Lines of at most `width` columns, at least one.

    They end after words; within a word that is longer than a line after a mark such as `_`, and
    else anywhere. With `whole_words` such a word, often a path to be copied, stays whole on a line
    of its own. None is any width.
    """
    if width is None or width_of(text) <= width:
        return [text]
    lines = [""]
    for word in WORDS.findall(text):
        if width_of((lines[-1] + word).rstrip()) <= width:
            lines[-1] += word
        elif whole_words or width_of(word.rstrip()) <= width:
            lines.append(word)
        else:
            _add_long(lines, word, width)
    return [line.rstrip() for line in lines if line.strip()] or [""]


def _add_long(lines: list[str], word: str, width: int) -> None:
    """A word that is longer than a line, on lines of its own."""
    lines.append("")
    for piece in filter(None, _PIECES.findall(word)):
        if width_of((lines[-1] + piece).rstrip()) <= width:
            lines[-1] += piece
        elif width_of(piece.rstrip()) <= width:
            lines.append(piece)
        else:
            for letter in piece:
                if width_of((lines[-1] + letter).rstrip()) > width and lines[-1]:
                    lines.append("")
                lines[-1] += letter


def are_of_one(letters: str) -> bool:
    """Whether each letter is known to take one column."""
    return letters.isascii() or max(letters) < _OTHER_WIDTHS
