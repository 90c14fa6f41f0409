"""Trains one out-of-fold model and predicts the photos it has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from discl.config.benchmark import Benchmark
from discl.core.errors import UserError
from discl.core.interfaces import FoldModels, Ints, Metric, Photos, Split
from discl.core.levels import PHOTO
from discl.core.registry import bind
from discl.engine.hard_mining import true_class_probability
from discl.engine.training import distributed
from discl.engine.training.sampler import SamplerView, Targets
from discl.files.photos import PhotoRows
from discl.harness.hard.out_of_fold import HeldOutPredictions
from discl.harness.run.inputs import Inputs

if TYPE_CHECKING:
    from discl.engine.training.data import TrainingData


def fit_fold(
    inputs: Inputs,
    spec: Benchmark,
    metrics: Mapping[str, Metric],
    classes: int,
    models: FoldModels,
    fitted: Ints,
    held_out: Ints,
    progress: Callable[[int, int], None],
) -> HeldOutPredictions:
    """Train on rows `fitted` [k] of the training split and predict rows `held_out` [m].

    Training is that of the benchmark, with photos only. `progress` is called with (epochs done, of
    how many). Raises UserError where the model diverges.
    """
    from discl.engine.training.loop import Fit

    device = distributed.device()
    train = inputs.split("train")
    held_out_pixels: Any = PhotoRows.of(train.pixels, held_out)
    data = _photos_only(train, fitted, inputs.split("val"), classes, metrics)
    epochs = models.epochs
    config = replace(
        inputs.train_config,
        epochs=epochs,
        curriculum_epochs=0,
        evaluate_every=epochs,
        head_only_epochs=min(inputs.train_config.head_only_epochs, epochs - 1),
    )
    targets = Targets(len(fitted) // config.batch * config.batch, 0.0, 1)
    strategy = bind("strategies", "real_only", {}).build()
    loss = spec.part("losses").build()
    fit = Fit(
        inputs.network(models.seed),
        strategy,
        loss,
        data,
        config,
        targets,
        inputs.preprocess,
        models.seed,
        device,
    )
    validation = math.nan
    progress(0, epochs)
    for report in fit:
        progress(report.epoch + 1, epochs)
        validation = report.values.get(spec.select.metric, math.nan)
    logits = fit.logits(held_out_pixels)
    if not np.isfinite(logits).all():
        raise UserError(
            "an out-of-fold model of the training photos gives logits that are not finite; lower"
            " train.lr"
        )
    probability = true_class_probability(logits, train.labels[held_out])
    return HeldOutPredictions(probability, logits.astype(np.float64).argmax(1), validation)


def _photos_only(
    train: Split, rows: Ints, val: Split, classes: int, metrics: Mapping[str, Metric]
) -> TrainingData:
    """Training data of some rows [k] of the training split, without synthetic images."""
    from discl.engine.training.data import TrainingData

    pixels: Any = PhotoRows.of(train.pixels, rows)  # reads like an array, and copies nothing
    part = Split(
        train.ids[rows],
        train.labels[rows],
        train.groups[rows],
        pixels,
        whole=partial(_row_of, train.whole, rows) if train.whole else None,
    )
    return TrainingData(
        train=part,
        sampler_view=SamplerView(part.labels, np.zeros(len(rows), bool)),
        classes=classes,
        levels=(PHOTO,),
        images={},
        pixels={},
        val=val,
        metrics=metrics,
    )


def _row_of(whole: Callable[[int], Photos], rows: Ints, row: int) -> Photos:
    return whole(int(rows[row]))
