"""`discl hard`: the training photos that images are made from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.selection import load, opened, selection

if TYPE_CHECKING:
    from discl.harness.bank.hard_examples import Choice, HardClass, Spread

SHOWN = 30  # classes on the terminal


@click.command()
@selection
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also draw the hardest photos: .png, .webp or .svg.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: everything, for scripts.",
)
def hard(sheet: Path | None, form: str, **selection: Any) -> None:
    """Which training photos of BENCH are hard, so that images are made from them, and how many
    images that will be.

    By the rule `tail` they are those of small classes. By `low_confidence` they are those whose
    true class gets the least probability from a model that has not seen them: the photos are dealt
    into hard_rule.folds parts, and a model a part is trained on the others. That is done once and goes
    on where it was stopped; hard_rule.fraction, hard_rule.threshold and hard_rule.exclude choose anew without it:

    \b
    discl hard cifar10_lt --set hard_rule.name=low_confidence --set hard_rule.fraction=0.05 --sheet hard.png
    """
    import json
    from dataclasses import asdict

    from discl.engine.training import distributed
    from discl.files.figure import check_figure, save_figure
    from discl.harness.bank import hard_examples

    if sheet:
        check_figure(sheet)
    distributed.join()  # under torchrun the judges are trained by all processes, and one speaks
    bench, tracker = opened(load(**selection))
    bench.find_hard(tracker.progress if distributed.is_main_process() else lambda *_: None)
    if not distributed.is_main_process():
        return
    found = hard_examples.choice(bench)
    if form == "json":
        click.echo(json.dumps(asdict(found), indent=1, ensure_ascii=False))
    else:
        _print(found)
    if sheet:
        click.echo(f"sheet: {save_figure(hard_examples.sheet(bench), sheet)}", err=form == "json")


def _print(found: Choice) -> None:
    from rich.console import Console
    from rich.table import Table

    said = ", ".join(
        f"{key} = {value}"
        for key, value in {"rule": "tail", **found.hard}.items()
        if key != "judges"
    )
    click.echo(
        f"{found.benchmark} at scale {found.scale}: {found.hard_photos:,} of"
        f" {found.training_photos:,} training photos are hard ({said})"
    )
    table = Table(
        "class",
        "photos",
        "hard",
        "share",
        *(["median probability"] if found.judges else []),
        box=None,
    )
    most = sorted(found.classes, key=lambda one: -one.hard)[:SHOWN]
    for one in sorted(most, key=lambda one: one.label):
        table.add_row(*_row(one, bool(found.judges)))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    if len(found.classes) > SHOWN:
        click.echo(
            f"the {SHOWN} classes with the most hard photos of {len(found.classes)}; --format json"
            " has them all"
        )
    if found.judges:
        _print_spread(found.judges)
    click.echo(
        f"the bank needs {found.images:,} images of them, {found.denoising_steps:,} denoising steps"
    )


def _row(one: HardClass, judged: bool) -> list[str]:
    from rich.markup import escape

    share = f"{one.hard / one.photos:.0%}" if one.photos else "–"
    median = "–" if one.median_probability is None else f"{one.median_probability:.3f}"
    return [
        escape(one.class_name),
        str(one.photos),
        "excluded" if one.excluded else str(one.hard),
        share,
        *([median] if judged else []),
    ]


def _print_spread(spread: Spread) -> None:
    def line(values: dict[str, float]) -> str:
        return "  ".join(f"{name} {value:.3g}" for name, value in values.items())

    judges = ", ".join(
        "not measured" if value is None else f"{value:.1%}" for value in spread.selected
    )
    click.echo(f"probability of the true class, all photos:   {line(spread.probabilities)}")
    click.echo(f"                               hard photos:  {line(spread.hard_probabilities)}")
    click.echo(
        "hard_rule.threshold would choose:"
        f" {', '.join(f'{count:,} below {mark}' for mark, count in spread.below.items())}"
    )
    click.echo(
        f"judges: {len(spread.folds)}, {spread.selected_by} {judges}; kept in {spread.folder}"
    )
    if spread.strange:
        click.echo(
            f"{spread.strange:,} photos were judged by a model that knew no photo of their class,"
            " so their probability says nothing of them"
        )
