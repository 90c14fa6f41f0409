"""Label retention: the share of generated images that a classifier assigns to their class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from discl.core.hashing import seed_of
from discl.core.interfaces import Dataset, Generator, Ints, Photos, Request, Split
from discl.core.levels import PHOTO
from discl.miniature import judge
from discl.parts.scorers.open_clip import OpenClipScorer

Classifier = Callable[[Photos], Ints]  # photos [n, h, w, 3] to labels [n]


@dataclass(frozen=True)
class Retention:
    """One level.

    `overall` and `by_class` are fractions of `images`, by name of the classifier.
    """

    level: int
    images: int
    overall: dict[str, float]
    by_class: dict[str, list[float]]


def by_judge(network: nn.Module) -> Classifier:
    """The judge: a classifier of the pool's photos that nothing else uses."""
    return lambda photos: judge.predict(network, photos, torch.device("cpu"))


def by_captions(scorer: OpenClipScorer, dataset: Dataset) -> Classifier:
    """Zero-shot classification by the scorer: the class whose caption is nearest to the photo."""
    words = scorer.embed_texts([dataset.prompts(label)[0] for label in range(len(dataset.classes))])

    def classify(photos: Photos) -> Ints:
        parts = [
            scorer.embed_images(photos[i : i + 500]) @ words.T for i in range(0, len(photos), 500)
        ]
        return np.asarray(np.concatenate(parts).argmax(1))

    return classify


def retention(
    dataset: Dataset,
    split: Split,
    generator: Generator,
    classifiers: Mapping[str, Classifier],
    levels: Sequence[int],
    per_class: int,
    batch: int = 96,
) -> Iterator[Retention]:
    """Retention by level, with one image of each of the first `per_class` photos of every class."""
    classes = len(dataset.classes)
    rows = np.concatenate(
        [np.flatnonzero(split.labels == label)[:per_class] for label in range(classes)]
    )
    photos = np.asarray(split.pixels[rows])
    labels = split.labels[rows]
    prompts_and_seeds = [
        (dataset.prompts(int(label))[0], seed_of("retention", str(split.ids[row])))
        for row, label in zip(rows, labels, strict=True)
    ]
    for level in levels:
        images = photos
        if level != PHOTO:
            requests = [Request(level, prompt, seed) for prompt, seed in prompts_and_seeds]
            images = np.concatenate(
                [
                    generator.make(requests[i : i + batch], photos[i : i + batch]).images
                    for i in range(0, len(rows), batch)
                ]
            )
        right = {name: classify(images) == labels for name, classify in classifiers.items()}
        yield Retention(
            level,
            len(rows),
            {name: float(hits.mean()) for name, hits in right.items()},
            {
                name: [float(hits[labels == label].mean()) for label in range(classes)]
                for name, hits in right.items()
            },
        )
