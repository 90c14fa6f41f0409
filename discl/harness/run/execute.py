"""Runs one experiment, from names to a stored result.

A run that was stopped goes on from its last checkpoint.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.config import commands
from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.core.conventions import LAST, VAL, EpochRule
from discl.core.errors import UserError
from discl.core.hashing import canonical, digest, short
from discl.core.interfaces import Dataset, EpochReport, Floats, SecondStage, Split
from discl.core.levels import PHOTO
from discl.core.metric_names import higher_is_better
from discl.core.renamed_splits import as_hashed
from discl.core.result import Result
from discl.core.seals import sealed_text
from discl.engine.evaluation.confusion import count_predictions, pack_all, predictions_digest
from discl.engine.evaluation.metrics import (
    class_recalls,
    definitions_id,
    metrics_of,
    sampling_errors,
)
from discl.engine.training import distributed
from discl.files.disk import write_text
from discl.harness.run.assembly import Bench, RunSetup
from discl.harness.run.checkpointing import BestEpoch, Checkpointer
from discl.harness.run.provenance import provenance
from discl.harness.run.result_parts import described_plugins
from discl.harness.run.second_stage import check_classifier, staged
from discl.harness.run.start.first_weights import FirstWeights, first_weights
from discl.harness.run.start.kept import keep_weights
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.run.wise_ft import wise_predictions

if TYPE_CHECKING:
    from discl.engine.training.loop import Fit


VAL_SPLIT = "val"


class StoppedEarlyError(Exception):
    """A run was stopped after an epoch because `RunOptions.stop` said so; it is not complete."""

    def __init__(self, history: Sequence[EpochReport]) -> None:
        super().__init__(f"given up after epoch {history[-1].epoch}")
        self.history = tuple(history)


@dataclass(frozen=True)
class RunOptions:
    """How a run is made; none of it changes the result."""

    position: tuple[int, int] = (1, 1)  # which of how many runs, for display
    group: str = ""  # of the run, for trackers; "" = its benchmark and scale
    trial: int | None = None  # of the study that makes the run, for trackers
    wait: bool = True  # for a process that makes the same run; otherwise raise BusyError
    stop: Callable[[Sequence[EpochReport]], bool] | None = None  # asked after each epoch


DEFAULT = RunOptions()


def run(
    experiment: Experiment,
    bench: Bench,
    store: Store,
    tracker: CompositeTracker,
    options: RunOptions = DEFAULT,
) -> Result:
    """The stored result of an experiment, made now unless it is there.

    No two processes with one store make the same run. Raises BusyError where another one makes it
    and `options` say not to wait, StoppedEarlyError where `options.stop` stops it.
    """
    stored: Result | None = distributed.broadcast(store.find(experiment.id()))
    if stored:
        return stored
    from discl.engine.training.prior import check_prior

    waiting = f"waiting for another process that makes {experiment.name}"
    with store.claimed(
        experiment.id(), options.wait, lambda done: tracker.progress(waiting, done, 1)
    ):
        stored = distributed.broadcast(store.find(experiment.id()))  # made meanwhile
        if stored:
            return stored
        check_prior(experiment.benchmark.part("losses").build())
        bench.check_selection()
        bench.find_hard(tracker.progress)
        first = first_weights(bench, experiment.seed, tracker.progress)
        return _run(experiment, bench, store, tracker, options, first)


def _run(
    experiment: Experiment,
    bench: Bench,
    store: Store,
    tracker: CompositeTracker,
    options: RunOptions,
    first: FirstWeights | None,
) -> Result:
    started = time.monotonic()
    setup = replace(bench.setup(experiment.used_levels(), tracker.progress), first=first)
    train = experiment.benchmark.train
    metric = experiment.benchmark.select.metric
    best = BestEpoch(metric, lower_is_better=not higher_is_better(metric))
    checkpoints = store.checkpoints(experiment.id())
    checkpointer = Checkpointer(checkpoints, train.checkpoint_seconds, best, started)
    fit = _fit(experiment, setup, checkpointer)
    stage: SecondStage = experiment.benchmark.part("second_stages").build()
    check_classifier(fit, stage)
    attempt, folder = store.new_attempt(experiment.id())
    config = _config(experiment)
    # the bank, so that nobody removes it before there is a result
    description = {"identity": experiment.identity(), "config": config, "bank": setup.bank_id}
    if first:
        description["start"] = first.recorded
    write_text(folder / "experiment.json", sealed_text(description))
    tracker.start(_described(experiment, folder, config, options))
    summary: dict[str, float] | None = None
    try:
        _train(fit, best, tracker, options)
        if experiment.benchmark.store.weights == "last" and distributed.is_main_process():
            keep_weights(folder, experiment, bench, fit.eval_network)
        splits = {name: setup.inputs.split(name) for name in setup.scored}

        def measured(
            rule: EpochRule, val_logits: Floats | None
        ) -> tuple[dict[str, Any], dict[str, float]]:
            """The fields of OF_AN_EPOCH with the network's weights, and the cost of a stage.

            `val_logits` are the network's, where they are known.
            """
            predictions, cost = _predicted(
                experiment.benchmark, setup, fit, stage, splits, val_logits
            )
            store.save_predictions(folder, predictions, rule.predictions)
            saved = store.predictions(folder, rule.predictions)
            corrects_prior = getattr(fit.loss, "corrects_prior", False) or stage.corrects_prior
            return _scores(saved, setup, not corrects_prior), cost

        last: dict[str, Any] = {"epoch": train.epochs - 1}
        if best.epoch != last["epoch"]:
            fields, beyond_training = measured(LAST, fit.val_logits)
            last |= {**fields, "cost": beyond_training}
        fit.eval_network.load_state_dict(best.weights)
        scores, beyond_training = measured(VAL, best.val_logits)
        cost = _cost(fit.history, setup, checkpointer.spent_s) | beyond_training
        cost |= first.cost if first else {}
        result = Result(
            id=experiment.id(),
            attempt=attempt,
            name=experiment.name,
            benchmark=experiment.benchmark.name,
            scale=experiment.benchmark.scale,
            strategy=experiment.strategy,
            seed=experiment.seed,
            identity=experiment.identity(),
            comparability=_comparability(experiment, setup, splits, scores["metrics"])
            | _overlaps(bench.dataset),
            classes=list(setup.classes),
            counts=setup.data.counts.tolist(),
            published_counts=(
                [] if setup.data.published_counts is None else setup.data.published_counts.tolist()
            ),
            chosen_epoch=best.epoch,
            last=last,
            seen=_seen(fit.history),
            seen_by_group=_seen_by_group(fit.history),
            cost=cost,
            plugins=described_plugins(experiment.strategy, setup.data.metrics),
            provenance=canonical(
                provenance()
                | {"command": shlex.join(commands.of_run(experiment))}
                | _precisions(fit)
                | _seen_by_generator(bench, setup)
                | _bank_content(bench, setup)
                | ({"start": first.recorded} if first else {})
            ),
            **scores,
        )
        store.finish(folder, result)
        summary = result.under(experiment.benchmark.select.epoch).metrics
        checkpointer.clear()
        return result
    finally:
        tracker.finish(summary)


def _precisions(fit: Fit) -> dict[str, Any]:
    """What a GPU computed in; a CPU does so in float32, unless the recipe says otherwise."""
    if fit.device.type == "cpu":
        return {}
    return {"precision": {"training": str(fit.dtype), "predictions": str(fit.eval_dtype)}}


def _seen_by_generator(bench: Bench, setup: RunSetup) -> dict[str, str]:
    """What the generator of the run's images had been trained on, in words."""
    if setup.bank_id is None:
        return {}
    return {"training_data": getattr(bench.generator, "training_data", "unknown")}


def _bank_content(bench: Bench, setup: RunSetup) -> dict[str, Any]:
    """The digest of the bytes of the images that the run may use, see `Bank.digest`."""
    if setup.bank_id is None:
        return {}
    levels = [level for level in setup.data.levels if level != PHOTO]
    variants = bench.spec.bank.variants * bench.spec.bank.best_of
    digest_of_images = bench.bank.digest(levels, variants)
    content = {"levels": levels, "variants": variants, "digest": digest_of_images}
    return {"bank_content": content}


def _cost(history: Sequence[EpochReport], setup: RunSetup, seconds: float) -> dict[str, float]:
    """The cost of training and of the images it used."""
    return {
        "steps": sum(report.steps for report in history),
        "seconds": seconds,
        "images_generated": float(setup.images_generated),
        **setup.image_costs,
    }


def _fit(experiment: Experiment, setup: RunSetup, checkpointer: Checkpointer) -> Fit:
    """The training of the run, where the last checkpoint left it."""
    from discl.engine.training.loop import Fit

    spec = experiment.benchmark
    main = distributed.is_main_process()
    fit = Fit(
        setup.network(experiment.seed),
        spec.chosen_strategy(experiment.strategy).build(),
        spec.part("losses").build(),
        setup.data,
        setup.inputs.train_config,
        setup.targets,
        setup.inputs.preprocess,
        experiment.seed,
        distributed.device(),
        checkpointer.on_step if main else None,
    )
    state = distributed.broadcast(checkpointer.last() if main else None)
    if state:
        checkpointer.restore(state)
        fit.restore(state["training"])
    return fit


def _train(fit: Fit, best: BestEpoch, tracker: CompositeTracker, options: RunOptions) -> None:
    """Train to the end; the network then holds the weights of the last epoch.

    Raises StoppedEarlyError where `options.stop` stops it, and UserError where val was never
    measured.
    """
    for report in fit.history:  # each attempt records all epochs: those before it come first
        tracker.report(report)
    for report in fit:
        tracker.report(report)
        best.consider(report, fit.eval_network.state_dict(), fit.val_logits)
        if options.stop and options.stop(fit.history):
            raise StoppedEarlyError(fit.history)
    if not best.weights:
        raise UserError(f"{best.metric} was never measured; lower train.evaluate_every")


def _predicted(
    spec: Benchmark,
    setup: RunSetup,
    fit: Fit,
    stage: SecondStage,
    splits: Mapping[str, Split],
    val_logits: Floats | None,
) -> tuple[dict[str, Any], dict[str, float]]:
    """The arrays of `Store.save_predictions`, and the cost of a second stage or of WiSE-FT."""
    from discl.engine.evaluation.predict import predict

    network, cost = staged(fit, stage, spec.select.metric)
    known = {VAL_SPLIT: val_logits} if network is fit.eval_network else {}
    predictions = predict(
        network, splits, setup.inputs.preprocess, fit.device, fit.eval_dtype, known
    )
    if not spec.select.wise_ft_alphas:
        return predictions, cost
    alpha, ensembled = wise_predictions(
        fit, setup.network(fit.seed), spec.select.wise_ft_alphas, spec.select.metric, splits
    )
    return predictions | ensembled, {"wise_alpha": alpha}


def _scores(predictions: Mapping[str, Any], setup: RunSetup, adjusted: bool) -> dict[str, Any]:
    """The fields of a result that are computed from its saved predictions.

    `adjusted`: with what adjusted logits give, which is nothing where training corrects the prior.
    """
    data = setup.data
    confusions = list(count_predictions(predictions, data.counts, adjusted))
    return {
        "metrics": metrics_of(confusions, data.group_counts, data.metrics),
        "class_recalls": class_recalls(predictions, setup.id_test, data.classes),
        "confusion_counts": pack_all(confusions),
        "errors": sampling_errors(confusions, [setup.id_test], data.group_counts, data.metrics),
        "predictions": predictions_digest(predictions),
    }


def _comparability(
    experiment: Experiment,
    setup: RunSetup,
    splits: Mapping[str, Split],
    metrics: Mapping[str, float],
) -> dict[str, Any]:
    """Facts that results must agree on to stand in one table."""
    counts = setup.data.counts
    photos = {name: digest(split.ids.tolist()) for name, split in splits.items()}
    return {
        "definitions": definitions_id(metrics, counts, setup.data.metrics),
        "comparison": short(experiment.comparison()),
        "bank": setup.bank_id,
        "threshold": experiment.benchmark.bank.threshold if setup.bank_id else None,
        "splits": digest(as_hashed(photos))[:16],
        "counts": short(counts.tolist()),
    }


def _overlaps(dataset: Dataset) -> dict[str, int]:
    """Test photos that are in train, too; see `discl.core.interfaces.Dataset`."""
    overlaps = getattr(dataset, "overlaps", None)
    return dict(overlaps()) if overlaps else {}


def _seen(history: Sequence[EpochReport]) -> dict[int, int]:
    """Images trained on, by level."""
    counts: dict[int, int] = {}
    for report in history:
        for level, count in report.seen.items():
            counts[level] = counts.get(level, 0) + count
    return dict(sorted(counts.items()))


def _seen_by_group(history: Sequence[EpochReport]) -> dict[str, int]:
    """Images trained on, by group of classes; empty where an epoch does not say it.

    A run that goes on from a checkpoint of an earlier version has such epochs.
    """
    if not all(report.seen_by_group for report in history):
        return {}
    groups = history[0].seen_by_group if history else {}
    return {group: sum(report.seen_by_group[group] for report in history) for group in groups}


def _config(experiment: Experiment) -> dict[str, Any]:
    """All settings of the run, by name."""
    return experiment.benchmark.model_dump() | {
        "strategy": experiment.strategy,
        "seed": experiment.seed,
    }


def _described(
    experiment: Experiment, folder: Path, config: dict[str, Any], options: RunOptions
) -> dict[str, Any]:
    """A run as trackers are given it; see `Tracker.start`."""
    spec = experiment.benchmark
    return {
        "id": experiment.id(),
        "name": experiment.name,
        "folder": folder,
        "group": options.group or f"{spec.name}-{spec.scale}",
        "project": f"discl-{spec.name}",
        "job_type": "train" if options.trial is None else "tune",
        "trial": options.trial,
        "tags": [
            spec.scale,
            experiment.strategy,
            str(spec.backbone["name"]),
            str(spec.dataset["name"]),
        ],
        "config": config,
        "epochs": spec.train.epochs,
        "position": options.position,
    }
