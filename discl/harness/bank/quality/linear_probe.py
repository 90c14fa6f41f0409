"""A linear classifier on embeddings; no photo is classified by a fit that used it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Floats, Ints
from discl.harness.bank.quality.blocks import blocks

FOLDS = 5
# of the mean eigenvalue; on the miniature 1e-5 .. 1 give the same accuracy within 0.3 points
RIDGE = 0.01


def class_folds(labels: Ints) -> Ints:
    """A fold for each of the labels [n], in 0 .. FOLDS - 1.

    The rows of a class are dealt out in turn, so that every fold has its share of every class.
    """
    order = np.argsort(labels, kind="stable")
    start = np.searchsorted(labels[order], labels[order])
    folds = np.empty(len(labels), np.int64)
    folds[order] = (np.arange(len(labels)) - start) % FOLDS
    return folds


class RidgeProbe:
    """Linear regression from vectors to one-hot labels, fitted once without each fold.

    Every class weighs the same. A class whose photos all lie in one fold is unknown to the fit
    without that fold.
    """

    def __init__(self, vectors: Floats, labels: Ints, classes: int, fold: Ints) -> None:
        """Fit on unit vectors [n, d] with labels [n] in 0 .. classes - 1 and folds [n]."""
        width = vectors.shape[1] + 1
        gram = np.zeros((FOLDS, width, width))
        targets = np.zeros((FOLDS, width, classes))
        weight = 1 / np.maximum(np.bincount(labels, minlength=classes), 1) / len(np.unique(labels))
        for part in blocks(len(vectors), 2 * width):
            for number in range(FOLDS):
                rows = np.flatnonzero(fold[part] == number) + part.start
                inputs = _with_one(vectors[rows])
                weighted = inputs * weight[labels[rows], None]
                gram[number] += inputs.T @ weighted
                np.add.at(targets[number].T, labels[rows], weighted)
        gram_of_all = gram.sum(0)
        targets_of_all = targets.sum(0)
        self.weights = np.stack(
            [
                _solved(gram_of_all - gram[number], targets_of_all - targets[number])
                for number in range(FOLDS)
            ]
        )

    def predict(self, vectors: Floats, fold: Ints) -> Ints:
        """Labels [n] of vectors [n, d], each by the fit without its own fold of `fold` [n]."""
        labels = np.empty(len(vectors), np.int64)
        for number in range(FOLDS):
            rows = np.flatnonzero(fold == number)
            for part in blocks(len(rows), self.weights.shape[2]):
                scores = _with_one(vectors[rows[part]]) @ self.weights[number]
                labels[rows[part]] = scores.argmax(1)
        return labels


def _with_one(vectors: Floats) -> NDArray[np.float64]:
    return np.hstack([vectors.astype(np.float64), np.ones((len(vectors), 1))])


def _solved(gram: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    penalty = RIDGE * np.trace(gram) / len(gram)
    return np.linalg.solve(gram + max(penalty, 1e-12) * np.eye(len(gram)), targets)
