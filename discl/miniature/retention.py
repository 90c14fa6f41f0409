"""How true a generator stays to its labels: the share of its images that the judge assigns to the intended class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from discl.miniature.judge import predict
from discl.spec.identity import seed_of
from discl.spec.kinds import Dataset, Generator, Request, Split
from discl.spec.levels import PHOTO


@dataclass(frozen=True)
class Retention:
    """One level. `by_class` and `overall` are fractions of `images`."""

    level: int
    overall: float
    by_class: list[float]
    images: int


def retention(
    dataset: Dataset, split: Split, generator: Generator, judge: nn.Module, levels: Sequence[int], per_class: int, batch: int = 100
) -> Iterator[Retention]:
    """Makes one image of each of the first `per_class` photos of every class at every level, and asks the judge."""
    classes = len(dataset.classes)
    rows = np.concatenate([np.flatnonzero(split.labels == label)[:per_class] for label in range(classes)])
    photos, labels = np.asarray(split.pixels[rows]), split.labels[rows]
    for level in levels:
        if level == PHOTO:
            images = photos
        else:
            asked = [
                Request(level, dataset.prompts(int(y))[0], seed_of("retention", str(split.ids[r]))) for r, y in zip(rows, labels, strict=True)
            ]
            parts = [generator.make(asked[i : i + batch], photos[i : i + batch]) for i in range(0, len(asked), batch)]
            images = np.concatenate(parts)
        right = predict(judge, images, torch.device("cpu")) == labels
        yield Retention(level, float(right.mean()), [float(right[labels == label].mean()) for label in range(classes)], len(rows))
