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
    from discl.cli.render.layout import Styled
    from discl.cli.render.tables import show_pairs, tell
    from discl.core import registry
    from discl.core.errors import unknown

    kinds = ("benchmarks", *registry.KINDS)
    if kind is None:
        for name in kinds:
            echo(name)
        return
    if kind not in kinds:
        raise unknown("kind", kind, kinds)
    summaries = _summaries(kind)
    if not summaries:
        tell(f"there are no {kind} here")
    show_pairs("", [(Styled(name, "bold"), summary) for name, summary in summaries])


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
