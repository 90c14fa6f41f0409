"""The training of runs, and of the starts that they begin from."""

from __future__ import annotations

from collections.abc import Sequence

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.config.stages.start import is_trained
from discl.harness.run.assembly import Bench
from discl.harness.run.start.stage import StartStage
from discl.harness.sweep.cost_totals import TRAINING, StrategyCost, Totals
from discl.harness.sweep.run_times import RunTimes, decides_pace
from discl.harness.sweep.throughput import seconds_per_run


def decides_run_time(benchmark: Benchmark) -> object:
    """The settings that decide how long a run takes, its strategy and its images aside."""
    train, select = benchmark.train, benchmark.select
    lengths = [train.epochs, train.curriculum_epochs, train.evaluate_every, benchmark.levels]
    sizes = [benchmark.sampling.images, benchmark.hard_rule, select.wise_ft_alphas]
    return [decides_pace(benchmark), lengths, sizes]


def add_training(totals: Totals, group: Sequence[Experiment], run_times: RunTimes) -> None:
    bench = Bench(group[0].benchmark)
    images = group[0].benchmark.sampling.images or len(bench.train)
    seconds = dict[str, float]()  # by strategy
    by_flops = dict[str, float]()
    predicted = sum(len(bench.dataset.split(n)) for n in bench.dataset.splits if n != "train")
    for experiment in group:
        train = experiment.benchmark.train
        steps = train.epochs * (images // train.batch)
        totals.optimiser_steps += steps
        totals.trained_images += steps * train.batch
        name = experiment.strategy
        if name not in seconds:
            seconds[name] = run_times.seconds(experiment, bench)
            by_flops[name] = run_times.by_flops
        totals.add(seconds[name], TRAINING, by_flops[name])
        # both epochs' logits of every photo, in half precision, and what describes a run
        totals.run_bytes += 4 * predicted * len(bench.dataset.classes) + 100_000
        of_strategy = totals.strategies.setdefault(name, StrategyCost())
        of_strategy.runs += 1
        of_strategy.optimiser_steps += steps
        of_strategy.seconds += seconds[name]
        of_strategy.levels.update(experiment.used_levels())
    if run_times.patience:
        totals.load(TRAINING, run_times.pace(bench).loading_seconds)


def decides_start(benchmark: Benchmark) -> object:
    """The settings that decide the weights that runs begin from; all alike where they draw them."""
    if not is_trained(benchmark.train.start):
        return None
    return benchmark.model_dump(exclude={"strategies", "seeds", "trackers", "title", "store"})


def add_starts(totals: Totals, group: Sequence[Experiment], run_times: RunTimes) -> None:
    """Add the starts that are still to be made: one a seed."""
    if not is_trained(group[0].benchmark.train.start):
        return
    bench = Bench(group[0].benchmark)
    stages = [StartStage(bench, seed) for seed in sorted({each.seed for each in group})]
    todo = [stage for stage in stages if not stage.is_stored and stage.id not in totals.start_ids]
    if not todo:
        return
    totals.start_ids.update(stage.id for stage in todo)  # other runs may have the same start
    train = todo[0].experiment.benchmark.train
    images = todo[0].experiment.benchmark.sampling.images or len(bench.train)
    steps = train.epochs * (images // train.batch) * len(todo)
    totals.starts += len(todo)
    totals.optimiser_steps += steps
    totals.trained_images += steps * train.batch
    if run_times.patience:
        pace = run_times.pace(bench)
        totals.add(len(todo) * seconds_per_run(todo[0].bench, pace), TRAINING, pace.by_flops)
