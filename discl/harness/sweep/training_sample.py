"""A short training by a benchmark's own recipe, to be timed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from discl.core.interfaces import Split
from discl.core.levels import PHOTO
from discl.core.registry import bind
from discl.engine.training import distributed
from discl.harness.run.assembly import Bench
from discl.harness.run.inputs import CHUNK, FeatureInputs

if TYPE_CHECKING:
    from torch import nn

    from discl.engine.training.loop import Fit

_EPOCHS = 1000  # more than are ever trained, so that none is the last one, which val measures
_EMBEDDED = 32  # photos that a frozen trunk embeds for a sample at first
_EMBEDDING_SECONDS = 1.0  # of a larger sample of them, at most


class TrainingSample:
    """Photos of train alone; of a frozen trunk, a few of them and their features."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.inputs = bench.inputs
        self.embedding_seconds = 0.0  # of a photo, where a trunk is frozen
        self.embedded = 0  # photos for which a frozen trunk was asked
        if isinstance(self.inputs, FeatureInputs):
            self._train = self._embed(self.inputs)
            self._val = self._train
        else:
            self._train = self.inputs.split("train")
            self._val = self.inputs.split("val")

    def _embed(self, inputs: FeatureInputs) -> Split:
        """Some photos of train, with features for pixels."""
        photos = self.bench.train
        rows = np.arange(min(_EMBEDDED, len(photos)))
        pixels = np.array(photos.pixels[rows])
        inputs.embedded(pixels[:1])  # the first call is slower
        features, seconds = self._timed(inputs, pixels)
        self.embedded = len(rows) + 1
        # as many as go through the trunk together, which takes less for each
        if 0 < CHUNK * seconds < _EMBEDDING_SECONDS and len(photos) > len(rows):
            rows = np.arange(min(CHUNK, len(photos)))
            pixels = np.array(photos.pixels[rows])
            features, seconds = self._timed(inputs, pixels)
            self.embedded += len(rows)
        self.embedding_seconds = seconds
        return Split(photos.ids[rows], photos.labels[rows], photos.groups[rows], features)

    @staticmethod
    def _timed(inputs: FeatureInputs, pixels: Any) -> tuple[Any, float]:
        """Features, and seconds a photo."""
        started = time.perf_counter()
        features = inputs.embedded(pixels)
        return features, (time.perf_counter() - started) / len(pixels)

    def _network(self) -> nn.Module:
        if isinstance(self.inputs, FeatureInputs):
            return self.inputs.head(self._train.pixels.shape[1], 0)
        return self.inputs.network(0)

    def fit(self, rows: int, steps: int) -> Fit:
        """The recipe with batches of `rows` images, and epochs of so many `steps`."""
        from discl.engine.training.data import TrainingData
        from discl.engine.training.loop import Fit
        from discl.engine.training.sampler import SamplerView, Targets

        config = self.inputs.train_config
        config = replace(
            config,
            epochs=_EPOCHS,
            curriculum_epochs=0,
            evaluate_every=_EPOCHS,
            batch=rows,
            accumulate=config.accumulate if rows == config.batch else 1,
            warmup_steps=0,
            warmup_epochs=min(config.warmup_epochs, 1),
            head_only_epochs=0,
            workers=0,
            compile=False,  # it pays for itself in a long run
        )
        classes = len(self.bench.dataset.classes)
        view = SamplerView(self._train.labels, np.zeros(len(self._train.labels), bool))
        data = TrainingData(self._train, view, classes, (PHOTO,), {}, {}, self._val, metrics={})
        most = rows * steps  # of one photo in an epoch
        return Fit(
            self._network(),
            bind("strategies", "real_only", {}).build(),
            self.bench.spec.part("losses").build(),
            data,
            config,
            Targets(most, 0.0, most, keep_hard_real=False),
            self.inputs.preprocess,
            0,
            distributed.device(),
        )

    @staticmethod
    def timed_epoch(fit: Fit) -> float:
        """Seconds of the next epoch."""
        started = time.perf_counter()
        next(iter(fit))
        return time.perf_counter() - started

    def timed_prediction(self, fit: Fit, photos: int) -> float:
        """Seconds a photo of predicting so many of val, or as many as there are."""
        pixels: Any = self._val.pixels[: max(1, photos)]
        started = time.perf_counter()
        fit.logits(pixels)
        return (time.perf_counter() - started) / len(pixels)
