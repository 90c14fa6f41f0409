"""Runs one experiment, from names to a stored result; one that was stopped goes on from its last
checkpoint.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.config import commands
from discl.config.benchmark import Experiment
from discl.core.conventions import id_test_split
from discl.core.errors import UserError
from discl.core.hashing import canonical, digest, short
from discl.core.interfaces import EpochReport
from discl.core.levels import PHOTO
from discl.core.result import Result
from discl.engine.evaluation.confusion import count_predictions, pack_all, predictions_digest
from discl.engine.evaluation.metrics import (
    class_recalls,
    definitions_id,
    metrics_of,
    sampling_errors,
)
from discl.engine.training import distributed
from discl.files.disk import write_text
from discl.harness.run.assembly import Audience, Bench
from discl.harness.run.provenance import provenance
from discl.harness.run.store import Store
from discl.harness.run.wise_ft import wise_predictions

if TYPE_CHECKING:
    from torch import Tensor

    from discl.engine.training.loop import Fit


class StoppedEarlyError(Exception):
    """A run was given up after an epoch, as whoever started it said; it is not complete."""

    def __init__(self, history: Sequence[EpochReport]) -> None:
        super().__init__(f"given up after epoch {history[-1].epoch}")
        self.history = tuple(history)


@dataclass(frozen=True)
class Terms:
    """How a run is made, none of which changes its answer."""

    place: tuple[int, int] = (1, 1)  # which of how many, for the eye
    group: str = ""  # what it belongs to, for trackers; "" = its benchmark and scale
    trial: int | None = None  # of the study that makes it, for trackers
    patient: bool = True  # wait for whoever makes the same run; otherwise raise BusyError
    stop: Callable[[Sequence[EpochReport]], bool] | None = (
        None  # asked after each epoch: give it up?
    )


ALONE = Terms()


def run(
    experiment: Experiment, bench: Bench, store: Store, audience: Audience, terms: Terms = ALONE
) -> Result:
    """The stored result of an experiment, made now unless it is there.

    No two processes with one store make the same run.
    """
    if found := distributed.agreed(store.find(experiment.id())):
        stored: Result = found
        return stored
    what = f"waiting for another process that makes {experiment.name}"
    with store.claimed(
        experiment.id(), terms.patient, lambda done: audience.progress(what, done, 1)
    ):
        if made_meanwhile := distributed.agreed(store.find(experiment.id())):
            other: Result = made_meanwhile
            return other
        bench.hard_rule.find(audience.progress)
        return _run(experiment, bench, store, audience, terms)


@dataclass
class Choice:
    """The epoch that val likes best so far, and its weights."""

    metric: str
    epoch: int = -1
    value: float = float("-inf")
    weights: dict[str, Tensor] = field(default_factory=dict)

    def consider(self, report: EpochReport, weights: Mapping[str, Tensor]) -> None:
        if not report.values:
            return
        if self.metric not in report.values:
            raise UserError(
                f"select.metric = {self.metric!r} is not measured; there is"
                f" {', '.join(sorted(report.values))}"
            )
        if report.values[self.metric] > self.value:
            self.epoch = report.epoch
            self.value = report.values[self.metric]
            self.weights = {key: tensor.detach().clone() for key, tensor in weights.items()}

    def state(self) -> dict[str, Any]:
        """For a checkpoint; JSON has no infinity."""
        return {
            "epoch": self.epoch,
            "value": self.value if self.weights else None,
            "weights": self.weights,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        if state["weights"]:
            self.epoch, self.value, self.weights = state["epoch"], state["value"], state["weights"]


class Keeper:
    """Writes a checkpoint now and then, and finds the last one again."""

    def __init__(
        self, folder: Path, every_s: float, choice: Choice, spent_s: Callable[[], float]
    ) -> None:
        self.folder = folder
        self.every_s = every_s
        self.choice = choice
        self.spent_s = spent_s
        self.number = 0
        self.last = time.monotonic()
        self.took = 0.0

    def __call__(self, state: Callable[[], dict[str, Any]]) -> None:
        # a large network takes seconds to write: never more than a twentieth of the time goes into
        # that
        if (began := time.monotonic()) - self.last < (
            self.every_s and max(self.every_s, 20 * self.took)
        ):
            return
        from discl.engine.training.state import flatten
        from discl.files import checkpoints

        whole = {
            "number": self.number + 1,
            "seconds": self.spent_s(),
            "choice": self.choice.state(),
            "training": state(),
        }
        checkpoints.save(self.folder, self.number + 1, *flatten(whole))
        self.number = self.number + 1
        self.last = time.monotonic()
        self.took = self.last - began

    def found(self) -> dict[str, Any] | None:
        """What the last checkpoint holds."""
        from discl.engine.training.state import unflatten
        from discl.files import checkpoints

        newest = checkpoints.newest(self.folder)
        return unflatten(*newest) if newest else None

    def clear(self) -> None:
        """The run is complete."""
        from discl.files import checkpoints

        checkpoints.clear(self.folder)


def _run(
    experiment: Experiment, bench: Bench, store: Store, audience: Audience, terms: Terms
) -> Result:
    from discl.engine.evaluation.predict import predict
    from discl.engine.training.data import TrainingData
    from discl.engine.training.loop import Fit

    spec = bench.spec
    started = time.monotonic()
    before = 0.0
    home = id_test_split(bench.dataset.splits)
    levels = experiment.used_levels()
    synthetic = [level for level in levels if level != PHOTO]
    made = bench.fill(levels, audience.progress) if synthetic and distributed.first() else None
    distributed.wait()
    feed = bench.feed
    splits = [name for name in bench.dataset.splits if name != "train"]
    feed.prepare(synthetic, audience.progress)
    training_data = TrainingData(
        train=feed.split("train"),
        tail=bench.tail,
        classes=len(bench.dataset.classes),
        levels=levels or (PHOTO,),
        usable={level: bench.usable(level) for level in synthetic},
        pixels={level: feed.level(level) for level in synthetic},
        val=feed.split("val"),
        conventions=spec.metrics,
    )
    strategy, loss = spec.chosen_strategy(experiment.strategy).build(), spec.part("losses").build()
    choice = Choice(spec.select.metric)
    keeper = Keeper(
        store.checkpoints(experiment.id()),
        spec.train.checkpoint_seconds,
        choice,
        lambda: before + time.monotonic() - started,
    )
    found = distributed.agreed(keeper.found() if distributed.first() else None)
    device = distributed.device()
    fit = Fit(
        feed.network(experiment.seed),
        strategy,
        loss,
        training_data,
        feed.train_config,
        bench.targets,
        feed.preprocess,
        experiment.seed,
        device,
        keeper if distributed.first() else None,
    )
    if found:
        before, keeper.number = found["seconds"], found["number"]
        fit.restore(found["training"])
        choice.restore(found["choice"])
    attempt, folder = store.new_attempt(experiment.id())
    config = experiment.benchmark.model_dump() | {
        "strategy": experiment.strategy,
        "seed": experiment.seed,
    }
    write_text(
        folder / "experiment.json",
        json.dumps({"identity": experiment.identity(), "config": config}, indent=1) + "\n",
    )
    for tracker in audience.trackers:
        tracker.start(_described(experiment, folder, config, terms))
    summary: dict[str, float] | None = None
    try:
        for report in fit.history:  # a record is whole: what an earlier attempt did is told again
            audience.report(report)
        for report in fit:
            audience.report(report)
            choice.consider(report, fit.judged.state_dict())
            if terms.stop and terms.stop(fit.history):
                raise StoppedEarlyError(fit.history)
        if not choice.weights:
            raise UserError(f"{spec.select.metric} was never measured; lower train.evaluate_every")
        fit.judged.load_state_dict(choice.weights)
        scored = {name: feed.split(name) for name in splits}
        saved = predict(fit.judged, scored, feed.preprocess, device)
        wise_cost = dict[str, float]()
        if spec.select.wise:
            wise_cost["wise_alpha"], ensembled = wise_predictions(
                fit, feed, spec.select.wise, spec.select.metric, scored
            )
            saved |= ensembled
        store.save_predictions(folder, saved)
        predictions = store.predictions(folder)
        outcomes = list(count_predictions(predictions, bench.counts))
        summary = metrics_of(outcomes, bench.counts, spec.metrics)
        result = Result(
            id=experiment.id(),
            attempt=attempt,
            name=experiment.name,
            benchmark=spec.name,
            scale=spec.scale,
            strategy=experiment.strategy,
            seed=experiment.seed,
            identity=experiment.identity(),
            comparability={
                "definitions": definitions_id(summary, bench.counts, spec.metrics),
                "comparison": short(experiment.comparison()),
                "bank": bench.bank.id if synthetic else None,
                "threshold": spec.bank.threshold if synthetic else None,
                "splits": digest(
                    {name: digest(split.ids.tolist()) for name, split in scored.items()}
                )[:16],
                "counts": short(bench.counts.tolist()),
            },
            metrics=summary,
            class_recalls=class_recalls(predictions, home, len(bench.dataset.classes)),
            classes=list(bench.dataset.classes),
            counts=[int(count) for count in bench.counts],
            chosen_epoch=choice.epoch,
            seen=_seen(fit),
            cost={
                "steps": sum(report.steps for report in fit.history),
                "seconds": before + time.monotonic() - started,
                "images_generated": float(made.images if made else 0),
                **{key.removeprefix("cost/"): value for key, value in bench.costs(levels).items()},
                **wise_cost,
            },
            provenance=canonical(
                provenance() | {"command": shlex.join(commands.of_run(experiment))}
            ),
            confusion_counts=pack_all(outcomes),
            errors=sampling_errors(outcomes, [home], bench.counts, spec.metrics),
            predictions=predictions_digest(predictions),
        )
        store.finish(folder, result)
        keeper.clear()
        return result
    finally:
        for tracker in audience.trackers:
            tracker.finish(summary)


def _seen(fit: Fit) -> dict[int, int]:
    """Images trained on, by level."""
    seen: dict[int, int] = {}
    for report in fit.history:
        for level, count in report.seen.items():
            seen[level] = seen.get(level, 0) + count
    return dict(sorted(seen.items()))


def _described(
    experiment: Experiment, folder: Path, config: dict[str, Any], terms: Terms
) -> dict[str, Any]:
    """What a tracker is told of a run."""
    bench = experiment.benchmark
    return {
        "id": experiment.id(),
        "name": experiment.name,
        "folder": folder,
        "group": terms.group or f"{bench.name}-{bench.scale}",
        "project": f"discl-{bench.name}",
        "job_type": "train" if terms.trial is None else "tune",
        "trial": terms.trial,
        "tags": [
            bench.scale,
            experiment.strategy,
            str(bench.backbone["name"]),
            str(bench.dataset["name"]),
        ],
        "config": config,
        "epochs": bench.train.epochs,
        "place": terms.place,
    }
