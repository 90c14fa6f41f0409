"""The ways to a terminal: nothing that they write steers it, whatever a name holds.

`tests/faults/test_hostile_text.py` holds that the project takes no other. Libraries are imported
where they are used: most of the project needs none of them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from functools import cache
from typing import IO, TYPE_CHECKING, Any

from discl.core.text.words import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text


def echo(text: object = "", *, err: bool = False, nl: bool = True, dim: bool = False) -> None:
    """Write text and a line end to standard output, or with `err` to standard error."""
    import click

    shown = visible(str(text))
    click.echo(click.style(shown, dim=True) if dim else shown, err=err, nl=nl)


def echo_json(value: Any, *, finite: bool = False) -> None:
    """Write a value as JSON; letters as they are, what would steer a terminal as `\\uXXXX`.

    With `finite`, NaN and infinity raise ValueError.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=not finite)
    echo(re.sub(r"[^\n -~]", _escaped_for_json, text))


def _escaped_for_json(found: re.Match[str]) -> str:
    letter = found[0]
    return letter if visible(letter) == letter else json.dumps(letter)[1:-1]


def console(width: int = 0, file: IO[str] | None = None) -> Console:
    """The terminal for rich's tables; `width` columns where the output is no terminal.

    Strings are text, never rich's markup: `styled` or `rich.text.Text` give them a style.
    """
    tty = (file or sys.stdout).isatty()
    return _console_class()(
        file=file,
        width=None if tty or not width else width,
        markup=False,
        emoji=False,
        highlight=False,
    )


def styled(text: str, style: str) -> Text:
    """Text in a style of rich's, such as "bold red"."""
    from rich.text import Text

    return Text(text, style)


@cache
def _console_class() -> type[Console]:
    from rich.console import Console
    from rich.segment import Segment

    class VisibleConsole(Console):
        def on_broken_pipe(self) -> None:  # rich would end the program, and call it failed
            raise BrokenPipeError

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                text = segment.text
                if segment.control or text.isprintable() or text == "\n":
                    yield segment
                else:
                    yield Segment(visible(text), segment.style)

    return VisibleConsole
