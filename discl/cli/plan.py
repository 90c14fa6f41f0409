"""`discl plan`: what a comparison costs, here or on a GPU that is to be rented."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.output import format_option
from discl.cli.options.selection import load, selection
from discl.core.text import counted, echo_json, typed

if TYPE_CHECKING:
    from discl.config.benchmark import Benchmark
    from discl.harness.price.gpus import Gpu
    from discl.harness.sweep.cost import CostEstimate

_OF_A_GPU = ("count", "price", "workers", "hard_photos")


@click.command()
@selection
@click.option(
    "--gpu",
    "gpu_name",
    metavar="NAME",
    help="Price on this GPU, which need not be here: h200, h100, a100, rtx4090, l4, mps, or one of"
    " $DISCL_HOME/gpus.toml. Reads configuration files alone: no weights, no photos.",
)
@click.option("--tflops", type=float, help="Dense TFLOP/s in bfloat16 of a GPU without a name.")
@click.option("--bandwidth", type=float, help="GB/s of a GPU without a name.")
@click.option("--memory", type=float, help="GB of a GPU without a name.")
@click.option("--count", type=int, help="GPUs; the bank is shared by all, a run has one.  [1]")
@click.option("--workers", type=int, help="Workers that make images on each GPU.  [1]")
@click.option(
    "--price",
    "hourly",
    metavar="AMOUNT CURRENCY",
    help='Of an hour of one GPU, e.g. "3.5 USD"; an amount alone is in the currency of the listed'
    " price.",
)
@click.option(
    "--hard-photos",
    type=int,
    metavar="N",
    help="Photos that images are made from, where nothing tells before they are here.",
)
@format_option("json: every number, for scripts.")
def plan(
    gpu_name: str | None,
    tflops: float | None,
    bandwidth: float | None,
    memory: float | None,
    form: str,
    **given: Any,
) -> None:
    """Estimate the cost of `discl bench`: here, or on a GPU before it is rented.

    Nothing is trained and no image is made. Without --gpu a sample of the work is timed on this
    machine, 15 seconds at most; what would take longer, or does on a busy machine, is priced from
    its FLOPs, roughly.

    With --gpu the FLOPs are counted from the configuration of the checkpoint and of the networks,
    and divided by half of what the GPU's data sheet promises (a third for the l4): an estimate,
    within a factor of two, that says which of two settings is dearer far better than what either
    costs. Memory says whether the chunk and the batch fit, and what would. All is priced from
    nothing: images and runs that are stored here are not taken off.

    \b
    discl plan iwildcam --scale paper --gpu h200
    discl plan iwildcam --scale paper --gpu a100 --count 4 --price "1.3 USD"
    discl plan iwildcam --scale paper --gpu a100 --set generator.preset=sd-turbo
    discl plan cifar10_lt --tflops 120 --bandwidth 900 --memory 48
    discl plan cifar10_lt --gpu a100 --format json
    """
    options = {key: given.pop(key) for key in ("count", "workers", "hourly", "hard_photos")}
    numbers = {"tflops": tflops, "bandwidth": bandwidth, "memory": memory}
    if gpu_name is None and all(value is None for value in numbers.values()):
        _check_unused(options)
        _plan_here(load(**given), as_json=form == "json")
        return
    gpu = _gpu(gpu_name, numbers, options["hourly"])
    _plan_on(gpu, load(**given), options, as_json=form == "json")


def _check_unused(options: dict[str, Any]) -> None:
    from discl.core.errors import UserError

    for key, value in options.items():
        if value is not None:
            option = "--price" if key == "hourly" else f"--{key.replace('_', '-')}"
            raise UserError(f"{option} is for a price on a GPU; add --gpu NAME, or leave it out")


# ---------------------------------------------------------------- on a GPU


def _gpu(name: str | None, numbers: dict[str, float | None], hourly: str | None) -> Gpu:
    from discl.core.errors import UserError
    from discl.harness.price.gpus import custom_gpu, find_gpu, priced

    given = [f"--{key}" for key, value in numbers.items() if value is not None]
    if name is not None and given:
        raise UserError(
            f"--gpu {name} and {', '.join(given)} exclude each other; leave one of them out"
        )
    return priced(custom_gpu(**numbers) if name is None else find_gpu(name), hourly)


def _plan_on(gpu: Gpu, spec: Benchmark, options: dict[str, Any], *, as_json: bool) -> None:
    from discl.cli.render.price import as_dict, print_plan
    from discl.harness.price.estimate import price

    count, workers = (1 if options[key] is None else options[key] for key in ("count", "workers"))
    priced = price(spec, gpu, count, workers, options["hard_photos"])
    if as_json:
        _print_json(as_dict(spec, priced))
    else:
        print_plan(spec, priced)
        _tell_licence(spec)


def _print_json(value: Any) -> None:
    from discl.cli.render.text import finite

    echo_json(finite(value))


# ---------------------------------------------------------------- here


def _plan_here(spec: Benchmark, *, as_json: bool) -> None:
    from discl.cli.render.cost import (
        as_dict,
        print_by_flops,
        print_space,
        print_strategies,
        print_time,
        print_work,
        source_of_time,
    )
    from discl.cli.render.tables import tell, tell_figure
    from discl.config.experiment import experiments
    from discl.harness.run.store import Store
    from discl.harness.run.trackers import CompositeTracker
    from discl.harness.sweep.cost import estimate_cost

    cost = estimate_cost(experiments(spec), Store(), CompositeTracker.of(["console"]).progress)
    notes = [*_conditions(spec), *_missing_control(spec)]
    if cost.experiments > cost.cached:  # the data are prepared then
        notes += _of_the_data(spec)
    power = _power(spec, cost)
    if as_json:
        _print_json(as_dict(spec, cost, [*notes, *power]))
        return
    tell(
        f"{spec.title}, scale {spec.scale}:"
        f" {counted(len(spec.strategies), 'strategy', 'strategies')} x"
        f" {counted(len(spec.seeds), 'seed')}"
    )
    tell_figure("runs", f"{cost.experiments:,}", f"of which stored {cost.cached:,}")
    for sentence in notes:
        tell(sentence, indent="  ")
    print_work(cost, models_note=f"; `{typed('discl', 'hard', spec.name)}` does only that")
    print_space(cost)
    without = "" if cost.hard is not None else ", without the images"
    source = f"{source_of_time(cost, 'from a sample of each kind of work')}{without}"
    print_time(cost.minutes, "minutes", 1, source, cost.unmeasured, cost.known_minutes)
    print_by_flops(cost)
    print_strategies(cost)
    for sentence in power:
        tell(sentence, indent="  ")
    _tell_licence(spec)


def _tell_licence(spec: Benchmark) -> None:
    from discl.cli.render.tables import tell
    from discl.files.networks.licences import licence_sentence

    if sentence := licence_sentence(spec.part("generators").build()):
        tell(sentence)


def _of_the_data(spec: Benchmark) -> list[str]:
    """What is to be known of generator, photos and prompts; reads the data."""
    from discl.harness.bank.prompt_remarks import prompt_lines
    from discl.harness.bank.source_size import source_lines

    told_by_the_generator = getattr(spec.part("generators").build(), "notes", ())
    return [*told_by_the_generator, *source_lines(spec), *prompt_lines(spec)]


def _power(spec: Benchmark, cost: CostEstimate) -> list[str]:
    """What difference these seeds tell apart, and what smaller ones would take."""
    from discl.harness.leaderboard.epochs import read
    from discl.harness.leaderboard.power import sentences, spreads_of
    from discl.harness.leaderboard.setting import few_test_photos
    from discl.harness.leaderboard.stored import runs_of
    from discl.harness.run.store import Store

    _, results = runs_of(spec, Store())
    todo = cost.experiments - cost.cached
    a_run = cost.minutes / todo if todo and not math.isnan(cost.minutes) else None
    if results:
        a_run = sum(result.cost["seconds"] for result in results) / 60 / len(results)
    spreads = spreads_of(read(results, spec.select.epoch).results)
    # the data are prepared where there is anything to run
    few = few_test_photos(spec) if todo and not spreads else None
    return [*sentences(spreads, len(spec.strategies), len(spec.seeds), a_run, few)]


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
