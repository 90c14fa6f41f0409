"""Groups of commands."""

from __future__ import annotations

import click

from discl.core.text import echo

LONGEST = 200  # characters of a command's sentence; click would cut it at the end of a line


class CommandGroup(click.Group):
    """Lists its commands with their whole first sentence, over several lines where it is long.

    Alone, without a command, it prints its help and ends with 0.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Print the help where no word was given; click would call that a mistake."""
        if not args and not ctx.resilient_parsing:
            echo(ctx.get_help())
            ctx.exit(0)
        return super().parse_args(ctx, args)

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
