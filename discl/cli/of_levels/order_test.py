"""`discl order-test`: does the order of a curriculum's levels matter?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from discl.cli.options.completion import benchmarks, sweeps
from discl.cli.options.launching import (
    end,
    executor_of,
    launch_options,
    load_sweep,
    print_cost,
    print_json,
    run_points,
    wants_json,
)
from discl.core.text import echo, typed

if TYPE_CHECKING:
    from discl.config.sweep import SweepFile

DEFAULT_FILE = "order"  # of sweeps/, for a benchmark


def _names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [
        *benchmarks(context, parameter, incomplete),
        *sweeps(context, parameter, incomplete),
    ]


@click.command("order-test")
@click.argument("name", metavar="BENCH|SWEEP", default=DEFAULT_FILE, shell_complete=_names)
@click.option("--seeds", help="Seeds that every order is trained with, separated by commas.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the result here (.png, .svg).",
)
@launch_options
def order_test(name: str, output: Path | None, **given: Any) -> None:
    """Test whether the order of a curriculum's levels matters.

    Every order of the levels is trained on the same images and seeds. Takes a benchmark, for which
    it runs sweeps/order.toml, or a sweep file with a table [order]. Every order sees each level for
    the same number of epochs. Runs that the store has are not made again, and the same command goes
    on with what was stopped.

    \b
    discl order-test cifar10_lt --dry-run   how many runs, images, steps and hours
    discl order-test cifar10_lt --workers 2 -o order.png
    discl order-test order --scale small --executor ray --address auto
    """
    from discl.harness.run.store import Store
    from discl.harness.sweep.order_test.figure import check_figure

    sweep = _sweep(name, given)
    if output:
        check_figure(output)
    if given["dry_run"]:
        print_cost(sweep, Store())
    else:
        _test(sweep, output, given)


def _sweep(name: str, given: dict[str, Any]) -> SweepFile:
    """The file of that name, or the order test of a benchmark; UserError where it is neither."""
    from discl.config.sweep_load import available
    from discl.core.errors import UserError, unknown
    from discl.core.search_path import benchmarks as known_benchmarks

    if name not in available() and not name.endswith(".toml"):
        known = known_benchmarks()
        if name not in known:
            raise unknown("benchmark or sweep", name, [*known, *available()])
        given = {**given, "benchmark": given["benchmark"] or name}
        name = DEFAULT_FILE
    sweep = load_sweep(name, given)
    if not sweep.order:
        raise UserError(
            f"sweep {name!r} has no table [order], so it is no order test; run"
            f" `{typed('discl', 'sweep', name)}`"
        )
    return sweep


def _test(sweep: SweepFile, output: Path | None, given: dict[str, Any]) -> None:
    from discl.harness.run.store import Store
    from discl.harness.sweep.order_test.figure import draw
    from discl.harness.sweep.order_test.runs import as_json, order_points, read_orders

    points = order_points(sweep)
    done = run_points(sweep, points, Store(), executor_of(given), given)
    if done.failures:
        end(done, given)
    readings = read_orders(sweep, points, done.results)
    if output:
        metric = next(iter(readings))
        draw(readings[metric].result, output, metric)
    if wants_json(given):
        results = {metric: as_json(reading.result) for metric, reading in readings.items()}
        rules = {metric: reading.rule.name for metric, reading in readings.items()}
        print_json({"sweep": sweep.model_dump(mode="json"), "readings": results, "epochs": rules})
    else:
        for metric, reading in readings.items():
            echo("\n  ".join([f"{metric}, at {reading.rule.words}:", *reading.sentences]))
    end(done, given)
