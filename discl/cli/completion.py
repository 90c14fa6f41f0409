"""`discl completion`: lets a shell complete commands, options and names."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")
PROGRAM, VARIABLE = "discl", "_DISCL_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what lets SHELL complete commands, options, and the names of benchmarks, strategies,
    sweeps, datasets and runs.

    Install it with one line, then open a new shell (bash from 4.4 on):

    \b
    bash   echo 'eval "$(discl completion bash)"' >> ~/.bashrc
    zsh    echo 'eval "$(discl completion zsh)"' >> ~/.zshrc
    fish   discl completion fish > ~/.config/fish/completions/discl.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise RuntimeError(f"click completes no {shell}")
    program = ctx.find_root().command
    source = found(program, {}, PROGRAM, VARIABLE)
    script = (
        found.source_template % source.source_vars()
    )  # without asking which version of the shell is installed here
    # click's script for fish cuts a word at its commas, and lists of strategies have some
    click.echo(script.replace('string split "," ', 'string split --max 1 "," '))
