"""`discl hard`: the training photos that images are made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.output import format_option
from discl.cli.options.selection import load, opened, selection
from discl.core.text import echo, echo_json, typed

if TYPE_CHECKING:
    from discl.harness.bank.hard_examples import HardClass, HardSummary, OutOfFoldSummary

SHOWN = 30  # classes on the terminal


@click.command()
@selection
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also draw the hardest photos: .png, .webp or .svg.",
)
@format_option(forms=("text", "json"))
def hard(sheet: Path | None, form: str, **selection: Any) -> None:
    """Show which training photos of BENCH are hard.

    Images are made from these photos; how many is shown, too. By the rule `tail` they are those of
    small classes. By `low_confidence` they are those whose true class gets the least probability
    from a model that has not seen them: the photos are dealt into hard_rule.folds parts, and one
    model a part is trained on the others. That is done once and goes on where it was stopped.
    Another hard_rule.fraction, threshold or exclude selects anew without training:

    \b
    discl hard cifar10_lt --set hard_rule.name=low_confidence --set hard_rule.fraction=0.05
    """
    from dataclasses import asdict

    from discl.engine.training import distributed
    from discl.engine.training.meeting import clear_lost_process
    from discl.files.figure import check_figure, save_figure
    from discl.harness.bank import hard_examples

    if sheet:
        check_figure(sheet)
    distributed.join()  # under torchrun all processes train the models, and one prints
    bench, tracker = opened(load(**selection))
    with clear_lost_process():
        bench.find_hard(tracker.progress if distributed.is_main_process() else lambda *_: None)
    if not distributed.is_main_process():
        return
    summary = hard_examples.summary(bench)
    if form == "json":
        echo_json(asdict(summary))
    else:
        _print(summary)
    if sheet:
        echo(f"sheet: {save_figure(hard_examples.sheet(bench), sheet)}", err=form == "json")
    elif form != "json" and summary.hard_photos:
        echo(f"{typed('discl', 'hard', summary.benchmark)} --sheet hard.png draws them")


def _print(summary: HardSummary) -> None:
    from discl.cli.render.tables import show, tell

    rule = ", ".join(f"{key} = {value}" for key, value in summary.hard_rule.items())
    tell(
        f"{summary.benchmark} at scale {summary.scale}: {summary.hard_photos:,} of"
        f" {summary.training_photos:,} training photos are hard (hard_rule: {rule})"
    )
    hardest = sorted(summary.classes, key=lambda counted: -counted.hard)[:SHOWN]
    show(
        "",
        [
            "class",
            "photos",
            "hard",
            "share",
            *(["median probability"] if summary.out_of_fold else []),
        ],
        [
            _row(counted, bool(summary.out_of_fold))
            for counted in sorted(hardest, key=lambda counted: counted.label)
        ],
        worth=["hard", "photos", "share"],
        elsewhere="--format json",
    )
    if len(summary.classes) > SHOWN:
        tell(
            f"the {SHOWN} classes with the most hard photos of {len(summary.classes)};"
            " --format json has them all"
        )
    if summary.out_of_fold:
        _print_out_of_fold(summary.out_of_fold)
    tell(
        f"the bank needs {summary.images:,} images of them,"
        f" {summary.denoising_steps:,} denoising steps"
    )


def _row(counted: HardClass, with_median: bool) -> list[str]:
    share = f"{counted.hard / counted.photos:.0%}" if counted.photos else "–"
    median = "–" if counted.median_probability is None else f"{counted.median_probability:.3f}"
    return [
        counted.class_name,
        str(counted.photos),
        "excluded" if counted.excluded else str(counted.hard),
        share,
        *([median] if with_median else []),
    ]


def _print_out_of_fold(models: OutOfFoldSummary) -> None:
    from discl.cli.render.tables import show_pairs, tell

    def line(values: dict[str, float]) -> str:
        return "  ".join(f"{name} {value:.3g}" for name, value in values.items())

    validation = ", ".join(
        "not measured" if value is None else f"{value:.1%}" for value in models.validation
    )
    show_pairs(
        "probability of the true class",
        [
            ("all photos", line(models.probabilities)),
            ("hard photos", line(models.hard_probabilities)),
        ],
    )
    tell(
        "a threshold would select:"
        f" {', '.join(f'{count:,} below {mark}' for mark, count in models.below.items())}"
    )
    tell(
        f"out-of-fold models: {len(models.folds)}, {models.metric} {validation};"
        f" kept in {models.folder}"
    )
    if models.unseen_class:
        tell(
            f"{models.unseen_class:,} photos are of classes their model has not seen, so their"
            " probability means nothing"
        )
