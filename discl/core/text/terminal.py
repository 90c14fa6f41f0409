"""The ways to a terminal: nothing that they write steers it, whatever a name holds.

`tests/faults/test_hostile_text.py` holds that the project takes no other. Libraries are imported
where they are used: most of the project needs none of them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import IO, TYPE_CHECKING, Any

from discl.core.text.words import visible
from discl.core.text.wrapping import wrapped

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment


# name -> style of click's; of the eight colours only these two are read on black and on white
STYLES: dict[str, dict[str, Any]] = {
    "": {},
    "bold": {"bold": True},
    "dim": {"dim": True},
    "note": {"bold": True, "fg": "magenta"},
    "bad": {"bold": True, "fg": "red"},
}
USUAL_WIDTH = 80  # of a terminal that does not say
LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"  # is not seen, and takes no room


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Write text and a line end to standard output, or with `err` to standard error.

    On standard error stand sentences: on a terminal their lines end at words.
    """
    import click

    shown = visible(str(text))
    if err and nl and (width := terminal_width(err=True)):
        lines = shown.split("\n")
        shown = "\n".join(part for line in lines for part in wrapped(line, width, whole_words=True))
    stream = sys.stderr if err else sys.stdout
    if hasattr(stream, "rich_proxied_file"):  # rich draws below it, and click would write past it
        stream.write(shown + ("\n" if nl else ""))
    else:
        click.echo(shown, err=err, nl=nl)


def echo_styled(lines: Iterable[Sequence[tuple[str, str]]]) -> None:
    """Write lines, of which each is parts of (text, name in `STYLES`), to standard output.

    What is no terminal gets no style, nor does one without TERM; with NO_COLOR it gets no colour.
    A part that is `LEFT_TO_RIGHT` is written as it is.
    """
    import click

    styled = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    coloured = styled and not os.environ.get("NO_COLOR")
    written = []
    for line in lines:
        parts = []
        for text, name in line:
            shown = text if text == LEFT_TO_RIGHT else visible(text)
            if styled and name:
                style = {key: to for key, to in STYLES[name].items() if coloured or key != "fg"}
                shown = click.style(shown, **style)
            parts.append(shown)
        written.append("".join(parts) + "\n")
    click.echo("".join(written), nl=False)


def terminal_width(*, err: bool = False) -> int | None:
    """Columns of the terminal behind standard output, or with `err` behind standard error.

    None where that is a file or a pipe.

    COLUMNS goes before what the terminal says.
    """
    stream = sys.stderr if err else sys.stdout
    if not stream.isatty():
        return None
    given = os.environ.get("COLUMNS", "")
    if _is_size(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_WIDTH
    except (OSError, ValueError):
        return USUAL_WIDTH


def _is_size(given: str) -> bool:
    """Whether COLUMNS or LINES is a size that a terminal may have."""
    return given.isdecimal() and 0 < len(given) < 7 and int(given) > 0


def echo_json(value: Any, *, finite: bool = False) -> None:
    """Write a value as JSON; letters as they are, what would steer a terminal as `\\uXXXX`.

    With `finite`, NaN and infinity raise ValueError.
    """
    import json  # which --help needs no time for

    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=not finite)
    echo(re.sub(r"[^\n -~]", _escaped_for_json, text))


def _escaped_for_json(found: re.Match[str]) -> str:
    import json

    letter = found[0]
    return letter if visible(letter) == letter else json.dumps(letter)[1:-1]


def console(width: int = 0, file: IO[str] | None = None) -> Console:
    """The terminal for rich's tables; `width` columns where the output is no terminal.

    Strings are text, never rich's markup: `rich.text.Text` gives them a style.
    """
    tty = (file or sys.stdout).isatty()
    sizes = ("COLUMNS", "LINES")  # rich draws nothing in 0 columns
    known = {key: at for key, at in os.environ.items() if key not in sizes or _is_size(at)}
    return _console_class()(
        file=file,
        force_terminal=tty,  # whatever FORCE_COLOR says: a log gets no bar that moves
        _environ=known,
        width=None if tty or not width else width,
        markup=False,
        emoji=False,
        highlight=False,
    )


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
