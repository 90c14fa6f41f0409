"""`discl levels`: what each level is worth, and which levels follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.completion import benchmarks
from discl.cli.options.launching import (
    bench_launch_options,
    end,
    executor_of,
    print_cost,
    print_json,
    run_points,
    wants_json,
)
from discl.core.text import counted, echo

if TYPE_CHECKING:
    from discl.config.sweep import SweepFile
    from discl.harness.run.store import Store


@click.command("levels")
@click.argument("bench", metavar="BENCH", shell_complete=benchmarks)
@click.option(
    "--candidates",
    default="0,10,20,30,40,50,60,70,80,90",
    show_default=True,
    help="Levels to measure, separated by commas; the photo, 100, is always measured.",
)
@click.option(
    "--seeds", default="0,1,2", show_default=True, help="Seeds of each level; two at least."
)
@click.option(
    "--epochs",
    default=0,
    type=click.IntRange(0, 100_000),
    help="Epochs of a run; default: half of the benchmark's.",
)
@click.option(
    "--count",
    default=0,
    type=click.IntRange(0, 101),
    help="How many levels to propose, 0 and 100 among them; default: as many as BENCH has.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the curve here (.png, .svg, .pdf).",
)
@bench_launch_options
def levels(
    bench: str,
    candidates: str,
    seeds: str,
    epochs: int,
    count: int,
    output: Path | None,
    **given: Any,
) -> None:
    """Measure what each level is worth to BENCH, and propose levels.

    Every candidate has runs with its images and those of no other level (strategy `fixed`), with as
    many images and steps as every other and no photos alone at the end; the photos that are not
    hard, and each hard one once an epoch, are in all of them. Accuracy on val is read at the last
    epoch: of few-shot classes, and of all. The proposal has equal steps of that worth between text
    and photo. The price is said first; runs that the store has are not made again, and the same
    command goes on with what was stopped. Test is not read.

    \b
    discl levels cifar10_lt --dry-run    how many images, runs and hours
    discl levels cifar10_lt --workers 2 -o worth.png
    discl levels cifar10_lt --candidates 0,5,10,15,20,25,30,100 --seeds 0,1,2,3,4
    """
    from discl.cli.options.selection import numbers
    from discl.cli.render.worth import print_worth
    from discl.harness.run.store import Store
    from discl.harness.worth.figure import check_worth_figure, draw_worth
    from discl.harness.worth.levels import read_worth, worth_json, worth_points, worth_sweep

    if output:
        check_worth_figure(output)
    sweep = worth_sweep(
        bench,
        given["scale"] or "smoke",
        given["settings"],
        numbers("--candidates", candidates),
        numbers("--seeds", seeds),
        epochs,
    )
    store = Store()
    points = worth_points(sweep)
    if given["dry_run"]:
        print_cost(sweep, store)
        return
    _tell_price(sweep, store)
    done = run_points(sweep, points, store, executor_of(given), given)
    if done.failures:
        end(done, given)
    curve = read_worth(sweep, points, done.results, store, count)
    if output:
        draw_worth(curve, output)
    if wants_json(given):
        print_json(worth_json(curve))
    else:
        print_worth(curve)
    end(done, given)


def _tell_price(sweep: SweepFile, store: Store) -> None:
    """One line on standard error, before anything is made."""
    from discl.harness.run.trackers import CompositeTracker
    from discl.harness.sweep.cost import estimate_cost
    from discl.harness.sweep.expand import experiments
    from discl.harness.worth.price import minutes_text

    cost = estimate_cost(experiments(sweep), store, CompositeTracker.of(["console"]).progress)
    echo(
        f"{counted(cost.experiments, 'run')}, of which {cost.cached} are stored;"
        f" {counted(cost.images, 'image')} to make,"
        f" {counted(cost.optimiser_steps, 'optimiser step')};"
        " "
        f"time with one worker: {minutes_text(cost.minutes)}",
        err=True,
    )
