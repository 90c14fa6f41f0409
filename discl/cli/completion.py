"""`discl completion`: a script with which a shell completes commands, options and names."""

from __future__ import annotations

import click

from discl.core.text import echo

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "discl"
VARIABLE = "_DISCL_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that lets SHELL complete commands and names.

    Options are completed, too. Install it with one line, then open a new shell (bash from 4.4 on):

    \b
    bash   echo 'eval "$(discl completion bash)"' >> ~/.bashrc
    zsh    echo 'eval "$(discl completion zsh)"' >> ~/.zshrc
    fish   discl completion fish > ~/.config/fish/completions/discl.fish
    """
    from click.shell_completion import get_completion_class

    completion_class = get_completion_class(shell)
    if completion_class is None:
        raise RuntimeError(f"click completes no {shell}")
    program = ctx.find_root().command
    # source() of click would run the shell to learn its version
    completion = completion_class(program, {}, PROGRAM, VARIABLE)
    script = completion_class.source_template % completion.source_vars()
    # click's script for fish splits at every comma, and lists of strategies have commas
    echo(script.replace('string split "," ', 'string split --max 1 "," '))
