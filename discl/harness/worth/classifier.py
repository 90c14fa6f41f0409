"""A small classifier trained on one set of pictures, by the benchmark's own recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from discl.core.hashing import canonical, digest, short
from discl.core.interfaces import Ints, Split, Task
from discl.core.levels import PHOTO
from discl.core.registry import bind
from discl.core.seals import DamagedFileError, read_sealed, sealed_text
from discl.engine.training import distributed
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.sampler import SamplerView, Targets
from discl.files.disk import write_text
from discl.files.sealed import told
from discl.harness.run.assembly import Bench
from discl.harness.run.inputs import Inputs

VERSION = 1  # raised when the same pictures would give another accuracy
_AGAIN = "it is measured again"


@dataclass(frozen=True)
class PictureSet:
    """Labelled pictures, and names that change whenever they do."""

    pixels: Any  # [n, h, w, 3], or float features [n, d]
    labels: Ints  # [n], 0 .. classes - 1
    names: tuple[str, ...]  # [n]

    def split(self) -> Split:
        """The pictures as a split of a dataset."""
        return Split(np.array(self.names), self.labels, np.zeros_like(self.labels), self.pixels)


class PictureClassifier:
    """Trains networks that tell some of a benchmark's classes apart, and keeps their accuracy.

    The recipe is that of the benchmark (network, loss, optimiser, schedule, augmentation) in about
    `steps` optimiser steps: every epoch is shortened, so that the schedule keeps its shape. Classes
    are drawn equally often.
    """

    def __init__(self, bench: Bench, labels: Ints, steps: int) -> None:
        """`labels` [c]: the benchmark's classes that are told apart, as 0 .. c - 1."""
        self.bench = bench
        whole = bench.task
        self.task = Task(
            tuple(whole.classes[label] for label in labels),
            tuple(whole.prompts[label] for label in labels),
            whole.side,
        )
        self.inputs: Inputs = bench.inputs_of(self.task)
        config = self.inputs.train_config
        self.steps_per_epoch = max(1, round(steps / config.epochs))
        self.config = _shortened(config, self.steps_per_epoch, bench.epoch_images)

    @property
    def steps(self) -> int:
        """Optimiser steps of one network."""
        return self.config.epochs * self.steps_per_epoch

    def accuracy(self, learned: PictureSet, measured: PictureSet, seed: int) -> float:
        """Mean recall on `measured` after training on `learned`; computed once and then kept."""
        path = self._path(learned, measured, seed)
        if path.exists():
            try:
                return float(read_sealed(path, _AGAIN)["accuracy"])
            except (DamagedFileError, KeyError, TypeError, ValueError) as error:
                told(error)
                path.unlink(missing_ok=True)
        accuracy = self._trained(learned, measured, seed)
        described = {"accuracy": accuracy, "key": self._key(learned, measured, seed)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, sealed_text(described))
        return accuracy

    def is_known(self, learned: PictureSet, measured: PictureSet, seed: int) -> bool:
        """Whether `accuracy` would return at once."""
        return self._path(learned, measured, seed).exists()

    def _path(self, learned: PictureSet, measured: PictureSet, seed: int) -> Path:
        key = short(self._key(learned, measured, seed))
        return self.bench.bank.folder / "cache" / f"gap-{key}.json"

    def _key(self, learned: PictureSet, measured: PictureSet, seed: int) -> Mapping[str, Any]:
        """All that the accuracy depends on."""
        spec = self.bench.spec
        parts = {kind: spec.part(kind).identity() for kind in ("datasets", "backbones", "losses")}
        given = {
            "learned": digest([learned.names, learned.labels.tolist()]),
            "measured": digest([measured.names, measured.labels.tolist()]),
            "data": self.bench.dataset.identity(),
            "weights": self.bench.backbone.identity(),
        }
        recipe = {"train": asdict(self.config), "steps": self.steps, "classes": self.task.classes}
        key: dict[str, Any] = canonical(
            {"version": VERSION, "seed": seed, **parts, **given} | recipe
        )
        return key

    def _trained(self, learned: PictureSet, measured: PictureSet, seed: int) -> float:
        from discl.engine.training.loop import Fit

        classes = len(self.task.classes)
        train, val = learned.split(), measured.split()
        view = SamplerView(train.labels, np.ones(len(train), bool))
        data = TrainingData(train, view, classes, (PHOTO,), {}, {}, val, metrics={})
        images = self.steps_per_epoch * self.config.batch
        fit = Fit(
            self.inputs.network(seed),
            bind("strategies", "real_rebalanced", {}).build(),
            self.bench.spec.part("losses").build(),
            data,
            self.config,
            # every class alike, and every picture of a class about as often
            Targets(images, 1.0, images, keep_hard_real=False, include_easy=False),
            self.inputs.preprocess,
            seed,
            distributed.device(),
        )
        for _ in fit:
            pass
        guess = fit.logits(val.pixels).argmax(1)
        recalls = [(guess[val.labels == label] == label).mean() for label in range(classes)]
        return float(np.mean(recalls))


def _shortened(config: TrainConfig, steps_per_epoch: int, epoch_images: int) -> TrainConfig:
    """The recipe with shorter epochs, photos as stored, and val measured at the end only."""
    before = max(1, epoch_images // config.batch)
    warmup = round(config.warmup_steps * steps_per_epoch / before)
    return replace(
        config,
        curriculum_epochs=config.epochs,
        evaluate_every=config.epochs,
        warmup_steps=max(1, warmup) if config.warmup_steps else 0,
        whole_photos=False,
        workers=0,
    )
