"""`discl list`: benchmarks and parts by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import click

from discl.cli.options.completion import kinds
from discl.core.text import echo


@click.command("list")
@click.argument("kind", required=False, shell_complete=kinds)
def list_parts(kind: str | None) -> None:
    """List the names of a KIND with a sentence on each.

    A KIND is benchmarks, datasets, backbones, strategies, generators, scorers, prompts, losses,
    hard_rules, metrics, trackers or executors; without one, the kinds are listed.
    """
    from rich.table import Table

    from discl.core import registry
    from discl.core.errors import unknown
    from discl.core.text import console, styled

    kinds = ("benchmarks", *registry.KINDS)
    if kind is None:
        for name in kinds:
            echo(name)
        return
    if kind not in kinds:
        raise unknown("kind", kind, kinds)
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, summary in _summaries(kind):
        table.add_row(styled(name, "bold"), summary)
    console().print(table)


def _summaries(kind: str) -> list[tuple[str, str]]:
    """(name, one sentence) of every benchmark, or of every part of a kind."""
    from discl.core import registry

    if kind == "benchmarks":
        from discl.config.load import available, title

        return [(name, _sentence(partial(title, name))) for name in available()]
    names = sorted(registry.names(kind))
    return [(name, _sentence(partial(registry.summary, kind, name))) for name in names]


def _sentence(of: Callable[[], str]) -> str:
    """The sentence of a part, or why it cannot be used: the others are listed all the same."""
    from discl.core.errors import FOREIGN, reason

    try:
        return of()
    except FOREIGN as error:
        return f"cannot be used: {reason(error)}"
