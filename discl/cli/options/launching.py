"""Options and steps of commands that launch runs, such as `discl sweep`: load, launch, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.completion import benchmarks, executors, trackers
from discl.cli.options.output import format_option
from discl.cli.options.renamed import renamed_option
from discl.cli.options.selection import one_scale_option, settings_option
from discl.core.text import echo, echo_json

if TYPE_CHECKING:
    from discl.config.benchmark import Benchmark
    from discl.config.sweep import Point, SweepFile
    from discl.core.interfaces import Executor
    from discl.harness.leaderboard.statistics import Estimate
    from discl.harness.run.store import Store
    from discl.harness.sweep.cost import CostEstimate
    from discl.harness.sweep.run_list import RunList

Command = Callable[..., Any]

executor_option = click.option(
    "--executor",
    default="local",
    show_default=True,
    shell_complete=executors,
    help="Where work is done: local, ray, slurm; see `discl list executors`.",
)
address_option = click.option(
    "--address",
    help="Address of a running Ray cluster, e.g. auto or head:6379; default: start one here.",
)
trackers_option = click.option(
    "--trackers",
    shell_complete=trackers,
    help="Trackers, separated by commas; see `discl list trackers`. The record is always kept.",
)

_EXECUTION = (
    executor_option,
    click.option(
        "--workers",
        type=click.IntRange(1),
        help="Runs made side by side: processes, Ray actors or Slurm jobs.",
    ),
    address_option,
    click.option(
        "--executor-set",
        multiple=True,
        metavar="KEY=VALUE",
        help="A parameter of the executor, e.g. partition=gpu. Repeatable.",
    ),
    click.option(
        "--retry",
        default=0,
        show_default=True,
        type=click.IntRange(0),
        help="How often a failed run is tried again in this launch; a new launch tries it anyway.",
    ),
)

_OPTIONS = (
    click.option(
        "--benchmark",
        metavar="BENCH",
        shell_complete=benchmarks,
        help="Run this benchmark instead of the one the file names.",
    ),
    one_scale_option("smoke, small or paper, instead of what the file says."),
    settings_option("Override a setting for all runs. Repeatable."),
    click.option(
        "--dry-run", is_flag=True, help="Say what would be run and what it costs, and stop."
    ),
    *_EXECUTION,
    trackers_option,
    format_option("json: the outcome as one JSON object on standard output."),
    renamed_option("--engine", "--executor"),
    renamed_option("--engine-set", "--executor-set"),
    renamed_option("--json", "--format json > FILE"),
)


def launch_options(command: Command) -> Command:
    """Options of every command that runs a sweep file."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def bench_launch_options(command: Command) -> Command:
    """Options of a command that runs a sweep of the benchmark that it is given."""
    for option in reversed(_OPTIONS[1:]):  # without --benchmark
        command = option(command)
    return command


def executor_options(command: Command) -> Command:
    """Options that say where runs are made."""
    for option in reversed(_EXECUTION):
        command = option(command)
    return command


def load_sweep(name: str, given: Mapping[str, Any], strategies: Sequence[str] = ()) -> SweepFile:
    """The sweep file with what the command line says about it."""
    from discl.cli.options.selection import numbers
    from discl.config import sweep_load

    seeds = [] if given["seeds"] is None else numbers("--seeds", given["seeds"])
    return sweep_load.load(
        name,
        given["benchmark"],
        given["scale"],
        given["settings"],
        list(strategies),
        seeds,
    )


def executor_of(given: Mapping[str, Any]) -> Executor:
    """The executor that --executor, --workers, --address and --executor-set describe."""
    from discl.config.toml import parse_settings
    from discl.core.registry import bind

    parameters = {key: given[key] for key in ("workers", "address") if given[key] is not None}
    parameters |= parse_settings(given["executor_set"])
    executor: Executor = bind("executors", given["executor"], parameters).build()
    return executor


def trackers_of(sweep: SweepFile, given: Mapping[str, Any]) -> list[str]:
    """The trackers of the runs: --trackers, or those of the benchmark.

    Raises UserError for a name that is none.
    """
    from discl.cli.options.selection import words
    from discl.config.load import load
    from discl.core.registry import bind

    if given["trackers"] is None:
        return list(load(sweep.benchmark, sweep.scale).trackers)
    named = words(given["trackers"])
    for name in named:
        bind("trackers", name, {})
    return named


def print_cost(sweep: SweepFile, store: Store) -> None:
    """How many runs, images, optimiser steps and hours a sweep takes."""
    from discl.cli.render.cost import (
        print_by_flops,
        print_space,
        print_strategies,
        print_time,
        print_work,
        source_of_time,
    )
    from discl.cli.render.tables import tell, tell_figure
    from discl.harness.run.trackers import CompositeTracker
    from discl.harness.sweep.cost import estimate_cost
    from discl.harness.sweep.expand import experiments, most_runs

    cost = estimate_cost(experiments(sweep), store, CompositeTracker.of(["console"]).progress)
    most = most_runs(sweep)
    times = most / max(1, cost.experiments) if most else 1.0
    tell(
        f"{sweep.name}: {sweep.title or sweep.benchmark}, {sweep.benchmark} at scale {sweep.scale}"
    )
    if most:
        tell_figure(
            "runs",
            f"{most:,}",
            "at most: trials x replicates x strategies; priced by each strategy as it stands",
        )
    else:
        tell_figure("runs", f"{cost.experiments:,}", f"of which stored {cost.cached:,}")
    print_work(cost, times)
    print_space(cost, times)
    source = source_of_time(cost, "from stored runs or a sample of the work")
    hours, known = cost.minutes / 60 * times, cost.known_minutes / 60 * times
    print_time(hours, "hours with one worker", 2, source, cost.unmeasured, known)
    print_by_flops(cost)
    if not most:
        print_strategies(cost)


def run_points(
    sweep: SweepFile,
    points: Sequence[Point],
    store: Store,
    executor: Executor,
    given: Mapping[str, Any],
) -> RunList:
    """Make the runs of these points that are not stored, with their progress on the terminal.

    Raises UserError where CUDA_VISIBLE_DEVICES names no device.
    """
    from discl.cli.render.bench import tell_device
    from discl.cli.render.progress import Screen
    from discl.harness.sweep.run_list import RunList
    from discl.harness.sweep.scheduler import launch

    agenda = RunList(
        (point.experiment for point in points),
        store,
        given["retry"],
        f"{sweep.name}-{sweep.benchmark}-{sweep.scale}",
        {point.experiment.id(): _label(point) for point in points},
    )
    if agenda.todo:
        from discl.core.compute.device import check_visible_devices

        check_visible_devices()
        trackers = trackers_of(sweep, given)
        tell_device(points[0].experiment.benchmark)
        metric = points[0].experiment.benchmark.select.metric
        title = sweep.title or sweep.name
        cost = _work_here(agenda, store) if getattr(executor, "is_here", False) else None
        with Screen(title, len(agenda.experiments), agenda.stored, metric, cost) as screen:
            launch(agenda, executor, trackers, screen)
    return agenda


def _work_here(agenda: RunList, store: Store) -> CostEstimate | None:
    """The work of the runs that are to be made, from which the time left is told; None = unknown.

    Whatever is wrong with a run, it says so itself when it is made, and the others are made.
    """
    from discl.core.progress import no_progress
    from discl.harness.sweep.cost import estimate_cost

    todo = [agenda.experiments[id] for id in agenda.todo]
    try:
        return estimate_cost(todo, store, no_progress, timed=False)
    except Exception:
        return None


def execution_of(given: dict[str, Any]) -> dict[str, Any]:
    """Take the values of `executor_options` out of those of a command."""
    keys = ("executor", "workers", "address", "executor_set", "retry")
    return {key: given.pop(key) for key in keys}


def is_executed(execution: Mapping[str, Any]) -> bool:
    """Whether runs are to be made by an executor: one of its options is given."""
    return execution["executor"] != "local" or any(
        value for key, value in execution.items() if key != "executor"
    )


def run_bench(
    spec: Benchmark, store: Store, trackers: Sequence[str], execution: Mapping[str, Any]
) -> RunList:
    """Make the runs of a benchmark that are not stored, by an executor, side by side.

    Remarks about prompts are told first, as where runs are made one after the other. Raises
    UserError under torchrun, whose processes make one run together.
    """
    from discl.cli.render.bench import tell_beginning
    from discl.cli.render.progress import Screen
    from discl.config.experiment import experiments
    from discl.core.errors import UserError
    from discl.engine.training import distributed
    from discl.harness.bank.prompt_remarks import remarks_before_images
    from discl.harness.run.assembly import Bench
    from discl.harness.run.trackers import CompositeTracker
    from discl.harness.sweep.run_list import RunList
    from discl.harness.sweep.scheduler import launch

    world = distributed.share().world
    if world > 1:
        raise UserError(
            f"torchrun's {world} processes make each run together, so there is no --workers or"
            " --executor; leave them out, or start discl by itself"
        )
    executor = executor_of(execution)
    wanted = experiments(spec)
    names = {each.id(): f"{each.strategy}, seed {each.seed}" for each in wanted}
    agenda = RunList(wanted, store, execution["retry"], labels=names)
    if agenda.todo:
        bench = Bench(spec)
        bench.dataset.prepare(CompositeTracker.of(["console"]).progress)
        for sentence in remarks_before_images(bench):
            echo(sentence, err=True)
        bench.close()  # the workers build their own
        total = len(agenda.experiments)
        cost = _work_here(agenda, store) if getattr(executor, "is_here", False) else None
        tell_beginning(spec, cost, len(agenda.todo))
        with Screen(spec.title, total, agenda.stored, spec.select.metric, cost) as screen:
            launch(agenda, executor, trackers, screen)
    return agenda


def _label(point: Point) -> str:
    from discl.cli.render.tables import short_setting

    values = [short_setting(value) for axis, value in point.at.items() if axis != "seed"]
    return " ".join([*values, f"seed {point.experiment.seed}"])


# ---------------------------------------------------------------- what is printed


def wants_json(given: Mapping[str, Any]) -> bool:
    return bool(given["form"] == "json")


def print_json(outcome: Any) -> None:
    echo_json(outcome)


def as_json(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """Estimates by metric in plain values."""
    return {metric: estimate._asdict() for metric, estimate in estimates.items()}


def end(done: RunList, given: Mapping[str, Any]) -> None:
    """Say how many runs are complete; exit with 1 where some failed."""
    echo(
        f"{len(done.results)} of {len(done.experiments)} runs are complete, {done.stored} were"
        " stored before",
        err=wants_json(given),
    )
    end_failed(done.reasons())


def end_failed(failures: Mapping[str, str]) -> None:
    """List failures by name on standard error; raises Exit with code 1 where there are some."""
    for name, why in failures.items():
        echo(f"failed: {name}: {why}", err=True)
    if failures:
        echo(
            f"{len(failures)} failed (tracebacks: failures.jsonl in each run's folder); the same"
            " command tries them again",
            err=True,
        )
        raise click.exceptions.Exit(1)
