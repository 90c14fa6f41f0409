"""`discl report` and `discl figures`: runs compared on one HTML page, and as figures for papers."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.completion import benchmarks
from discl.cli.options.selection import (
    Decorator,
    baseline_option,
    epoch_option,
    load,
    papers_option,
    scale_option,
    set_option,
    strategies_option,
    words,
)
from discl.core.text import echo

if TYPE_CHECKING:
    from discl.config.benchmark import Benchmark


FORMATS = ("svg", "pdf", "png")


def _selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """One or more BENCH and what narrows them."""
    options: list[Decorator] = [
        click.argument(
            "benches", metavar="BENCH...", nargs=-1, required=True, shell_complete=benchmarks
        ),
        scale_option,
        strategies_option("Only these, separated by commas; default: all that have runs."),
        click.option("--seeds", help="Seeds, separated by commas; default: all that have runs."),
        baseline_option,
        set_option,
        click.option(
            "--root",
            type=click.Path(file_okay=False, exists=True, path_type=Path),
            help=(
                "Read the published result files of this folder, e.g. leaderboards, instead of the"
                " runs on this machine."
            ),
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _specs(benches: tuple[str, ...], **narrowed: Any) -> list[Benchmark]:
    return [load(bench=name, **narrowed) for name in dict.fromkeys(benches)]


@click.command()
@_selection
@epoch_option
@click.option(
    "--study",
    metavar="NAME",
    help="Only the studies whose name this is a part of; default: all of the benchmark.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page to write.",
)
@papers_option
@click.option(
    "--pictures/--no-pictures",
    "shown",
    default=True,
    show_default=True,
    help="Images of the bank and the surest mistakes.",
)
def report(
    benches: tuple[str, ...],
    baselines: tuple[str, ...],
    root: Path | None,
    study: str | None,
    output: Path,
    papers: bool,
    shown: bool,
    epoch: str | None,
    **narrowed: Any,
) -> None:
    """Write the results of BENCH as one HTML page.

    The page opens from disk and fetches nothing. It begins with the answer in a sentence: who beats
    the baseline, by how much, and what of it is rebalancing, synthesis and order. Then the table,
    charts, images of the bank, the surest mistakes, tuning, and at the end the methods and
    comparability keys.

    \b
    discl report cifar10_lt
    discl report cifar10_lt cifar10_cams --scale small -o report.html
    discl report cifar10_lt --root leaderboards        # from published results
    """
    from discl.files.disk import check_output
    from discl.harness.report.build import ReportRequest, save_report

    check_output(output)
    compared = [name for given in baselines for name in words(given)]
    request = ReportRequest(
        _specs(benches, **narrowed),
        narrowed["seeds"] is None,
        narrowed["strategies"] is None,
        compared,
        root,
        study,
        _studies(study),
        shown,
        papers,
        _command("report", benches),
        _checked(epoch),
    )
    for note in save_report(request, output):
        echo(note, err=True)
    echo(str(output))


@click.command()
@_selection
@epoch_option
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Folder to write the figures to.",
)
@click.option(
    "--format",
    "formats",
    default="svg,pdf,png",
    show_default=True,
    help="Formats, separated by commas.",
)
def figures(
    benches: tuple[str, ...],
    baselines: tuple[str, ...],
    root: Path | None,
    output: Path,
    formats: str,
    epoch: str | None,
    **narrowed: Any,
) -> None:
    """Draw the results of BENCH as figures for a paper.

    A text file with their captions is written beside them. Figures are one column wide and can be
    read in grey; fonts are embedded in a PDF. The same runs give the same bytes.

    \b
    discl figures cifar10_lt -o figures
    discl figures cifar10_lt --baseline all_levels --format pdf -o figures
    """
    from discl.core.errors import unknown
    from discl.harness.report.build import ReportRequest, save_figures_of

    for form in words(formats):
        if form not in FORMATS:
            raise unknown("format of a figure", form, FORMATS)
    compared = [name for given in baselines for name in words(given)]
    request = ReportRequest(
        _specs(benches, **narrowed),
        narrowed["seeds"] is None,
        narrowed["strategies"] is None,
        compared,
        root,
        command=_command("figures", benches),
        epoch=_checked(epoch),
    )
    for path in save_figures_of(request, output, words(formats)):
        echo(str(path))


def _checked(epoch: str | None) -> str | None:
    """The name of an epoch rule; UserError where there is none of that name."""
    from discl.core.conventions import epoch_rule

    return epoch if epoch is None else epoch_rule(epoch).name


def _studies(study: str | None) -> str:
    """Address of the studies; "" where there are none and no `study` is asked for."""
    import os

    from discl.files.disk import home

    stored = os.environ.get("DISCL_STUDIES") or (home() / "studies" / "studies.db").exists()
    if not (study or stored):
        return ""  # Optuna takes seconds to import
    from discl.harness.tuning.storage.address import default_url

    return default_url()


def _command(name: str, benches: tuple[str, ...]) -> str:
    """The command line, with the options that were given."""
    context = click.get_current_context()
    words = ["discl", name, *benches]
    for option in context.command.params:
        if isinstance(option, click.Option) and option.name != "output":
            words += _option_words(option, context.params.get(str(option.name)))
    return shlex.join(words)


def _option_words(option: click.Option, value: Any) -> list[str]:
    """The words of an option, none where it has its default."""
    if value in (None, (), option.default):
        return []
    if option.is_flag:
        return (option.opts if value else option.secondary_opts)[:1]
    values = value if isinstance(value, tuple) else (value,)
    return [word for item in values for word in (option.opts[0], str(item))]
