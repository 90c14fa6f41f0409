"""Groups of commands."""

from __future__ import annotations

import click

LONGEST = 200  # characters of a command's sentence; click would cut it at the end of a line


class CommandGroup(click.Group):
    """Lists its commands with their whole first sentence, over several lines where it is long."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, each with its sentence."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(LONGEST))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
