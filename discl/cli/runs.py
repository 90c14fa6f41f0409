"""`discl runs`: what the store holds, one run in full, and what differs between two."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.completion import benchmarks, run_ids, scales, strategies

if TYPE_CHECKING:
    from discl.harness.inspect.index import Run

Command = Callable[..., Any]


@click.group()
def runs() -> None:
    """The runs of this machine: which there are, one of them in full, and what differs between two.

    A run is named by its id, by the first four or more characters of it, or by its name where one
    run bears it.

    \b
    discl runs ls cifar10_lt --strategy static
    discl runs show 448f8c
    discl runs diff 448f8c fec67c
    """


# ---------------------------------------------------------------- ls


@runs.command("ls")
@click.argument("bench", required=False, metavar="[BENCH]", shell_complete=benchmarks)
@click.option("--scale", help="Only runs at this scale.", shell_complete=scales)
@click.option(
    "--strategy",
    help="Only runs of these strategies, separated by commas.",
    shell_complete=strategies,
)
@click.option(
    "--failed",
    is_flag=True,
    help="Only what a person should look at: runs that failed, and results that cannot be read.",
)
@click.option(
    "--most",
    default=30,
    show_default=True,
    type=click.IntRange(0),
    metavar="N",
    help="Show the N newest; 0 = all.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
)
def runs_ls(
    bench: str | None, scale: str | None, strategy: str | None, failed: bool, most: int, form: str
) -> None:
    """Runs in $DISCL_HOME, newest first: complete, running, stopped and how far they came, given up
    by a pruner, failed and why.

    A result file that is damaged, or was edited by hand, is listed as unreadable with the reason,
    and holds nothing else up. What is stopped or failed goes on with the command that made it:
    `discl runs show RUN` has it.

    \b
    discl runs ls                                  the 30 newest
    discl runs ls cifar10_lt --strategy static,real_rebalanced
    discl runs ls --failed                         what went wrong, and why
    discl runs ls --most 0 --format csv > runs.csv
    """
    from discl.cli.options.selection import words
    from discl.cli.render import runs as _runs
    from discl.cli.render.text import finite
    from discl.harness.inspect import index as index
    from discl.harness.run.store import Store

    store = Store()
    wanted = words(strategy or "")
    found = (
        run
        for run in index.newest(store)
        if _fits(run, bench, scale, wanted) and (not failed or run.state in index.BAD)
    )
    shown = list(islice(found, most or None))
    more = bool(most) and next(found, None) is not None
    if form == "csv":
        click.echo(_runs.as_csv(shown), nl=False)
    elif form == "json":
        click.echo(
            json.dumps(finite([_runs.line(run) for run in shown]), indent=1, ensure_ascii=False)
        )
    else:
        _runs.print_list(shown, more, store)


def _fits(run: Run, bench: str | None, scale: str | None, strategies: list[str]) -> bool:
    return (
        bench in (None, run.benchmark)
        and scale in (None, run.scale)
        and (not strategies or run.strategy in strategies)
    )


# ---------------------------------------------------------------- show, diff


def form(command: Command) -> Command:
    return click.option(
        "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
    )(command)


@runs.command("show")
@click.argument("run", shell_complete=run_ids)
@form
def runs_show(run: str, form: str) -> None:
    """One run in full: its settings and the command that repeats it, its comparability key, what came out,
    how it went, and where it lies.

    Metrics are in percent, with the standard error from the choice of test photos where it is
    known. `levels` draws the mean level of the synthetic images over the epochs, from text (low) to
    photo (high), and the val metric where it was measured.

    \b
    discl runs show 448f8c
    discl runs show cifar10_cams-smoke-timm-reverse-s0
    discl runs show 448f8c --format json           everything, for scripts
    """
    from discl.cli.render.run_pages import print_run
    from discl.cli.render.text import finite
    from discl.harness.inspect.details import described
    from discl.harness.inspect.lookup import find
    from discl.harness.run.store import Store

    found = find(Store(), run)
    if form == "json":
        click.echo(json.dumps(finite(described(found)), indent=1, ensure_ascii=False))
    else:
        print_run(found)


@runs.command("diff")
@click.argument("a", shell_complete=run_ids)
@click.argument("b", shell_complete=run_ids)
@click.option(
    "--sort",
    type=click.Choice(["size", "split"]),
    default="size",
    show_default=True,
    help="Metrics that differ most first, or by split.",
)
@click.option(
    "--most",
    default=20,
    show_default=True,
    type=click.IntRange(0),
    metavar="N",
    help="Show N metrics and half as many classes; 0 = all.",
)
@form
def runs_diff(a: str, b: str, sort: str, most: int, form: str) -> None:
    """What differs between runs A and B: settings first, then what they were made with, then what
    came out, as B minus A in points.

    One pair of runs says little. The error beside a difference is that of the choice of test photos
    alone, as if either run had photos of its own, so it is too large where they share them; chance
    in training comes on top. `discl leaderboard` compares over seeds.

    \b
    discl runs diff 448f8c fec67c
    discl runs diff 448f8c fec67c --sort split --most 0
    """
    from discl.cli.render.run_pages import print_difference
    from discl.cli.render.text import finite
    from discl.harness.inspect.diff import as_dict, difference
    from discl.harness.inspect.lookup import find
    from discl.harness.run.store import Store

    store = Store()
    found = difference(find(store, a), find(store, b))
    if form == "json":
        click.echo(json.dumps(finite(as_dict(found)), indent=1, ensure_ascii=False))
    else:
        print_difference(found, sort, most)
