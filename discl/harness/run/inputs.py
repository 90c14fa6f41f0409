"""Inputs of a network: photos and images, or features of a frozen trunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from discl.config.identity import HEAD, head_patterns
from discl.core.hashing import digest, short
from discl.core.interfaces import Backbone, Dataset, Photos, Progress, Split, Task
from discl.engine.training.config import TrainConfig
from discl.files.disk import folder_lock, home
from discl.files.sealed import cached_array, save_array

if TYPE_CHECKING:
    from torch import Tensor, nn

CHUNK = 256  # photos in one forward pass of the trunk


class Inputs(Protocol):
    """The network of one benchmark and what goes into it."""

    # from a batch of what `split` and `level` hold, on the device, to what the network takes
    preprocess: Callable[[Tensor], Tensor]
    train_config: TrainConfig

    def network(self, seed: int) -> nn.Module:
        """A classifier with the initial weights that `seed` decides."""

    def split(self, name: str) -> Split:
        """A split of the dataset, with `pixels` as the network is given them."""

    def level(self, level: int) -> Any:
        """The bank's images of a level, in the order of the bank, as the network is given them."""

    def prepare(self, levels: Sequence[int], progress: Progress) -> None:
        """Do what takes long for these levels and all splits; a second call returns at once."""


class ImageInputs:
    """Photos and images as they are: uint8 [n, h, w, 3]."""

    def __init__(
        self,
        dataset: Dataset,
        backbone: Backbone,
        task: Task,
        config: TrainConfig,
        images: Callable[[int], Photos],  # level -> the bank's images of it [m, h, w, 3]
    ) -> None:
        from discl.engine.evaluation.predict import Normaliser, too_large

        if config.side > (config.crop or task.side):
            raise too_large("side", config.side, *(config.crop or task.side,) * 2)
        self.dataset = dataset
        self.backbone = backbone
        self.task = task
        self.train_config = _naming_the_head(config, getattr(backbone, "head_modules", ()))
        self.level = images
        self.preprocess: Callable[[Tensor], Tensor] = Normaliser(
            backbone.mean, backbone.std, config.crop, config.side
        )

    def network(self, seed: int) -> nn.Module:
        return self.backbone.build(self.task, seed)

    def split(self, name: str) -> Split:
        return self.dataset.split(name)

    def prepare(self, levels: Sequence[int], progress: Progress) -> None:
        return None


class FeatureInputs:
    """Features of a frozen trunk, float32 [n, d]: computed once, without augmentation.

    They are kept under $DISCL_HOME/features by what they were computed from.
    """

    def __init__(
        self,
        images: ImageInputs,
        dataset_identity: Mapping[str, Any],
        backbone_identity: Mapping[str, Any],
        # level -> a file name that its images decide, and how many they are
        level_key: Callable[[int], tuple[str, int]],
    ) -> None:
        self.images = images
        self.dataset_identity = dataset_identity
        self.backbone_identity = backbone_identity
        self.level_key = level_key
        self.train_config = replace(
            images.train_config,
            random_translate=0,
            hflip=False,
            random_resized_crop=(),
            color_jitter=0.0,
            crop=0,
            side=0,
            transform={},
            optimiser_arguments=_for_a_head(images.train_config.optimiser_arguments),
        )
        self.preprocess: Callable[[Tensor], Tensor] = _unchanged
        self._split_files: dict[str, Path] = {}

    def network(self, seed: int) -> nn.Module:
        return self.head(self.split("train").pixels.shape[1], seed)

    def head(self, width: int, seed: int) -> nn.Module:
        """The head on features of this width, with the initial weights that `seed` decides."""
        from discl.parts.backbones.base.heads import feature_head

        backbone = self.images.backbone
        # a backbone of another package may have no other head than a linear one
        cosine = getattr(backbone, "head", "linear") == "cosine"
        return feature_head(
            width,
            len(self.images.task.classes),
            backbone.hidden,
            seed,
            getattr(backbone, "cosine_scale") if cosine else None,  # noqa: B009
        )

    def split(self, name: str) -> Split:
        split = self.images.split(name)
        features = self._stored(self._split_file(name, split), lambda: split.pixels, len(split.ids))
        return replace(
            split, pixels=features, original=None, whole=None, reduced=None, original_size=None
        )

    def level(self, level: int) -> Any:
        name, rows = self.level_key(level)
        return self._stored(self._level_file(name), lambda: self.images.level(level), rows)

    def missing_rows(self, made: Sequence[int] = ()) -> int:
        """Photos, and images of levels that are `made`, whose features are not stored yet."""
        splits = {name: self.images.split(name) for name in self.images.dataset.splits}
        missing = [
            len(split.ids)
            for name, split in splits.items()
            if not self._split_file(name, split).exists()
        ]
        for name, rows in map(self.level_key, made):
            if not self._level_file(name).exists():
                missing.append(rows)
        return sum(missing)

    def embedded(self, photos: Any) -> Any:
        """Features [n, d] of photos uint8 [n, h, w, 3]; keeps nothing."""
        return self._embedded(photos)

    def prepare(self, levels: Sequence[int], progress: Progress) -> None:
        missing_splits = [
            name
            for name in self.images.dataset.splits
            if not self._split_file(name, self.images.split(name)).exists()
        ]
        missing_levels = [
            level for level in levels if not self._level_file(self.level_key(level)[0]).exists()
        ]
        work = [partial(self.split, name) for name in missing_splits]
        work += [partial(self.level, level) for level in missing_levels]
        for done, embed in enumerate(work, 1):
            embed()
            progress("embedding photos and images", done, len(work))

    @cached_property
    def folder(self) -> Path:
        """One folder a trunk; parameters that only the head has are left out of its name."""
        parameters = {
            key: value
            for key, value in self.backbone_identity["parameters"].items()
            if key not in self.images.backbone.head_only
        }
        trunk = {**self.backbone_identity, "parameters": parameters}
        config = self.images.train_config
        key = {"trunk": trunk, "crop": config.crop}
        if config.side:
            key["side"] = config.side
        return home() / "features" / short(key)

    def _split_file(self, name: str, split: Split) -> Path:
        # remembered: it is a digest of ten thousand names, asked for several times a run
        if name not in self._split_files:
            key = {
                "dataset": self.dataset_identity,
                "split": name,
                "ids": digest(split.ids.tolist()),
            }
            self._split_files[name] = self.folder / "splits" / f"{short(key)}.npy"
        return self._split_files[name]

    def _level_file(self, name: str) -> Path:
        return self.folder / "levels" / name

    def _stored(self, path: Path, photos: Callable[[], Any], rows: int) -> Any:
        """float32 [n, d], as a memory map; computed where it is not there yet."""
        what = f"{self.folder.name} {path.parent.name} {path.name}"

        def make() -> None:
            with folder_lock(self.folder):
                if not path.exists():
                    save_array(path, self._embedded(photos()), what)

        return cached_array(path, make, what, rows, np.float32)

    def _embedded(self, photos: Any) -> Any:
        from discl.engine.evaluation.predict import embedded

        return embedded(self._trunk, photos, self.images.preprocess, CHUNK)

    @cached_property
    def _trunk(self) -> nn.Module:
        return self.images.backbone.trunk(self.images.task, 0)


def _naming_the_head(config: TrainConfig, modules: Sequence[str]) -> TrainConfig:
    """A recipe whose optimiser finds the head under the name that it has in the network."""
    arguments = config.optimiser_arguments
    patterns = head_patterns(arguments, modules)
    if not patterns:
        return config
    others = [pattern for pattern in arguments["fallback_list"] if pattern != HEAD]
    changed = {**arguments, "fallback_list": [*others, *patterns]}
    return replace(config, optimiser_arguments=changed)


def _for_a_head(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the optimiser where all that is trained is the head.

    A recipe that names the parts of a network which muon leaves to its fallback means the head by
    that, under the name it has in the whole network; by itself it has other names.
    """
    changed = {"fallback_list": ["*"]} if arguments.get("fallback_list") else {}
    return {**arguments, **changed}


def _unchanged(features: Tensor) -> Tensor:
    return features
