"""Misclassified photos of a run: the most confident ones, of the classes with the lowest recall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from discl.engine.evaluation.metrics import count_classes


class Misclassified(NamedTuple):
    """A photo whose most probable class is not its true class."""

    row: int  # in its split
    id: str  # of the photo
    truth: int
    predicted: int
    confidence: float  # probability of the predicted class


def worst_classes(predictions: Mapping[str, Any], split: str, most: int = 3) -> list[int]:
    """Labels of the classes with the lowest recall on a split, the lowest first.

    Classes without a photo are left out. `predictions` are those of `Store.predictions`.
    """
    logits = predictions[f"{split}/logits"]
    counts = count_classes(predictions[f"{split}/labels"], logits.argmax(1), logits.shape[1])
    order = np.argsort(counts.recall, kind="stable")
    return [int(label) for label in order[~np.isnan(counts.recall[order])][:most]]


def surest(predictions: Mapping[str, Any], split: str, label: int, predicted: int) -> int | None:
    """Row of the photo of class `label` called `predicted` most confidently; None where none is."""
    logits = predictions[f"{split}/logits"]
    rows = np.flatnonzero(
        (predictions[f"{split}/labels"] == label) & (logits.argmax(1) == predicted)
    )
    if not len(rows):
        return None
    odds = np.exp(logits[rows] - logits[rows].max(1, keepdims=True)).astype(np.float64)
    return int(rows[np.argmin(odds.sum(1))])


def misclassified(
    predictions: Mapping[str, Any], split: str, label: int, most: int = 8
) -> list[Misclassified]:
    """The misclassified photos of a class, the most confident predictions first."""
    logits = predictions[f"{split}/logits"]
    labels = predictions[f"{split}/labels"]
    ids = predictions[f"{split}/ids"]
    rows = np.flatnonzero((labels == label) & (logits.argmax(1) != label))
    odds = np.exp(logits[rows] - logits[rows].max(1, keepdims=True)).astype(np.float64)
    confidence = 1 / odds.sum(1) if len(rows) else np.empty(0)
    first = np.argsort(-confidence, kind="stable")[:most]
    return [
        Misclassified(int(row), str(ids[row]), label, int(logits[row].argmax()), float(probability))
        for row, probability in zip(rows[first], confidence[first], strict=True)
    ]
