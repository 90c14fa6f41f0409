"""`discl leaderboard`: compare strategies; publish, submit and check what is committed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from discl.cli.options.completion import benchmarks
from discl.cli.options.group import CommandGroup
from discl.cli.options.output import format_option
from discl.cli.options.selection import (
    baseline_option,
    epoch_option,
    load,
    papers_option,
    selection,
    words,
)
from discl.cli.render.boards import print_board
from discl.core.text import counted, echo

if TYPE_CHECKING:
    from discl.harness.leaderboard.verify import Verification

FORMATS = ("table", "md", "latex", "csv", "json", "html")
_root = click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("leaderboards"),
    show_default=True,
    help="Folder of the published results and pages.",
)


def _every(selection: dict[str, Any]) -> dict[str, bool]:
    """Of what all are taken that have runs: of what no option chooses."""
    return {
        "every_strategy": selection["strategies"] is None,
        "every_seed": selection["seeds"] is None,
    }


class _Leaderboard(CommandGroup):
    """A group in which `discl leaderboard BENCH` stands for `discl leaderboard show BENCH`."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["show", *args]
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return [*super().shell_complete(ctx, incomplete), *benchmarks(ctx, None, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of `show`, which `discl leaderboard BENCH` takes, then the commands."""
        own = {option.name for option in self.get_params(ctx)}
        shown = [
            option
            for option in self.commands["show"].get_params(ctx)
            if isinstance(option, click.Option) and option.name not in own
        ]
        rows = [record for option in shown if (record := option.get_help_record(ctx))]
        with formatter.section("Options of discl leaderboard BENCH"):
            formatter.write_dl(rows)
        super().format_commands(ctx, formatter)


@click.group(cls=_Leaderboard)
def leaderboard() -> None:
    """Compare strategies, or work on the published results.

    `discl leaderboard BENCH` is short for `discl leaderboard show BENCH`.

    \b
    discl leaderboard cifar10_lt
    discl leaderboard cifar10_lt --published --format md
    """


@leaderboard.command("show")
@selection
@epoch_option
@format_option(
    "table: for the terminal; the others can be written to a file with -o.", forms=FORMATS
)
@baseline_option
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
@papers_option
def leaderboard_show(
    form: str,
    baselines: tuple[str, ...],
    output: Path | None,
    published: bool,
    papers: bool,
    epoch: str | None,
    **selection: Any,
) -> None:
    """Show the table of BENCH from the runs on this machine.

    All strategies and seeds with complete runs are shown, also strategies that the benchmark file
    does not list, unless --strategies or --seeds are given. Rows from before a correction have no
    place and are compared with nothing. All numbers are of one epoch rule, the other's stand
    beside, and a line warns where the two disagree in sign.

    \b
    discl leaderboard cifar10_lt
    discl leaderboard cifar10_lt --published
    discl leaderboard cifar10_lt --epoch val
    discl leaderboard cifar10_lt --baseline all_levels --format latex -o table.tex
    """
    from discl.core.conventions import epoch_rule
    from discl.core.errors import UserError
    from discl.files.disk import atomic_output, check_output
    from discl.harness.leaderboard.formats import FORMATS as WRITERS
    from discl.harness.leaderboard.publish import shipped_results
    from discl.harness.leaderboard.stored import runs_of
    from discl.harness.leaderboard.table import board
    from discl.harness.run.store import Store

    if output and form == "table":
        raise UserError(
            f"-o {str(output)!r} takes a format that is for files: {', '.join(FORMATS[1:])}"
        )
    if output:
        check_output(output)
    if epoch is not None:
        epoch_rule(epoch)
    spec = load(**selection)
    every = _every(selection)
    if published:
        spec, results = shipped_results(spec, **every)
    else:
        spec, results = runs_of(spec, Store(), **every)
    compared = [name for given in baselines for name in words(given)]
    comparison = board(spec, results, compared, other_data=papers, epoch=epoch)
    if form == "table":
        print_board(comparison)
    elif output:
        with atomic_output(output) as tmp:
            tmp.write_text(WRITERS[form](comparison), "utf-8")
        echo(str(output))
    else:
        echo(WRITERS[form](comparison), nl=False)


@leaderboard.command("publish")
@selection
@_root
def leaderboard_publish(root: Path, **selection: Any) -> None:
    """Publish the results of BENCH from this machine.

    They replace the results that were published before, and the page is rendered again. All
    strategies and seeds that have runs are published, unless --strategies or --seeds are given.
    """
    from discl.harness.leaderboard.publish import publish
    from discl.harness.leaderboard.stored import runs_of
    from discl.harness.run.store import Store

    spec, _ = runs_of(load(**selection), Store(), **_every(selection))
    for path in publish(spec, Store(), root):
        echo(str(path))


@leaderboard.command("submit")
@selection
@_root
def leaderboard_submit(root: Path, **selection: Any) -> None:
    """Add your results of BENCH to the published ones.

    They are verified first. The text for a pull request is printed.

    \b
    discl bench cifar10_lt --strategies dawn --seeds 0,1,2,3,4
    discl leaderboard submit cifar10_lt --strategies dawn
    """
    from discl.harness.leaderboard.publish import submit
    from discl.harness.leaderboard.stored import runs_of
    from discl.harness.run.store import Store

    spec, _ = runs_of(load(**selection), Store(), **_every(selection))
    paths, text = submit(spec, Store(), root)
    for path in paths:
        echo(str(path), err=True)
    echo("commit these files, run `make check`, and open a pull request that says:", err=True)
    echo(text, nl=False)


@leaderboard.command("verify")
@_root
def leaderboard_verify(root: Path) -> None:
    """Recompute every published number from the predictions.

    Each result from before a correction is named with the correction. The exit code is 1 where a
    number differs.
    """
    from discl.harness.leaderboard.publish import verify_published
    from discl.harness.run.store import Store

    verification = verify_published(root, Store())
    for sentence in verification.old:
        echo(sentence)
    for fault in verification.faults:
        echo(fault, err=True)
    agree = ""
    if verification.from_predictions:
        agree = (
            f"; of {verification.from_predictions} the saved predictions are on this machine and"
            " agree"
        )
    echo(
        f"{counted(verification.results, 'result')}, {verification.numbers:,} numbers computed"
        f" again from what was predicted{agree}; {counted(len(verification.faults), 'fault')}"
        f"{_before(verification)}"
    )
    if verification.faults:
        raise click.exceptions.Exit(1)


def _before(verification: Verification) -> str:
    old = len(verification.old)
    return f"; {old} results are from before a correction" if old else ""


@leaderboard.command("check")
@_root
def leaderboard_check(root: Path) -> None:
    """Check that pages, results and predictions agree.

    Fails where a committed page differs from its results, or a result from its predictions.
    """
    from discl.core.errors import UserError
    from discl.harness.leaderboard.publish import stale, verify_published
    from discl.harness.run.store import Store

    verification = verify_published(root, Store())
    faults = verification.faults
    if faults:
        raise UserError(
            f"{len(faults)} faults in published results, the first: {faults[0]}; see: discl"
            " leaderboard verify"
        )
    if outdated := stale(root):
        raise UserError(f"{root / (outdated[0] + '.md')} is stale; run: discl leaderboard render")
    echo(
        f"leaderboards are current; {verification.numbers:,} numbers of {verification.results}"
        f" results hold{_before(verification)}"
    )


@leaderboard.command("render")
@_root
def leaderboard_render(root: Path) -> None:
    """Render every page again from the published results."""
    from discl.files.disk import write_text
    from discl.harness.leaderboard.publish import render, stale

    for name in stale(root):
        write_text(root / f"{name}.md", render(name, root))
        echo(str(root / f"{name}.md"))
