"""Templates of HTML pages, and the colours that all of them share, light and dark."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from discl.core.text import visible


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
    environment.filters |= filters or {}
    environment.globals["colours"] = Markup(text("colours.css"))  # noqa: S704
    # a number and its percent sign stay on one line
    source = re.sub(r"(?<=[\d}]) (?=%(?!\}))", "&nbsp;", text(path))
    return environment.from_string(source)


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
