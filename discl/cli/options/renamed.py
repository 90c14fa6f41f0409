"""Options of version 0.1 that were renamed in 0.2: refused with the new one named."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import click

Command = Callable[..., Any]


def renamed_option(old: str, new: str, *, takes_value: bool = True) -> Callable[[Command], Command]:
    """A hidden option `old` that is refused; `new` is what to write, such as "--executor ray".

    Using it raises UserError, so the exit code is 2.
    """
    return click.option(
        old,
        is_flag=not takes_value,
        default=None,
        hidden=True,
        expose_value=False,
        callback=partial(_refuse, old, new),
    )


def _refuse(old: str, new: str, _context: click.Context, _parameter: Any, value: Any) -> None:
    from discl.core.errors import UserError

    if value is not None:
        raise UserError(f"{old} was renamed in 0.2; write {new}")
