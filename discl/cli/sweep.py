"""`discl sweep`: grids and tuning, on one machine or many."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.completion import strategies, sweeps
from discl.cli.options.launching import (
    as_json,
    end,
    end_failed,
    executor_of,
    launch_options,
    load_sweep,
    print_cost,
    print_json,
    run_points,
    trackers_of,
    wants_json,
)
from discl.cli.options.renamed import renamed_option
from discl.core.text import typed

if TYPE_CHECKING:
    from discl.config.sweep import SweepFile
    from discl.core.interfaces import Executor
    from discl.harness.run.store import Store
    from discl.harness.sweep.run_list import RunList
    from discl.harness.tuning.comparison import Gain, Retest


@click.command()
@click.argument("name", required=False, shell_complete=sweeps)
@click.option("--strategies", shell_complete=strategies, help="Only these, separated by commas.")
@click.option("--seeds", help="Seeds of a grid, separated by commas.")
@click.option(
    "--storage",
    metavar="URL",
    help="Database of studies; default: SQLite under $DISCL_HOME, or $DISCL_STUDIES.",
)
@click.option(
    "--as",
    "study_name",
    metavar="NAME",
    help="Give the study another name, to begin a new one beside the old one.",
)
@click.option(
    "--retest",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="After tuning: default against winner on so many fresh seeds.",
)
@renamed_option("--reseed", "--retest")
@renamed_option("-o", "discl order-test NAME -o FILE")
@renamed_option("--output", "discl order-test NAME -o FILE")
@launch_options
def sweep(name: str | None, **given: Any) -> None:
    """Run sweeps/NAME.toml: a grid, or the tuning of a space.

    The same command resumes what was stopped. Stored runs are not made again, whichever sweep or
    bench made them. A run that fails is recorded and shown, and does not stop the others. Ctrl-C
    lets the runs under way finish; a second one stops at once. Several launches of one sweep may
    run at once. Sweeps with a table [order] are run by `discl order-test`.

    \b
    discl sweep                         what there is
    discl sweep losses --dry-run        how many runs, images, steps and hours
    discl sweep losses --workers 2      a grid of losses and strategies
    discl sweep tune_static --retest 5  tune each strategy alike, then default
                                        against tuned on fresh seeds
    discl sweep levels --benchmark iwildcam --scale small --executor ray --address auto
    """
    from discl.harness.run.store import Store

    if name is None:
        _list()
        return
    sweep = _load(name, given)
    if given["dry_run"]:
        print_cost(sweep, Store())
        return
    executor = executor_of(given)
    run = _tune if sweep.tune else _run_grid
    run(sweep, Store(), executor, given)


def _list() -> None:
    from discl.cli.render.tables import show
    from discl.config.sweep_load import available, load
    from discl.core.errors import FOREIGN, reason

    kinds = {"grid": "grid", "space": "tunes", "order": "order test"}
    rows = []
    for name in available():
        try:
            sweep = load(name)
        except FOREIGN as error:  # the others are listed all the same
            rows.append([name, "-", "-", f"cannot be used: {reason(error)}"])
            continue
        kind = next(word for table, word in kinds.items() if getattr(sweep, table))
        rows.append([sweep.name, kind, sweep.benchmark, sweep.title])
    show(
        "Sweeps: discl sweep NAME; an order test: discl order-test NAME",
        ["name", "kind", "benchmark", "what it asks"],
        rows,
        left=4,
        worth=["what it asks", "kind"],
    )


def _load(name: str, given: dict[str, Any]) -> SweepFile:
    """The file with what the command line says about it.

    Raises UserError for an order test, and for options of tuning where nothing is tuned.
    """
    from discl.cli.options.selection import words
    from discl.core.errors import UserError

    sweep = load_sweep(name, given, words(given["strategies"] or ""))
    if sweep.order:
        raise UserError(f"{name!r} is an order test; run `{typed('discl', 'order-test', name)}`")
    for key, option in (("retest", "--retest"), ("storage", "--storage"), ("study_name", "--as")):
        if given[key] and not sweep.tune:
            raise UserError(
                f"{option} is for tuning sweeps, and sweep {name!r} is none of them; leave it out"
            )
    if given["study_name"]:
        return sweep.model_copy(update={"name": given["study_name"]})
    return sweep


# ---------------------------------------------------------------- grids


def _run_grid(sweep: SweepFile, store: Store, executor: Executor, given: dict[str, Any]) -> None:
    from discl.cli.render.tables import show_grid, tell
    from discl.config.sweep_expand import expand
    from discl.harness.sweep.grid_table import grid_table

    points = expand(sweep)
    done = run_points(sweep, points, store, executor, given)
    table = grid_table(points, done.results)
    if wants_json(given):
        rows = [
            {"at": row.at, "wanted": row.runs, "metrics": as_json(row.metrics)}
            for row in table.rows
        ]
        failures = {id: vars(failure) for id, failure in done.failures.items()}
        print_json(
            {
                "sweep": sweep.model_dump(mode="json"),
                "epoch": table.rule.name,
                "rows": rows,
                "failures": failures,
            }
        )
    else:
        show_grid(
            f"{sweep.title or sweep.name}, {sweep.benchmark}, scale {sweep.scale}, at"
            f" {table.rule.words} (percent, mean ± 95 % interval over seeds)",
            table,
        )
        if table.epoch_note:
            tell(table.epoch_note)
    end(done, given)


# ---------------------------------------------------------------- tuning


def _tune(sweep: SweepFile, store: Store, executor: Executor, given: dict[str, Any]) -> None:
    from discl.cli.render.progress import Screen
    from discl.cli.render.tuning import print_gains, print_searches
    from discl.core.compute.device import check_visible_devices
    from discl.harness.sweep.expand import most_runs
    from discl.harness.sweep.scheduler import launch
    from discl.harness.tuning.comparison import failures, gains, retests, searches
    from discl.harness.tuning.storage.address import default_url
    from discl.harness.tuning.storage.database import close_storage, open_storage
    from discl.harness.tuning.tuner import Tuner

    check_visible_devices()
    storage = open_storage(given["storage"] or default_url())
    with ExitStack() as closing, Tuner(sweep, storage, given["retry"]) as tuner:
        closing.callback(close_storage, storage)
        scored = sum(search.runs for search in searches(tuner))
        title = sweep.title or sweep.name
        with Screen(title, most_runs(sweep), scored, tuner.objective) as screen:
            launch(tuner, executor, trackers_of(sweep, given), screen)
        searched = searches(tuner)
        pairs = retests(tuner, given["retest"])
        failed = failures(tuner)
        if not wants_json(given):
            print_searches(sweep.title or sweep.name, tuner.objective, searched)
    outcome: dict[str, Any] = {
        "sweep": sweep.model_dump(mode="json"),
        "searches": [vars(search) for search in searched],
        "failures": failed,
    }
    retested = None
    if given["retest"]:
        retested = _retest(sweep, pairs, store, executor, given)
        titles, lines = gains(pairs, retested.results)
        outcome["gains"] = [_gain_as_json(line) for line in lines]
        if not wants_json(given):
            print_gains(given["retest"], titles, lines)
    if wants_json(given):
        print_json(outcome)
    if retested:
        end(retested, given)
    end_failed(failed)


def _retest(
    sweep: SweepFile,
    pairs: Sequence[Retest],
    store: Store,
    executor: Executor,
    given: dict[str, Any],
) -> RunList:
    """The runs of defaults and winners on fresh seeds."""
    points = [point for pair in pairs for point in (*pair.default, *pair.tuned)]
    return run_points(sweep, points, store, executor, given)


def _gain_as_json(line: Gain) -> dict[str, Any]:
    return {
        "strategy": line.strategy,
        "default": as_json(line.default),
        "tuned": as_json(line.tuned),
        "gain": as_json(line.gain),
    }
