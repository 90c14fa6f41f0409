"""`discl leaderboard`: compare strategies; publish, submit and check what is committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from discl.cli.options.completion import benchmarks
from discl.cli.options.selection import load, selection, words
from discl.cli.render.boards import print_board

FORMATS = ("table", "md", "latex", "csv", "json", "html")
_root = click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("leaderboards"),
    show_default=True,
)


class _Leaderboard(click.Group):
    """`discl leaderboard BENCH` shows; the other commands are words of their own."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["show", *args]
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return [*super().shell_complete(ctx, incomplete), *benchmarks(ctx, None, incomplete)]


@click.group(cls=_Leaderboard)
def leaderboard() -> None:
    """Compare strategies: `discl leaderboard BENCH`, or `publish`, `submit`, `verify` and `check`
    what is committed.
    """


@leaderboard.command("show")
@selection
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    help="A strategy to compare with. Repeatable; default: real_rebalanced, real_only.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of the terminal.",
)
@click.option(
    "--published",
    is_flag=True,
    help="Show the published results that come with discl instead of the runs on this machine.",
)
def leaderboard_show(
    form: str, baselines: tuple[str, ...], output: Path | None, published: bool, **selection: Any
) -> None:
    """Show the table of BENCH from stored runs; all seeds there are, unless --seeds says which.

    \b
    discl leaderboard cifar10_lt
    discl leaderboard cifar10_lt --published
    discl leaderboard cifar10_lt --baseline all_levels --format latex -o table.tex
    """
    from discl.core.errors import UserError
    from discl.files.disk import atomic_output, check_output
    from discl.harness.leaderboard import table as boards
    from discl.harness.leaderboard.formats import FORMATS as WRITERS
    from discl.harness.leaderboard.publish import shipped_results
    from discl.harness.run.store import Store

    if output and form == "table":
        raise UserError(
            f"-o {str(output)!r} takes a format that is for files: {', '.join(FORMATS[1:])}"
        )
    if output:
        check_output(output)
    spec = load(**selection)
    if published:
        results = shipped_results(spec)
        if selection["seeds"] is None:
            seeds = sorted({result.seed for result in results})
            spec = spec.model_copy(update={"seeds": seeds})
        results = [result for result in results if result.seed in spec.seeds]
    else:
        if selection["seeds"] is None:
            spec = boards.with_every_seed(spec, Store())
        results = boards.stored_results(spec, Store())
    made = boards.board(spec, results, [name for given in baselines for name in words(given)])
    if form == "table":
        print_board(made)
    elif output:
        with atomic_output(output) as tmp:
            tmp.write_text(WRITERS[form](made), "utf-8")
        click.echo(str(output))
    else:
        click.echo(WRITERS[form](made), nl=False)


@leaderboard.command("publish")
@selection
@_root
def leaderboard_publish(root: Path, **selection: Any) -> None:
    """Replace what is published of BENCH by the complete results here, and render its page; all
    seeds, unless --seeds says which.
    """
    from discl.harness.leaderboard.publish import publish
    from discl.harness.leaderboard.table import with_every_seed
    from discl.harness.run.store import Store

    spec = load(**selection)
    for path in publish(
        with_every_seed(spec, Store()) if selection["seeds"] is None else spec, Store(), root
    ):
        click.echo(str(path))


@leaderboard.command("submit")
@selection
@_root
def leaderboard_submit(root: Path, **selection: Any) -> None:
    """Add your results of BENCH to the published ones, verified, and print the text of the pull
    request.

    \b
    discl bench cifar10_lt --strategies dawn --seeds 0,1,2,3,4
    discl leaderboard submit cifar10_lt --strategies dawn
    """
    from discl.harness.leaderboard.publish import submit
    from discl.harness.leaderboard.table import with_every_seed
    from discl.harness.run.store import Store

    spec = load(**selection)
    paths, text = submit(
        with_every_seed(spec, Store()) if selection["seeds"] is None else spec, Store(), root
    )
    for path in paths:
        click.echo(str(path), err=True)
    click.echo("commit these files, run `make check`, and open a pull request that says:", err=True)
    click.echo(text, nl=False)


@leaderboard.command("verify")
@_root
def leaderboard_verify(root: Path) -> None:
    """Compute every published number again from what was predicted; exit code 1 where one does not
    hold.
    """
    from discl.harness.leaderboard.publish import verified
    from discl.harness.run.store import Store

    found = verified(root, Store())
    for fault in found.faults:
        click.echo(fault, err=True)
    here = (
        f"; of {found.from_predictions} the saved predictions are on this machine and agree"
        if found.from_predictions
        else ""
    )
    click.echo(
        f"{found.results} results, {found.numbers:,} numbers computed again from what was"
        f" predicted{here}; {len(found.faults)} faults"
    )
    if found.faults:
        raise click.exceptions.Exit(1)


@leaderboard.command("check")
@_root
def leaderboard_check(root: Path) -> None:
    """Fail where a committed page is not what its results give, or a result not what was predicted."""
    from discl.core.errors import UserError
    from discl.harness.leaderboard.publish import stale, verified
    from discl.harness.run.store import Store

    found = verified(root, Store())
    if found.faults:
        raise UserError(
            f"{len(found.faults)} faults in published results, the first: {found.faults[0]}; see:"
            " discl leaderboard verify"
        )
    if old := stale(root):
        raise UserError(f"{root / (old[0] + '.md')} is stale; run: make leaderboards")
    click.echo(
        f"leaderboards are current; {found.numbers:,} numbers of {found.results} results hold"
    )


@leaderboard.command("render")
@_root
def leaderboard_render(root: Path) -> None:
    """Render every page again from the published results."""
    from discl.files.disk import write_text
    from discl.harness.leaderboard.publish import render, stale

    for name in stale(root):
        write_text(root / f"{name}.md", render(name, root))
        click.echo(str(root / f"{name}.md"))
