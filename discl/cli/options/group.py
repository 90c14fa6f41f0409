"""Groups of commands, which are imported as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

LONGEST = 200  # characters of a command's sentence; click would cut it at the end of a line


class Elsewhere(NamedTuple):
    """A command that is not imported yet."""

    module: str
    attribute: str
    sentence: str  # the first of its help


class Commands(MutableMapping[str, click.Command]):
    """Commands by name, in the order they are given; each is imported when it is asked for."""

    def __init__(self, elsewhere: Mapping[str, Elsewhere]) -> None:
        self._elsewhere = elsewhere
        self._known: dict[str, click.Command | None] = dict.fromkeys(elsewhere)

    def __getitem__(self, name: str) -> click.Command:
        command = self._known[name]
        if command is None:
            home = self._elsewhere[name]
            command = self._known[name] = getattr(import_module(home.module), home.attribute)
        return command

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def described(self, name: str) -> click.Command:
        """The command, or one with nothing but its sentence where that saves the import."""
        return self._known[name] or click.Command(name, help=self._elsewhere[name].sentence)


class CommandGroup(click.Group):
    """Lists its commands with their whole first sentence, over several lines where it is long."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, each with its sentence."""
        rows = [
            (name, command.get_short_help_str(LONGEST)) for name, command in self._described(ctx)
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands that begin as the word does, then options."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=command.get_short_help_str())
            for name, command in self._described(ctx)
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def _described(self, ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
        """Commands with their sentences; those that are not imported stay so."""
        for name in self.list_commands(ctx):
            known = self.commands
            command = known.described(name) if isinstance(known, Commands) else known[name]
            if not command.hidden:
                yield name, command
