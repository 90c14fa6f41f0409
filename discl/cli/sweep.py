"""`discl sweep`: grids, tuning and the order test, on one machine or many."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.completion import benchmarks, executors, scales, strategies, sweeps, trackers

if TYPE_CHECKING:
    from discl.config.sweep import Point, SweepFile
    from discl.core.interfaces import Executor
    from discl.harness.leaderboard.statistics import Estimate
    from discl.harness.run.store import Store
    from discl.harness.sweep.scheduler import RunList
    from discl.harness.tuning.comparison import Retest, Search


@click.command()
@click.argument("name", required=False, shell_complete=sweeps)
@click.option(
    "--benchmark",
    metavar="BENCH",
    shell_complete=benchmarks,
    help="Sweep this benchmark instead of the one the file names.",
)
@click.option(
    "--scale", shell_complete=scales, help="smoke, small or paper, instead of what the file says."
)
@click.option("--strategies", shell_complete=strategies, help="Only these, separated by commas.")
@click.option("--seeds", help="Seeds of a grid or order test, separated by commas.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting for all runs. Repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be run and what it costs, and stop.")
@click.option(
    "--engine",
    default="local",
    show_default=True,
    shell_complete=executors,
    help="Where runs are made: local, ray, slurm; see `discl list executors`.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Runs made side by side: processes, Ray actors or Slurm jobs.",
)
@click.option(
    "--address",
    help="Of a running Ray cluster, e.g. auto or head:6379; without it, one is started here.",
)
@click.option(
    "--engine-set",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the engine, e.g. partition=gpu. Repeatable.",
)
@click.option(
    "--retry",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Try a failed run so often again in this launch; the next one does anyway.",
)
@click.option(
    "--trackers",
    shell_complete=trackers,
    help="Who watches the runs, separated by commas; the record is always kept.",
)
@click.option(
    "--storage",
    metavar="URL",
    help="Database of studies; default: SQLite under $DISCL_HOME, or $DISCL_STUDIES.",
)
@click.option(
    "--as",
    "called",
    metavar="NAME",
    help="Call the study of a tuning file so, to begin it anew beside the old one.",
)
@click.option(
    "--reseed",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="After tuning: default against winner on so many fresh seeds.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the outcome here.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Order test: draw it here (.png, .svg).",
)
def sweep(name: str | None, **given: Any) -> None:
    """Run sweeps/NAME.toml: a grid, the tuning of a space, or the order test.

    The same command goes on with what was stopped.

    Runs that the store has are not made again, whichever sweep or bench made them. A run that fails
    is recorded and shown, and never stops the others. Ctrl-C lets the runs under way finish; a
    second one stops at once. Several launches of one sweep may run at once.

    \b
    discl sweep                                       what there is
    discl sweep losses --dry-run                      how many runs, images, steps and hours
    discl sweep losses --workers 2                    a grid of losses and strategies
    discl sweep tune_static --workers 2 --reseed 5    tune each strategy alike, then default against tuned on fresh seeds
    discl sweep order -o order.png                    does the order of the levels matter?
    discl sweep levels --benchmark iwildcam --scale small --engine ray --address auto
    """
    from discl.core.registry import bind
    from discl.files.disk import check_deliverable
    from discl.harness.run.store import Store

    if name is None:
        return _list()
    found = _file(name, given)
    for path in (given["json_file"], given["output"]):
        if path:
            check_deliverable(path)
    if given["dry_run"]:
        return _dry_run(found, Store())
    executor = bind("executors", given["engine"], _engine(given)).build()
    verb = _tune if found.tune else _order if found.order else _grid
    return verb(found, Store(), executor, given)


def _list() -> None:
    from discl.cli.render.tables import show
    from discl.config.sweep_load import available, load

    files = [load(name) for name in available()]
    kinds = {"grid": "grid", "space": "tunes", "order": "order test"}
    rows = [
        [
            found.name,
            next(word for kind, word in kinds.items() if getattr(found, kind)),
            found.benchmark,
            found.title,
        ]
        for found in files
    ]
    show("Sweeps: discl sweep NAME", ["name", "kind", "benchmark", "what it asks"], rows, left=4)


def _file(name: str, given: dict[str, Any]) -> SweepFile:
    """The file with what the command line says about it."""
    from discl.cli.options.selection import numbers, words
    from discl.config import sweep_load
    from discl.core.errors import UserError

    seeds = [] if given["seeds"] is None else numbers("--seeds", given["seeds"])
    found = sweep_load.load(
        name,
        given["benchmark"],
        given["scale"],
        given["settings"],
        words(given["strategies"] or ""),
        seeds,
    )
    kind = "tuning sweeps" if found.tune else "the order test" if found.order else "grids"
    for key, (option, meant_for) in _MEANT_FOR.items():
        if given[key] and kind != meant_for:
            raise UserError(
                f"{option} is for {meant_for}, and sweep {name!r} is none of them; leave it out"
            )
    return found.model_copy(update={"name": given["called"]}) if given["called"] else found


_MEANT_FOR = {
    "reseed": ("--reseed", "tuning sweeps"),
    "storage": ("--storage", "tuning sweeps"),
    "called": ("--as", "tuning sweeps"),
    "output": ("--output", "the order test"),
}


def _engine(given: dict[str, Any]) -> dict[str, Any]:
    from discl.config.toml import parse_settings

    said = {key: given[key] for key in ("workers", "address") if given[key] is not None}
    return {**said, **parse_settings(given["engine_set"])}


def _trackers(given: dict[str, Any], found: SweepFile) -> list[str]:
    from discl.cli.options.selection import words
    from discl.config.load import load

    return (
        list(load(found.benchmark, found.scale).trackers)
        if given["trackers"] is None
        else words(given["trackers"])
    )


def _write(path: Path | None, what: Any) -> None:
    from discl.files.disk import delivering

    if path:
        with delivering(path) as half:
            half.write_text(json.dumps(what, indent=1) + "\n", "utf-8")


# ---------------------------------------------------------------- the price


def _dry_run(found: SweepFile, store: Store) -> None:
    from discl.harness.run.trackers import CompositeTracker
    from discl.harness.sweep.cost import price
    from discl.harness.sweep.expand import bound, experiments

    cost = price(experiments(found), store, CompositeTracker.of(["console"]).progress)
    most = bound(found)
    times = most / max(1, cost.experiments) if most else 1.0
    click.echo(
        f"{found.name}: {found.title or found.benchmark}, {found.benchmark} at scale {found.scale}"
    )
    if most:
        click.echo(
            f"  runs               {most:>12,}   at most: trials x replicates x strategies; priced"
            " by each strategy as it stands"
        )
    else:
        click.echo(
            f"  runs               {cost.experiments:>12,}   of which stored {cost.cached:,}"
        )
    if cost.fold_models:
        click.echo(f"  models to train    {cost.fold_models:>12,}   they find the hard photos")
    images = "unknown" if cost.hard is None else f"{cost.images:,}"
    click.echo(
        f"  images to make     {images:>12}   {cost.denoising_steps:,} denoising steps, about"
        f" {cost.bytes / 1e6:.1f} MB"
    )
    click.echo(
        f"  optimiser steps    {round(cost.optimiser_steps * times):>12,}  "
        f" {round(cost.trained_images * times):,} images trained on"
    )
    click.echo(
        f"  time here          {cost.minutes / 60 * times:>12.2f}   hours with one worker, from"
        " stored runs or a sample of the work"
    )


# ---------------------------------------------------------------- grids


def _grid(found: SweepFile, store: Store, executor: Executor, given: dict[str, Any]) -> None:
    from discl.cli.render.tables import show_grid
    from discl.config.sweep_expand import expand
    from discl.harness.sweep.grid_table import grid

    points = expand(found)
    done = _run(found, points, store, executor, given)
    made = grid(points, done.results)
    show_grid(
        f"{found.title or found.name}, {found.benchmark}, scale {found.scale} (percent, mean ± 95 %"
        " interval over seeds)",
        made,
    )
    rows = [
        {"at": row.at, "wanted": row.wanted, "metrics": _plain(row.metrics)} for row in made.rows
    ]
    failures = {id: vars(failure) for id, failure in done.failures.items()}
    _write(
        given["json_file"],
        {"sweep": found.model_dump(mode="json"), "rows": rows, "failures": failures},
    )
    _end(done)


def _run(
    found: SweepFile,
    points: Sequence[Point],
    store: Store,
    executor: Executor,
    given: dict[str, Any],
) -> RunList:
    """Make a list of runs, on the screen."""
    from discl.cli.render.progress import Screen
    from discl.harness.sweep.scheduler import RunList, launch

    labels = {point.experiment.id(): _label(point) for point in points}
    group = f"{found.name}-{found.benchmark}-{found.scale}"
    agenda = RunList((point.experiment for point in points), store, given["retry"], group, labels)
    if agenda.todo:
        metric = points[0].experiment.benchmark.select.metric
        with Screen(found.title or found.name, len(agenda.named), agenda.stored, metric) as screen:
            launch(agenda, executor, _trackers(given, found), screen)
    return agenda


def _label(point: Point) -> str:
    from discl.cli.render.tables import said

    return " ".join(
        [
            *(said(value) for axis, value in point.at.items() if axis != "seed"),
            f"seed {point.experiment.seed}",
        ]
    )


def _end(done: RunList) -> None:
    click.echo(
        f"{len(done.results)} of {len(done.named)} runs are complete, {done.stored} were stored"
        " before"
    )
    _end_failed(
        [
            (done.labels.get(id, done.named[id].name), failure.why)
            for id, failure in done.failures.items()
        ]
    )


def _end_failed(failed: Sequence[tuple[str, str]]) -> None:
    for name, why in failed:
        click.echo(f"failed: {name}: {why}", err=True)
    if failed:
        click.echo(
            f"{len(failed)} failed (tracebacks: failures.jsonl in each run's folder); the same"
            " command tries them again",
            err=True,
        )
        raise click.exceptions.Exit(1)


def _plain(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {metric: value._asdict() for metric, value in estimates.items()}


# ---------------------------------------------------------------- tuning


def _tune(found: SweepFile, store: Store, executor: Executor, given: dict[str, Any]) -> None:
    from discl.cli.render.progress import Screen
    from discl.harness.sweep.expand import bound
    from discl.harness.sweep.scheduler import launch
    from discl.harness.tuning.comparison import failures, retests, searches
    from discl.harness.tuning.storage.address import default_url
    from discl.harness.tuning.storage.database import close_storage, open_storage
    from discl.harness.tuning.tuner import Tuner

    storage = open_storage(given["storage"] or default_url())
    with ExitStack() as closing, Tuner(found, storage, given["retry"]) as tuning:
        closing.callback(close_storage, storage)
        scored = sum(search.runs for search in searches(tuning))
        with Screen(found.title or found.name, bound(found), scored, tuning.objective) as screen:
            launch(tuning, executor, _trackers(given, found), screen)
        rows = searches(tuning)
        pairs = retests(tuning, given["reseed"])
        failed = failures(tuning)
        _show_searches(found, tuning.objective, rows)
    outcome: dict[str, Any] = {
        "sweep": found.model_dump(mode="json"),
        "searches": [vars(row) for row in rows],
        "failures": failed,
    }
    if given["reseed"]:
        again_done, outcome["gains"] = _reseeded(found, pairs, store, executor, given)
    _write(given["json_file"], outcome)
    if given["reseed"]:
        _end(again_done)
    _end_failed(list(failed.items()))


def _show_searches(found: SweepFile, metric: str, rows: Sequence[Search]) -> None:
    from discl.cli.render.tables import said, show

    def line(row: Search) -> list[str]:
        counts = [
            str(row.complete),
            str(row.given_up),
            str(row.failed),
            str(row.runs),
            f"{row.hours:.2f}",
        ]
        values = [
            "-" if value is None else f"{100 * value:.1f}" for value in (row.default, row.best)
        ]
        return [row.strategy, *counts, *values, said(row.settings)]

    header = [
        "strategy",
        "trials",
        "given up",
        "failed",
        "runs",
        "hours",
        "default",
        "best",
        "best settings",
    ]
    show(
        f"{found.title or found.name}: {metric}, mean over replicates, in percent",
        header,
        [line(row) for row in rows],
    )


def _reseeded(
    found: SweepFile,
    pairs: Sequence[Retest],
    store: Store,
    executor: Executor,
    given: dict[str, Any],
) -> tuple[RunList, Any]:
    """The runs, and their gains for JSON."""
    from discl.cli.render.tables import show
    from discl.harness.leaderboard.table import percent
    from discl.harness.tuning.comparison import gains

    done = _run(
        found,
        [point for pair in pairs for point in (*pair.default, *pair.tuned)],
        store,
        executor,
        given,
    )
    titles, lines = gains(pairs, done.results)
    show(
        f"default against tuned on {given['reseed']} fresh seeds (percent, mean ± 95 % interval;"
        " gains are paired by seed)",
        [
            "strategy",
            *(
                f"{title}, {what}"
                for title in titles.values()
                for what in ("default", "tuned", "gain")
            ),
        ],
        [
            [
                line.strategy,
                *(
                    cell
                    for m in titles
                    for cell in (
                        *map(percent, (line.default[m], line.tuned[m])),
                        percent(line.gain[m], True),
                    )
                ),
            ]
            for line in lines
        ],
    )
    return done, [
        {
            "strategy": line.strategy,
            **{key: _plain(getattr(line, key)) for key in ("default", "tuned", "gain")},
        }
        for line in lines
    ]


# ---------------------------------------------------------------- the order test


def _order(found: SweepFile, store: Store, executor: Executor, given: dict[str, Any]) -> None:
    from discl.harness.sweep.expand import order_points, plain, read_orders
    from discl.harness.sweep.order_test.statistics import draw

    points = order_points(found)
    done = _run(found, points, store, executor, given)
    if done.failures:
        _end(done)
    readings = read_orders(found, points, done.results)
    for metric, (_, words) in readings.items():
        click.echo("\n  ".join([f"{metric}:", *words]))
    if given["output"]:
        metric, (reading, _) = next(iter(readings.items()))
        draw(reading, given["output"], metric)
    read = {metric: plain(reading) for metric, (reading, _) in readings.items()}
    _write(given["json_file"], {"sweep": found.model_dump(mode="json"), "readings": read})
    _end(done)
