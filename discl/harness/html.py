"""Templates of HTML pages, and the colours that all of them share, light and dark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup


def template(path: str, filters: Mapping[str, Callable[..., Any]] | None = None) -> Template:
    """A template below `discl/harness`; `{{ colours }}` in it is the style sheet of all pages.

    Every word is escaped, and a missing one is an error.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= filters or {}
    environment.globals["colours"] = Markup(text("colours.css"))  # noqa: S704
    return environment.from_string(text(path))


def text(path: str) -> str:
    """A file below `discl/harness`."""
    return (files("discl.harness") / path).read_text("utf-8")
