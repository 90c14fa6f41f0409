"""Markdown, LaTeX and CSV: text in them is escaped by type, not by whoever remembers.

The idea is MarkupSafe's: a string of the type was written by us, and whatever is put into it is
escaped unless it is of the type too. A writer that promises `Markdown` cannot return plain text,
since type checks fail.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any, Self

from discl.core.text.words import printable


class Escaped(str):
    """Text of a format. `format` and `join` escape what is put in."""

    __slots__ = ()

    @classmethod
    def escape(cls, text: str) -> Self:
        """Plain text, so that the format shows it as it is, on one line.

        A format says how; here it raises NotImplementedError.
        """
        raise NotImplementedError

    @classmethod
    def of(cls, value: object) -> Self:
        """`value` where it is of this format already, else escaped."""
        return value if isinstance(value, cls) else cls.escape(str(value))

    def format(self, *values: object, **named: object) -> Self:  # type: ignore[override]
        """Fill in places, escaping what is not of this format; a place is `{}` or `{name}`."""
        filled = {name: str(self.of(value)) for name, value in named.items()}
        return type(self)(str(self).format(*(str(self.of(value)) for value in values), **filled))

    def join(self, parts: Iterable[object]) -> Self:  # type: ignore[override]
        """Put between parts, escaping those that are not of this format."""
        return type(self)(str(self).join(str(self.of(part)) for part in parts))


# what begins an element, a link, a code span, attributes (`attr_list`) or a column; a backslash is
# not known to every Markdown before each of them
_IN_MARKDOWN = {"&": "&amp;", "<": "&lt;", "~": "&#126;", "$": "&#36;"}
_IN_MARKDOWN |= {letter: f"\\{letter}" for letter in "\\`[]{}|"}
# emphasis, but for underscores within a name and stars that stand alone; and addresses, which some
# make links of where no one asked
_EMPHASIS = re.compile(r"(?<![^\W_])_|_(?![^\W_])|(?<!\s)\*|\*(?!\s)")
_ADDRESS = re.compile(r"(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)
_SPAN = re.compile(r"`([\w/.,=+ -]+)`")
# `:::` and `#!` would name the language of the code
_PLAIN_CODE = re.compile(r"(?!:::|#!)[^`<>&|\\\[\]{}~$]+")


class Markdown(Escaped):
    """Markdown, as Python-Markdown with mkdocs' extensions and CommonMark both read it.

    What is put in must not come first in a line, where a dash or a number begins a list.
    """

    __slots__ = ()

    @classmethod
    def escape(cls, text: str) -> Self:
        safe = "".join(_IN_MARKDOWN.get(letter, letter) for letter in printable(text))
        safe = _EMPHASIS.sub(lambda found: f"\\{found[0]}", safe)
        return cls(_ADDRESS.sub(lambda found: f"&#{ord(found[0])};", safe))

    @classmethod
    def code(cls, text: object) -> Self:
        """Text as code."""
        shown = printable(str(text))
        if _PLAIN_CODE.fullmatch(shown) and shown.strip():
            return cls(f"`{shown}`")
        return cls(f"<code>{cls.escape(shown)}</code>")

    @classmethod
    def sentence(cls, text: str) -> Self:
        """Text in which backticks mark names as code; all else is escaped."""
        parts = _SPAN.split(text)
        return cls("").join(
            cls.code(part) if number % 2 else cls.escape(part) for number, part in enumerate(parts)
        )


_IN_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
}
_IN_LATEX |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


class Latex(Escaped):
    """LaTeX, outside of formulas. Its braces are no places: `join` puts text together."""

    __slots__ = ()

    @classmethod
    def escape(cls, text: str) -> Self:
        return cls("".join(_IN_LATEX.get(letter, letter) for letter in printable(text)))

    @classmethod
    def comment(cls, text: str) -> Self:
        """A line that is not set."""
        return cls(f"% {printable(text)}")


def csv_cell(value: Any) -> Any:
    """A cell that no spreadsheet computes, on one line; numbers and None stay.

    Text that begins like a formula has an apostrophe before it, which spreadsheets do not show.
    """
    if not isinstance(value, str):
        return value
    shown = printable(value)
    return f"'{shown}" if re.match(r"\s*[=+\-@|%]", shown) or value[:1] in ("\t", "\r") else shown


def csv_text(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table as CSV with LF line ends."""
    import csv  # not above: every command imports this module

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(csv_cell, header))
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    return out.getvalue()
