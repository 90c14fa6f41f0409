"""Text that leaves: escaped for what reads it, since names may come from anybody.

- words.py: lists of words, and text without characters that steer a terminal.
- wrapping.py: lines that end at words.
- terminal.py: `echo` and `console`, the only ways of the project to a terminal.
- markup.py: Markdown and LaTeX as types, into which plain text is put escaped; cells of CSV.
"""

from discl.core.text.markup import Escaped, Latex, Markdown, csv_cell, csv_text
from discl.core.text.terminal import (
    LEFT_TO_RIGHT,
    STYLES,
    console,
    echo,
    echo_json,
    echo_styled,
    terminal_width,
)
from discl.core.text.words import counted, listed, printable, typed, visible

__all__ = [
    "LEFT_TO_RIGHT",
    "STYLES",
    "Escaped",
    "Latex",
    "Markdown",
    "console",
    "counted",
    "csv_cell",
    "csv_text",
    "echo",
    "echo_json",
    "echo_styled",
    "listed",
    "printable",
    "terminal_width",
    "typed",
    "visible",
]
