"""Templates of HTML pages, and the colours that all of them share, light and dark."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from discl.core.text import visible

# Jinja's own, the beginning of a tag, its end, and the text between
_TOKENS = re.compile(
    r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|</?[A-Za-z]\w*|>|(?:(?!\{[{%#]|</?[A-Za-z]|>).)+", re.DOTALL
)
_PUT_IN = re.compile(r"\{\{([-+]?)\s*(.*?)\s*([-+]?)\}\}", re.DOTALL)
_PERCENT = re.compile(r"(?<=\d) (?=%)|^ (?=%)")  # a number, of ours or put in, and its sign


def template(path: str, filters: Mapping[str, Callable[..., Any]] | None = None) -> Template:
    """A template below `discl/harness`; `{{ colours }}` in it is the style sheet of all pages.

    Every word is escaped and without control characters, and a missing one is an error.
    """
    environment = Environment(
        autoescape=True,
        finalize=_finished,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {**(filters or {}), "as_it_is": as_it_is}
    environment.globals["colours"] = Markup(text("colours.css"))  # noqa: S704
    return environment.from_string(_prepared(text(path)))


def _prepared(source: str) -> str:
    """A template in which text alone is `unbroken`, its own and what is put into it.

    Inside tags, scripts and style sheets stand values that are compared with others: they stay.
    """
    parts = list[str]()
    within = ""  # "tag", or the name of an element whose content is no text
    for piece in _TOKENS.findall(source):
        if piece.startswith("{{") and within:
            parts.append(_PUT_IN.sub(r"{{\1 (\2)|as_it_is \3}}", piece))
            continue
        parts.append(piece if within or piece[0] in "{<" else _PERCENT.sub("&nbsp;", piece))
        if piece.startswith("<") and not within:
            name = piece.lower().lstrip("<")
            within, inside = "tag", name if name in ("script", "style") else ""
        elif piece == ">" and within == "tag":
            within = inside
        elif piece.lower() == f"</{within}":
            within, inside = "tag", ""
    return "".join(parts)


def as_it_is(value: Any) -> Any:
    """A value for an attribute: escaped words without control characters, with plain blanks."""
    return escape(visible(value)) if type(value) is str else value


def _finished(value: Any) -> Any:
    """What is put in, without characters that change the direction of writing or are no text."""
    return unbroken(visible(value)) if type(value) is str else value


def unbroken(words: str) -> Markup:
    """Escaped words, with no break before a percent sign, around a plus-minus or in a number."""
    spaces = r"(?<=\d) (?=%)| (?=± )|(?<=±) |(?<=\d) (?=\d{3}(?!\d))"
    return Markup(re.sub(spaces, "&nbsp;", str(escape(words))))  # noqa: S704 - it is escaped


def text(path: str) -> str:
    """A file below `discl/harness`."""
    return (files("discl.harness") / path).read_text("utf-8")
