"""What the fast recipe of cifar10_lt's smoke costs: beside the recipe it replaced, beside a bare
loop with the same network and optimiser, and what evaluation takes of a run.

    python benchmarks/perf/recipe.py               # all of it; minutes on two cores
    python benchmarks/perf/recipe.py recipes --rounds 5

All in one process, on one thread, in turn; figures are processor time, so that a neighbour on the
machine disturbs both sides of a ratio alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from _report import report
from torch import nn

import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
from discl.config.load import load
from discl.engine.training.loop import Fit
from discl.engine.training.optimisation import optimiser_and_schedule
from discl.harness.run.assembly import Bench, RunSetup

# the recipe of commit a5fbe4c
BEFORE = [
    "backbone.stages=4",
    "backbone.arguments={layers=[1,1,1,1],channels=[32,64,96,128],stem_type='deep',stem_width=16}",
    "loss.smoothing=0.0",
    "train.side=0",
    "train.epochs=30",
    "train.curriculum_epochs=25",
    "train.batch=64",
    "train.lr=3e-3",
    "train.weight_decay=0.05",
    "train.optimiser='adamw'",
    "train.optimiser_arguments={}",
    "train.schedule='cosine'",
    "train.schedule_after_warmup=false",
    "train.warmup_epochs=2",
    "train.warmup_divisor=20.0",
    "train.precision='auto'",
    "train.channels_last=false",
    "train.evaluate_every=5",
]
STRONG = ["train.random_resized_crop=[0.35, 1.0]", "train.color_jitter=0.4"]


@click.group(invoke_without_command=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(__file__).with_suffix(".json"),
    show_default=True,
)
@click.pass_context
def main(context: click.Context, output: Path) -> None:
    """Measure; every result is printed and merged into --output."""
    context.obj = output
    torch.set_num_threads(1)
    if context.invoked_subcommand is None:
        for command in (recipes, step, evaluation):
            context.invoke(command)


class Run:
    """A run on photos alone, an epoch at a time, without val."""

    def __init__(self, settings: list[str]) -> None:
        spec = load("cifar10_lt", "smoke", [*settings, "generator.name=blend"])
        bench = Bench(spec)
        self.setup: RunSetup = bench.setup((100,), lambda *_: None)
        self.config = self.setup.inputs.train_config
        self.fit = Fit(
            self.setup.inputs.network(0),
            spec.strategy_choice("real_only").bind().build(),
            spec.part("losses").build(),
            self.setup.data,
            self.config,
            self.setup.targets,
            self.setup.inputs.preprocess,
            0,
            torch.device("cpu"),
        )
        self.epochs = iter(self.fit)
        self.val_seconds = 0.0
        measured = self.fit.logits

        def timed(*arguments: Any) -> Any:
            started = time.process_time()
            logits = measured(*arguments)
            self.val_seconds += time.process_time() - started
            return logits

        self.fit.logits = timed  # type: ignore[method-assign]

    def epoch(self) -> float:
        """Processor seconds of the training of the next epoch."""
        before = self.val_seconds
        started = time.process_time()
        next(self.epochs)
        return time.process_time() - started - (self.val_seconds - before)


@main.command()
@click.option("--rounds", default=5, show_default=True, help="Epochs of each, in turn.")
@click.pass_obj
def recipes(output: Path, rounds: int) -> None:
    """Training seconds of a run: the recipe before, this one, and this with strong augmentation."""
    runs = {"before": Run(BEFORE), "fast": Run([]), "fast, strong": Run(STRONG)}
    for run in runs.values():
        run.epoch()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(run.epoch())
    a_run = {
        name: round(statistics.median(taken) * runs[name].config.epochs, 2)
        for name, taken in seconds.items()
    }
    ratios = {
        name: round(
            statistics.median(
                here / there for here, there in zip(seconds[name], seconds["before"], strict=True)
            )
            * runs[name].config.epochs
            / runs["before"].config.epochs,
            3,
        )
        for name in runs
    }
    report(output, "recipes", {"cpu_s_a_run": a_run, "ratio_a_run": ratios, "rounds": rounds})


@main.command()
@click.option("--rounds", default=8, show_default=True, help="Epochs of each, in turn.")
@click.pass_obj
def step(output: Path, rounds: int) -> None:
    """A step of the harness against a bare loop: network, loss and optimiser on ready tensors."""
    run, bare = Run([]), Run([])
    bare_epoch = _bare(bare)
    for each in (run.epoch, bare_epoch):
        each()
    pairs = [(run.epoch(), bare_epoch()) for _ in range(rounds)]
    ours, plain = (statistics.median(column) for column in zip(*pairs, strict=True))
    steps = run.fit.steps
    measured = {
        "ours_ms": round(1000 * ours / steps, 2),
        "bare_ms": round(1000 * plain / steps, 2),
        "ratio": round(statistics.median(here / there for here, there in pairs), 3),
        "rounds": rounds,
    }
    report(output, "step", measured)


def _bare(run: Run) -> Callable[[], float]:
    """Processor seconds of an epoch's steps on tensors that are ready."""
    fit, train = run.fit, run.setup.data.train
    batch = run.config.batch
    images = fit.preprocess(torch.from_numpy(train.pixels[: batch * fit.steps]))
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(train.labels[: batch * fit.steps])
    optimiser, schedule = optimiser_and_schedule(fit.network, run.config, fit.steps)
    done = 0

    def epoch() -> float:
        nonlocal done
        fit.network.train()
        started = time.process_time()
        for rows in range(0, batch * fit.steps, batch):
            schedule.step_update(done)
            done += 1
            optimiser.zero_grad(set_to_none=True)
            logits = fit.network(images[rows : rows + batch])
            loss = nn.functional.cross_entropy(
                logits, labels[rows : rows + batch], label_smoothing=0.1
            )
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        return time.process_time() - started

    return epoch


@main.command()
@click.pass_obj
def evaluation(output: Path) -> None:
    """What val and the test splits take of a run's processor time."""
    run = Run([])
    epochs = run.config.epochs
    training = sum(run.epoch() for _ in range(epochs))
    val = run.val_seconds
    started = time.process_time()
    for name in run.setup.scored:
        if name != "val":
            run.fit.logits(run.setup.inputs.split(name).pixels)
    scored = time.process_time() - started
    whole = training + val + scored
    measured = {
        "training_s": round(training, 2),
        "val_s": round(val, 2),
        "test_and_ood_s": round(scored, 2),
        "share_of_evaluation": round((val + scored) / whole, 3),
        "share_where_both_epochs_are_predicted": round((val + 2 * scored) / (whole + scored), 3),
    }
    report(output, "evaluation", measured)


if __name__ == "__main__":
    main()
