"""`discl list`: what there is to choose from."""

from __future__ import annotations

import click

from discl.cli.options.completion import kinds


@click.command("list")
@click.argument("kind", required=False, shell_complete=kinds)
def list_parts(kind: str | None) -> None:
    """Names of a KIND: benchmarks, datasets, backbones, strategies, generators, scorers, prompts,
    losses, trackers or executors.
    """
    from rich.console import Console
    from rich.table import Table

    from discl.core import registry
    from discl.core.errors import unknown

    kinds = ("benchmarks", *registry.KINDS)
    if kind is None:
        for each in kinds:
            click.echo(each)
        return
    if kind not in kinds:
        raise unknown("kind", kind, kinds)
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, what in _named(kind):
        table.add_row(f"[bold]{name}[/bold]", what)
    Console().print(table)


def _named(kind: str) -> list[tuple[str, str]]:
    from discl.core import registry

    if kind == "benchmarks":
        from discl.config.load import available, title

        return [(name, title(name)) for name in available()]
    return [(name, registry.summary(kind, name)) for name in sorted(registry.names(kind))]
