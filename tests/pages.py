"""Blocks and command lines of a Markdown page, and a check that the CLI takes them."""

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
        r'^--8<-- "(.+)"$', lambda match: (ROOT / match[1]).read_text("utf-8"), written, flags=re.M
    )


def blocks(page: str, text: str) -> list[Block]:
    """The blocks of a page in their order."""
    listed = []
    for match in FENCE.finditer(text):
        title = re.search(r'title="(.+?)"', match["more"])
        listed.append(
            Block(
                page,
                line=text.count("\n", 0, match.start("language")) + 1,
                language=match["language"],
                title=title[1] if title else "",
                text=re.sub(rf"^{match['indent']}", "", match["text"], flags=re.M),
                reason=match["reason"] or "",
            )
        )
    return listed


def commands(block: Block) -> list[list[str]]:
    """The words of each command line, comments left out, lines that end in a backslash joined."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def discl_of(words: list[str]) -> list[str] | None:
    """The words after `discl`, however it is started; None for another program."""
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
    """Raise unless the command exists and takes these words, and its benchmark these settings."""
    command: click.Command = main
    context = command.make_context("discl", list(words), resilient_parsing=False)
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest and command.invoke_without_command:
            return
        _, subcommand, rest = command.resolve_command(context, rest)
        assert subcommand is not None, words
        context = subcommand.make_context(subcommand.name, list(rest), parent=context)
        command = subcommand
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
        load.load(given["bench"], given["scale"] or "smoke", settings)
    elif command.name == "sweep" and given["name"]:
        sweep_load.load(given["name"], given["benchmark"], given["scale"], given["settings"])


def _listed(key: str, value: str) -> str:
    words = [word.strip() for word in value.split(",")]
    return str(words if key == "strategies" else [int(word) for word in words])
