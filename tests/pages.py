"""What a Markdown page tells people to do: its blocks, its command lines, and whether the command
line knows them.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import click

from discl.cli import main
from discl.config import load, sweep_load

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FENCE = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>[^\n]+?) -->\n)?^(?P<indent>"
    r" *)```(?P<language>[\w+-]*)(?P<more>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.M | re.S,
)
SHELL = ("sh", "console")


class Block(NamedTuple):
    """A fenced block.

    `reason` says why it cannot run here; `title` is the file it is to be saved as.
    """

    page: str
    line: int
    language: str
    title: str
    text: str
    reason: str


def pages() -> list[str]:
    """Every page of the documentation, by its path."""
    return sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def text_of(page: str) -> str:
    """A page with what it includes."""
    written = (DOCS / page).read_text("utf-8")
    return re.sub(
        r'^--8<-- "(.+)"$', lambda found: (ROOT / found[1]).read_text("utf-8"), written, flags=re.M
    )


def blocks(page: str, text: str) -> list[Block]:
    """The blocks of a page in their order."""
    found = []
    for each in FENCE.finditer(text):
        title = re.search(r'title="(.+?)"', each["more"])
        inside = re.sub(rf"^{each['indent']}", "", each["text"], flags=re.M)
        line = text.count("\n", 0, each.start("language")) + 1
        found.append(
            Block(
                page,
                line,
                each["language"],
                title[1] if title else "",
                inside,
                each["reason"] or "",
            )
        )
    return found


def commands(block: Block) -> list[list[str]]:
    """The words of each command line, comments left out, lines that end in a backslash joined."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def discl_of(words: list[str]) -> list[str] | None:
    """What follows `discl` in a command line, however it is started; None where it is another
    program's.
    """
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[:1] == ["discl"]:
        return words[1:]
    started = " ".join(words)
    return (
        words[words.index("discl.cli") + 1 :]
        if re.match(r"(python|torchrun) .*-m discl\.cli\b", started)
        else None
    )


def check_words(words: list[str]) -> None:
    """The command exists, and takes these options and values; the benchmark or sweep it names takes
    these settings.
    """
    command: click.Command = main
    context = command.make_context("discl", list(words), resilient_parsing=False)
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest and command.invoke_without_command:
            return
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None, words
        command, context = found, found.make_context(found.name, list(rest), parent=context)
    given: dict[str, Any] = context.params
    if given.get("bench") and "settings" in given:
        settings = [
            *given["settings"],
            *(
                f"{key}={_listed(key, given[key])}"
                for key in ("strategies", "seeds")
                if given.get(key)
            ),
        ]
        load.load(given["bench"], given["scale"], settings)
    elif command.name == "sweep" and given["name"]:
        sweep_load.load(given["name"], given["benchmark"], given["scale"], given["settings"])


def _listed(key: str, said: str) -> str:
    words = [word.strip() for word in said.split(",")]
    return str(words if key == "strategies" else [int(word) for word in words])
