"""`discl plan`, `bench` and `run`: what a comparison costs, and making it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.launching import (
    end_failed,
    execution_of,
    executor_options,
    is_executed,
    run_bench,
    trackers_option,
)
from discl.cli.options.selection import load, selection, tell_how_to_keep, words
from discl.cli.render.boards import print_board
from discl.core.text import echo, echo_json, typed

if TYPE_CHECKING:
    from discl.config.benchmark import Benchmark
    from discl.core.result import Result
    from discl.harness.sweep.cost import CostEstimate


@click.command()
@selection
def plan(**selection: Any) -> None:
    """Estimate the cost of `discl bench` on this machine.

    Nothing is trained and no image is made.
    """
    from discl.cli.render.cost import print_space, print_strategies, print_time, print_work
    from discl.cli.render.tables import tell, tell_figure
    from discl.config.experiment import experiments
    from discl.harness.run.store import Store
    from discl.harness.run.trackers import CompositeTracker
    from discl.harness.sweep.cost import estimate_cost

    spec = load(**selection)
    cost = estimate_cost(experiments(spec), Store(), CompositeTracker.of(["console"]).progress)
    tell(
        f"{spec.title}, scale {spec.scale}: {len(spec.strategies)} strategies x {len(spec.seeds)}"
        f" {'seed' if len(spec.seeds) == 1 else 'seeds'}"
    )
    tell_figure("runs", f"{cost.experiments:,}", f"of which stored {cost.cached:,}")
    for sentence in (*_conditions(spec), *_missing_control(spec)):
        tell(sentence, indent="  ")
    if cost.experiments > cost.cached:  # the data are prepared then
        from discl.harness.bank.prompt_remarks import prompt_lines
        from discl.harness.bank.source_size import source_lines

        for sentence in (*source_lines(spec), *prompt_lines(spec)):
            tell(sentence, indent="  ")
    print_work(cost, models_note=f"; `{typed('discl', 'hard', spec.name)}` does only that")
    print_space(cost)
    without = "" if cost.hard is not None else ", without the images"
    source = f"from a sample of each kind of work{without}"
    print_time(cost.minutes, "minutes", 1, source, cost.unmeasured, cost.known_minutes)
    print_strategies(cost)
    _print_power(spec, cost)


def _print_power(spec: Benchmark, cost: CostEstimate) -> None:
    """What difference these seeds tell apart, and what smaller ones would take."""
    from discl.cli.render.tables import tell
    from discl.harness.leaderboard.epochs import read
    from discl.harness.leaderboard.power import sentences, spreads_of
    from discl.harness.leaderboard.stored import runs_of
    from discl.harness.run.store import Store

    _, results = runs_of(spec, Store())
    todo = cost.experiments - cost.cached
    a_run = cost.minutes / todo if todo and not math.isnan(cost.minutes) else None
    if results:
        a_run = sum(result.cost["seconds"] for result in results) / 60 / len(results)
    results = read(results, spec.select.epoch).results
    for sentence in sentences(spreads_of(results), len(spec.strategies), len(spec.seeds), a_run):
        tell(sentence, indent="  ")


def _conditions(spec: Benchmark) -> tuple[str, ...]:
    """What is hard, and what the generator had seen: of stored runs, else of the data."""
    from discl.harness.leaderboard.setting import conditions, conditions_of
    from discl.harness.leaderboard.stored import stored_results
    from discl.harness.run.store import Store

    return conditions(stored_results(spec, Store())) or conditions_of(spec)


def _missing_control(spec: Benchmark) -> tuple[str, ...]:
    """A warning where runs begin from a start and nothing continues it without images."""
    from discl.config.stages.start import control_sentence, identity_of

    return tuple(filter(None, [control_sentence(identity_of(spec), spec.strategies)]))


def _tell(sentence: str) -> None:
    echo(sentence, err=True)


@click.command()
@selection
@trackers_option
@executor_options
def bench(trackers: str | None, **selection: Any) -> None:
    """Run every strategy and seed of BENCH, and print the table.

    All runs share one bank of images. Stored runs are not repeated. With --workers or --executor
    runs are made side by side, with the same results; a run that fails then stops no other.

    \b
    discl bench cifar10_lt --seeds 0,1,2 --workers 2
    """
    from discl.cli.render.bench import Opening, tell_device, tell_end
    from discl.config.experiment import experiments
    from discl.engine.training import distributed
    from discl.harness.leaderboard.stored import stored_results
    from discl.harness.leaderboard.table import board
    from discl.harness.run.store import Store
    from discl.harness.run.trackers import CompositeTracker
    from discl.harness.sweep.sequential import sweep

    execution = execution_of(selection)
    spec = load(**selection)
    store = Store()
    wanted = list(spec.trackers) if trackers is None else words(trackers)
    tracker = CompositeTracker.of(wanted)
    fresh = {"runs": 0, "steps": 0, "images": 0}
    stored = {result.id for result in stored_results(spec, store)}
    if len(stored) < len(experiments(spec)) and distributed.is_main_process():
        tell_device()
    opening = Opening(store, tracker)
    failures: dict[str, str] = {}
    made: Iterable[Result]
    if is_executed(execution):
        done = run_bench(spec, store, wanted, execution)
        made, failures = done.results.values(), done.reasons()
    else:
        made = sweep(spec, store, tracker, _tell, opening)
    for result in made:
        if result.id not in stored:
            fresh["runs"] += 1
            fresh["steps"] += int(result.cost["steps"])
            fresh["images"] += int(result.cost["images_generated"])
    if not distributed.is_main_process():
        return
    results = stored_results(spec, store)
    if not results:
        end_failed(failures)
    print_board(board(spec, results))
    echo(
        f"this time: {fresh['images']} images made, {fresh['steps']} steps trained, {fresh['runs']}"
        f" runs; {len(stored)} runs were stored"
    )
    tell_end(spec, results, fresh["images"], selection)
    opening.tell_if_misjudged()
    tell_how_to_keep(selection["bench"], selection["scale"], selection["settings"])
    end_failed(failures)


@click.command()
@selection
@trackers_option
def run(trackers: str | None, **selection: Any) -> None:
    """Make one run of BENCH, and print its metrics as JSON.

    Takes exactly one strategy and one seed.
    """

    from discl.cli.render.bench import Opening
    from discl.core.errors import UserError
    from discl.engine.training import distributed
    from discl.harness.leaderboard.epochs import read
    from discl.harness.run.store import Store
    from discl.harness.run.trackers import CompositeTracker
    from discl.harness.sweep.sequential import sweep

    spec = load(**selection)
    if len(spec.strategies) != 1 or len(spec.seeds) != 1:
        raise UserError(
            f"run takes one strategy and one seed, got {spec.strategies} and {spec.seeds}; add"
            " --strategies static --seeds 0"
        )
    tracker = CompositeTracker.of(spec.trackers if trackers is None else words(trackers))
    store = Store()
    results = list(sweep(spec, store, tracker, _tell, Opening(store, tracker)))
    at = read(results, spec.select.epoch)
    (result,) = at.results
    if distributed.is_main_process():
        echo_json(
            {
                "id": result.id,
                "folder": str(store.folder(result)),
                "epoch": at.rule.name,
                "metrics": result.metrics,
            }
        )
