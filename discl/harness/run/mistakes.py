"""The photos a run is most surely wrong about, of the classes it knows least."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from discl.engine.evaluation.metrics import count_classes


class Missed(NamedTuple):
    """A photo that was called something else."""

    row: int  # in its split
    id: str  # of the photo
    truth: int
    guess: int
    confidence: float  # probability the run gives its guess


def worst_classes(predictions: Mapping[str, Any], split: str, most: int = 3) -> list[int]:
    """Labels of the classes with the lowest recall on a split, the lowest first; classes without a
    photo are left out.
    """
    logits = predictions[f"{split}/logits"]
    recall = count_classes(predictions[f"{split}/labels"], logits.argmax(1), logits.shape[1]).recall
    order = np.argsort(recall, kind="stable")
    return [int(label) for label in order[~np.isnan(recall[order])][:most]]


def missed(predictions: Mapping[str, Any], split: str, label: int, most: int = 8) -> list[Missed]:
    """The photos of a class that were called something else, the surest mistakes first."""
    logits, labels = predictions[f"{split}/logits"], predictions[f"{split}/labels"]
    rows = np.flatnonzero((labels == label) & (logits.argmax(1) != label))
    odds = np.exp(logits[rows] - logits[rows].max(1, keepdims=True)).astype(np.float64)
    sure = 1 / odds.sum(1) if len(rows) else np.empty(0)
    first = np.argsort(-sure, kind="stable")[:most]
    ids = predictions[f"{split}/ids"]
    return [
        Missed(int(row), str(ids[row]), label, int(logits[row].argmax()), float(p))
        for row, p in zip(rows[first], sure[first], strict=True)
    ]
