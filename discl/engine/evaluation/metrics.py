"""Every number of a result, from confusion counts.

The metrics are parts and are handed in by name; each says how it is computed, and a result holds
the id of all these definitions. What cannot be measured (no class, no group) is left out: it is
never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from discl.core.class_counts import ClassCounts
from discl.core.conventions import base_name, prefixes_of
from discl.core.errors import UserError
from discl.core.hashing import short
from discl.core.interfaces import NO_GROUP, Ints, Metric
from discl.engine.evaluation.confusion import ConfusionCounts

Metrics = Mapping[str, Metric]  # name -> metric
# the wording is hashed into every result, so it stays: `ood` says corrupted splits and means all
# splits in ood/
ALWAYS_DEFINED = {
    "ood": "plain mean over the corrupted splits",
    "adjusted": (
        "logits minus the log of the real training shares (Menon et al. 2021), then as without the"
        " prefix"
    ),
}
WHERE_USED = {
    "wise": (
        "weights between the first and the chosen ones (Wortsman et al. 2022), where val likes them"
        " best, then as without the prefix"
    ),
    "unseen": "where logits are adjusted, a class without a training photo keeps its own",
}


def definitions(measured: Iterable[str], counts: Ints, metrics: Metrics) -> dict[str, str]:
    """Definitions of the numbers of a result (`<split>/<metric>`), by name.

    `counts` [c] are the real training photos of each class. Metrics of every run are always among
    them: that a dataset has no few-shot class changes no definition. Raises UserError for a number
    whose metric is not among `metrics`.
    """
    measured = list(measured)
    defined = {name for name, metric in metrics.items() if metric.always and not metric.by_group}
    used = {base_name(key) for key in measured} - defined
    if unknown := sorted(used - set(metrics)):
        raise UserError(
            f"metric {unknown[0]!r} is not installed here; install the package that provides it"
        )
    notes = {prefix.removesuffix("_") for key in measured for prefix in prefixes_of(key)}
    notes -= set(ALWAYS_DEFINED)
    if (counts == 0).any():
        notes.add("unseen")
    return {
        **{name: defined_as(metrics[name]) for name in metrics if name in defined},
        **ALWAYS_DEFINED,
        **{name: defined_as(metrics[name]) for name in sorted(used)},
        **{name: WHERE_USED[name] for name in sorted(notes)},
    }


def defined_as(metric: Metric) -> str:
    """The definition of a metric; a later version of the same wording is another definition."""
    if metric.version == 1:
        return metric.definition
    return f"{metric.definition} (version {metric.version})"


def definitions_id(measured: Iterable[str], counts: Ints, metrics: Metrics) -> str:
    """Id of `definitions`; `counts` [c]. Results with the same id can stand in one table."""
    return short(definitions(measured, counts, metrics))


# ---------------------------------------------------------------- one split


def count_classes(
    truth: Ints, guess: Ints, classes: int, photos: Ints | None = None
) -> ClassCounts:
    """Counts [c] of true labels [n] and predicted labels [n].

    Row i stands for `photos[i]` photos, one where `photos` is left out.
    """
    right = truth == guess
    columns = (
        (truth[right], photos if photos is None else photos[right]),
        (truth, photos),
        (guess, photos),
    )
    return ClassCounts(
        *(np.bincount(labels, weights, classes).astype(np.int64) for labels, weights in columns)
    )


def count_groups(
    truth: Ints, guess: Ints, groups: Ints, classes: int, photos: Ints | None = None
) -> ClassCounts:
    """Counts [g, c] as of `count_classes`, for each group apart; groups [n] in ascending order."""
    names, index = np.unique(groups, return_inverse=True)
    offset = index * classes  # each group's classes are its own
    counted = count_classes(offset + truth, offset + guess, len(names) * classes, photos)
    return ClassCounts(*(column.reshape(len(names), classes) for column in counted))


def split_metrics(
    truth: Ints,
    guess: Ints,
    counts: Ints,
    metrics: Metrics,
    groups: Ints | None = None,
    photos: Ints | None = None,
) -> dict[str, float]:
    """Metrics of one split by name, without prefix; what cannot be measured is left out.

    Labels `truth`, `guess` and `groups` are [n]; row i stands for `photos[i]` photos, one where
    `photos` is left out. `counts` [c] are the real training photos per class. Photos without a
    group are in no group's metrics.
    """
    if not len(truth):
        return {}
    by_class = count_classes(truth, guess, len(counts), photos)
    by_group = None
    given = None if groups is None else groups != NO_GROUP
    if groups is not None and given is not None and given.any():
        weights = None if photos is None else photos[given]
        by_group = count_groups(truth[given], guess[given], groups[given], len(counts), weights)
    values = {}
    for name, metric in metrics.items():
        counted = by_group if metric.by_group else by_class
        if counted is not None:
            value = float(metric.compute(counted, counts))
            if not np.isnan(value):
                values[name] = value
    return values


def for_split(metrics: Metrics, split: str) -> dict[str, Metric]:
    """Those metrics that are computed on a split."""
    return {
        name: metric
        for name, metric in metrics.items()
        if any(fnmatchcase(split, pattern) for pattern in metric.splits)
    }


def of_predictions(metrics: Metrics) -> dict[str, Metric]:
    """Those metrics that depend on more than the labels."""
    return {name: metric for name, metric in metrics.items() if not metric.labels_only}


# ---------------------------------------------------------------- a whole run


def metrics_of(
    confusions: Iterable[ConfusionCounts], counts: Ints, metrics: Metrics
) -> dict[str, float]:
    """`<split>/<metric>` for every split; `counts` [c] are the real training photos of each class.

    `ood/<metric>` is the plain mean over the splits of ood/ that have the metric. Everything comes
    once more with adjusted logits, as `<split>/adjusted_<metric>`, and where weights were
    interpolated (WiSE-FT), all of it once more as `<split>/wise_<metric>`.
    """
    values: dict[str, float] = {}
    for confusion in confusions:
        split = confusion.split
        wanted = for_split(metrics, split)
        measured = split_metrics(
            confusion.truth, confusion.guess, counts, wanted, confusion.groups, confusion.photos
        )
        for name, value in measured.items():
            prefix = "" if wanted[name].labels_only else confusion.prefix
            values[f"{split}/{prefix}{name}"] = value
    elsewhere = [key for key in values if key.startswith("ood/")]
    for name in sorted({key.rsplit("/", 1)[1] for key in elsewhere}):
        listed = [values[key] for key in elsewhere if key.rsplit("/", 1)[1] == name]
        values[f"ood/{name}"] = float(np.mean(listed))
    return values


def sampling_errors(
    confusions: Iterable[ConfusionCounts],
    splits: Iterable[str],
    counts: Ints,
    metrics: Metrics,
    draws: int = 200,
) -> dict[str, float]:
    """Standard error of `<split>/<metric>` from the choice of test photos alone.

    As many photos are drawn again with replacement. Of the metrics that need no groups; `counts`
    [c] are the real training photos. What another seed would have done is not in it.
    """
    resampled = {
        name: metric for name, metric in of_predictions(metrics).items() if not metric.by_group
    }
    errors: dict[str, float] = {}
    for confusion in confusions:
        total = int(confusion.photos.sum())
        if confusion.split not in splits or not total:
            continue
        drawn = np.random.default_rng(0).multinomial(total, confusion.photos / total, draws)
        samples = [
            count_classes(confusion.truth, confusion.guess, len(counts), photos) for photos in drawn
        ]
        sampled = ClassCounts(*(np.stack(columns) for columns in zip(*samples, strict=True)))
        for name, metric in for_split(resampled, confusion.split).items():
            values = metric.compute(sampled, counts)
            known = values[~np.isnan(values)]
            if len(known) > 1:
                errors[f"{confusion.split}/{confusion.prefix}{name}"] = float(np.std(known, ddof=1))
    return errors


def class_recalls(predictions: Mapping[str, Any], split: str, classes: int) -> list[float | None]:
    """Recall of each class on one split; None for a class it does not hold.

    `predictions` holds `<split>/labels` [n] and `<split>/logits` [n, c].
    """
    labels = predictions[f"{split}/labels"]
    recall = count_classes(labels, predictions[f"{split}/logits"].argmax(1), classes).recall
    return [None if np.isnan(value) else float(value) for value in recall]
