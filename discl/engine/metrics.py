"""Every number of a result, from saved logits. One definition a name, and each definition has an id.

Conventions: `macro_acc` is the mean recall over classes present in the split; `macro_f1` is the WILDS rule (mean F1 over
the classes present in the truth, never-predicted classes count 0); `acc` is pooled top-1; `many`, `medium`, `few` are means
of per-class recall over classes with > 100, 20..100, < 20 **real** training photos (Kang et al. 2020), left out when empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from discl.spec.identity import short
from discl.spec.kinds import Floats, Ints

DEFINITIONS = {
    "acc": "pooled top-1 accuracy",
    "macro_acc": "mean recall over classes present in the split",
    "macro_f1": "mean F1 over classes present in the truth of the split (WILDS)",
    "worst_class_acc": "lowest recall among classes present in the split",
    "many_acc": "mean recall over classes with more than 100 real training photos",
    "medium_acc": "mean recall over classes with 20 to 100 real training photos",
    "few_acc": "mean recall over classes with fewer than 20 real training photos",
    "ood": "plain mean over the corrupted splits",
    "adjusted": "logits minus the log of the real training shares (Menon et al. 2021), then as without the prefix",
}
DEFINITIONS_ID = short(DEFINITIONS)

Matrix = np.ndarray[Any, np.dtype[np.int64]]


def confusion(truth: Ints, guess: Ints, classes: int) -> Matrix:
    """Counts [classes, classes]; line = truth, column = guess."""
    return np.bincount(truth * classes + guess, minlength=classes * classes).reshape(classes, classes)


def recalls(matrix: Matrix) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Recall of each class [classes]; NaN for a class the split does not hold."""
    held = matrix.sum(1)
    return np.where(held > 0, matrix.diagonal() / np.maximum(held, 1), np.nan)


def macro_f1(matrix: Matrix) -> float:
    """Mean F1 over classes present in the truth: a false alarm costs only classes that are there."""
    hits, held, called = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    scores = 2 * hits / np.maximum(held + called, 1)
    return float(scores[held > 0].mean())


def split_metrics(truth: Ints, guess: Ints, counts: Ints) -> dict[str, float]:
    """All metrics of one split, without prefix; `counts` are the real training photos per class."""
    matrix = confusion(truth, guess, len(counts))
    recall = recalls(matrix)
    values = {
        "acc": float(matrix.diagonal().sum() / matrix.sum()),
        "macro_acc": float(np.nanmean(recall)),
        "macro_f1": macro_f1(matrix),
        "worst_class_acc": float(np.nanmin(recall)),
    }
    groups = {"many_acc": counts > 100, "medium_acc": (counts >= 20) & (counts <= 100), "few_acc": counts < 20}
    for name, members in groups.items():
        held = recall[members & ~np.isnan(recall)]
        if len(held):
            values[name] = float(held.mean())
    return values


def adjust(logits: Floats, counts: Ints) -> Floats:
    """Post-hoc logit adjustment (Menon et al. 2021, tau = 1)."""
    shares = np.maximum(counts, 1) / counts.sum()
    return np.asarray(logits - np.log(shares)[None, :].astype(np.float32), np.float32)


def all_metrics(predictions: Mapping[str, Any], counts: Ints) -> dict[str, float]:
    """`<split>/<metric>` for every split in `predictions` (keys `<split>/logits` and `<split>/labels`), the mean over
    corruptions as `ood/<metric>`, and everything once more with adjusted logits as `<split>/adjusted_<metric>`. Where there are
    `<split>/wise_logits` (WiSE-FT), all of it once more as `<split>/wise_<metric>`."""
    values: dict[str, float] = {}
    for name in split_names(predictions):
        truth = predictions[f"{name}/labels"]
        for prefix, scored in _scored(predictions, name, counts):
            for key, value in split_metrics(truth, scored.argmax(1), counts).items():
                values[f"{name}/{prefix}{key}"] = value
    for key in sorted({k.rsplit("/", 1)[1] for k in values if k.startswith("ood/")}):
        listed = [v for k, v in values.items() if k.startswith("ood/") and k.rsplit("/", 1)[1] == key]
        values[f"ood/{key}"] = float(np.mean(listed))
    return values


def _scored(predictions: Mapping[str, Any], name: str, counts: Ints) -> Iterator[tuple[str, Floats]]:
    """Logits of a split under every prefix: the run's own, those of interpolated weights where there are any, and both adjusted."""
    for prefix in ("", "wise_"):
        if (logits := predictions.get(f"{name}/{prefix}logits")) is not None:
            yield prefix, logits
            yield f"{prefix}adjusted_", adjust(logits, counts)


def class_recalls(predictions: Mapping[str, Any], split: str, classes: int) -> list[float | None]:
    """Recall per class of one split; None for a class it does not hold."""
    matrix = confusion(predictions[f"{split}/labels"], predictions[f"{split}/logits"].argmax(1), classes)
    return [None if np.isnan(value) else float(value) for value in recalls(matrix)]


def split_names(predictions: Mapping[str, Any]) -> list[str]:
    """The splits a set of predictions covers."""
    return [key.removesuffix("/logits") for key in predictions if key.endswith("/logits")]
