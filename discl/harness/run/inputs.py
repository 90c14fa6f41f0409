"""What the networks of a benchmark are fed: its photos, or the features that a frozen trunk makes
of them, once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from discl.core.hashing import digest, short
from discl.core.interfaces import Backbone, Progress, Split
from discl.files.disk import home, one_at_a_time, publishing

if TYPE_CHECKING:
    from torch import Tensor, nn

    from discl.engine.training.config import TrainConfig
    from discl.harness.run.assembly import Bench

CHUNK = 256  # photos a forward pass of the trunk


class Feed(Protocol):
    """One benchmark's network and what goes into it."""

    preprocess: Callable[
        [Tensor], Tensor
    ]  # from what the arrays hold, on the device, to what the network takes
    train_config: TrainConfig

    def network(self, seed: int) -> nn.Module:
        """A classifier of what the arrays hold."""

    def split(self, name: str) -> Split:
        """A split of the dataset, its `pixels` as the network is fed."""

    def level(self, level: int) -> Any:
        """The bank's images of a level, in the bank's order, as the network is fed."""

    def prepare(self, levels: list[int], progress: Progress) -> None:
        """Do what takes long; a second call returns at once."""


class Photos:
    """The photos themselves."""

    def __init__(self, bench: Bench, backbone: Backbone) -> None:
        from discl.engine.evaluation.predict import Normaliser
        from discl.engine.training.config import TrainConfig

        self.bench, self.backbone = bench, backbone
        self.train_config = TrainConfig(
            **bench.spec.train.model_dump(exclude={"checkpoint_seconds"})
        )
        self.preprocess: Callable[[Tensor], Tensor] = Normaliser(
            backbone.mean, backbone.std, self.train_config.crop
        )

    def network(self, seed: int) -> nn.Module:
        return self.backbone.build(self.bench.task, seed)

    def split(self, name: str) -> Split:
        return self.bench.dataset.split(name)

    def level(self, level: int) -> Any:
        return self.bench.bank.pixels(level)

    def prepare(self, levels: list[int], progress: Progress) -> None:
        return None


class Features:
    """Features of a frozen trunk, kept under $DISCL_HOME/features by what they were made of.

    Nothing random is done to the photos.
    """

    def __init__(self, bench: Bench, backbone: Backbone) -> None:
        self.photos = Photos(bench, backbone)
        self.bench, self.backbone = bench, backbone
        self.train_config = replace(
            self.photos.train_config, shift=0, mirror=False, crop=0, transform={}
        )
        self.preprocess: Callable[[Tensor], Tensor] = _as_it_is
        self._split_files: dict[str, Path] = {}

    def network(self, seed: int) -> nn.Module:
        from discl.engine.training.heads import head

        return head(
            self.split("train").pixels.shape[1],
            len(self.bench.task.classes),
            self.backbone.hidden,
            seed,
        )

    def split(self, name: str) -> Split:
        split = self.photos.split(name)
        return replace(
            split,
            pixels=self._kept(self._split_file(name, split), lambda: split.pixels),
            original=None,
        )

    def level(self, level: int) -> Any:
        return self._kept(self._level_file(level), lambda: self.bench.bank.pixels(level))

    def prepare(self, levels: list[int], progress: Progress) -> None:
        splits = [
            name
            for name in self.bench.dataset.splits
            if not self._split_file(name, self.photos.split(name)).exists()
        ]
        missing = [level for level in levels if not self._level_file(level).exists()]
        todo = [partial(self.split, name) for name in splits] + [
            partial(self.level, level) for level in missing
        ]
        for done, embed in enumerate(todo, 1):
            embed()
            progress("embedding photos and images", done, len(todo))

    @cached_property
    def folder(self) -> Path:
        """One a trunk: the head is no part of it."""
        bound = self.bench.spec.part("backbones")
        trunk = bound.identity() | self.backbone.identity()
        trunk["parameters"] = {
            key: value
            for key, value in trunk["parameters"].items()
            if key not in self.backbone.head_only
        }
        return home() / "features" / short({"trunk": trunk, "crop": self.photos.train_config.crop})

    def _split_file(self, name: str, split: Split) -> Path:
        if (
            name not in self._split_files
        ):  # a digest of ten thousand names, asked for several times a run
            identity = self.bench.spec.part("datasets").identity() | self.bench.dataset.identity()
            said = {"dataset": identity, "split": name, "ids": digest(split.ids.tolist())}
            self._split_files[name] = self.folder / "splits" / f"{short(said)}.npy"
        return self._split_files[name]

    def _level_file(self, level: int) -> Path:
        """Named by the images in it."""
        return self.folder / "levels" / self.bench.bank.map_path(level)[0].name

    def _kept(self, path: Path, photos: Callable[[], Any]) -> Any:
        """float32 [n, d], as a memory map; made where it is not there yet."""
        if not path.exists():
            with one_at_a_time(self.folder):
                if not path.exists():
                    made = self._embedded(photos())
                    with publishing(path) as half, half.open("wb") as opened:
                        np.save(opened, made)
        return np.load(path, mmap_mode="r")

    def _embedded(self, photos: Any) -> Any:
        from discl.engine.evaluation.predict import embedded

        return embedded(self._trunk, photos, self.photos.preprocess, CHUNK)

    @cached_property
    def _trunk(self) -> nn.Module:
        return self.backbone.trunk(self.bench.task, 0)


def _as_it_is(features: Tensor) -> Tensor:
    return features


def feed_of(bench: Bench) -> Feed:
    """What the benchmark's backbone wants to be fed."""
    backbone: Backbone = bench.spec.part("backbones").build()
    return Features(bench, backbone) if backbone.frozen else Photos(bench, backbone)
