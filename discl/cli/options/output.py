"""--format: how a command writes what it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

Command = Callable[..., Any]


def format_option(
    help: str = "json: everything, for scripts.", forms: Sequence[str] = ("table", "json")
) -> Callable[[Command], Command]:
    """--format, which the command gets as `form`; the first of `forms` is the default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(forms),
        default=forms[0],
        show_default=True,
        help=help,
    )
