"""`discl bench` and `discl run`: making a comparison."""

from __future__ import annotations

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
from discl.core.text import counted, echo, echo_json

if TYPE_CHECKING:
    from discl.core.result import Result


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
    from discl.cli.render.bench import Opening, tell_end
    from discl.core.compute.device import check_visible_devices
    from discl.engine.training import distributed
    from discl.harness.leaderboard.stored import stored_results
    from discl.harness.leaderboard.table import board
    from discl.harness.run.store import Store
    from discl.harness.run.trackers import CompositeTracker
    from discl.harness.sweep.sequential import sweep

    execution = execution_of(selection)
    spec = load(**selection)
    check_visible_devices()
    store = Store()
    wanted = list(spec.trackers) if trackers is None else words(trackers)
    tracker = CompositeTracker.of(wanted)
    fresh = {"runs": 0, "steps": 0, "images": 0}
    stored = {result.id for result in stored_results(spec, store)}
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
        f"this time: {counted(fresh['images'], 'image')} made, {counted(fresh['steps'], 'step')}"
        f" trained, {counted(fresh['runs'], 'run')}; stored before: {len(stored)}"
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
    from discl.core.compute.device import check_visible_devices
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
    check_visible_devices()
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
