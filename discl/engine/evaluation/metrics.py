"""Every number of a result, from what was predicted.

One definition a name, and each result says the id of its definitions.

Conventions: `macro_acc` is the mean recall over classes present in the split; `macro_f1` is the
WILDS rule (mean F1 over the classes present in the truth, never-predicted classes count 0); `acc`
is pooled top-1; `many`, `medium`, `few` follow the rule that `[metrics] shots` names, by **real**
training photos. What cannot be measured (no class, no group) is left out: it is never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from discl.config.benchmark import MetricsTable
from discl.core.conventions import SHOTS
from discl.core.hashing import short
from discl.core.interfaces import Ints
from discl.engine.evaluation.confusion import ConfusionCounts, count_predictions

DEFAULT = MetricsTable()
# the wording is hashed into every result: `ood` speaks of corruptions and holds for whatever lies
# in ood/
COMMON = {
    "acc": "pooled top-1 accuracy",
    "macro_acc": "mean recall over classes present in the split",
    "macro_f1": "mean F1 over classes present in the truth of the split (WILDS)",
    "worst_class_acc": "lowest recall among classes present in the split",
    "many_acc": "{shots} {many} real training photos",
    "medium_acc": "{shots} {medium} real training photos",
    "few_acc": "{shots} {few} real training photos",
    "ood": "plain mean over the corrupted splits",
    "adjusted": (
        "logits minus the log of the real training shares (Menon et al. 2021), then as without the"
        " prefix"
    ),
}
FURTHER = {
    "macro_f1_union": (
        "mean F1 over classes in the truth or among the predictions of the split (scikit-learn's"
        " default)"
    ),
    "macro_f1_all": (
        "mean F1 over all classes of the dataset; one that is neither in the truth nor predicted"
        " counts 0"
    ),
    "classes_scored": "number of classes present in the split",
    "worst_group_acc": (
        "lowest accuracy of a group of at least {least_group} photos; over ood/*, the mean of the"
        " splits' lowest"
    ),
    "worst_group_macro_f1": (
        "lowest macro_f1 of a group of at least {least_group} photos; over ood/*, the mean of the"
        " splits' lowest"
    ),
    "groups_scored": "number of groups of at least {least_group} photos; over ood/*, the mean",
    "smallest_group": (
        "photos of the smallest group of at least {least_group}; over ood/*, the mean"
    ),
    "wise": (
        "weights between the first and the chosen ones (Wortsman et al. 2022), where val likes them"
        " best, then as without the prefix"
    ),
    "unseen": "where logits are adjusted, a class without a training photo keeps its own",
}
PREFIXES = {
    "wise_": "wise",
    "adjusted_": "adjusted",
}  # of metric names, in this order; the definition says what was done to the logits

Fractions = np.ndarray[Any, np.dtype[np.float64]]


def definitions(
    metrics: Iterable[str], counts: Ints, conventions: MetricsTable = DEFAULT
) -> dict[str, str]:
    """What the metrics of a result (`<split>/<metric>`) mean.

    The common ones are always among them: that a dataset has no few-shot class changes no
    definition.
    """
    said = set().union(*map(_spoken_of, metrics)) | ({"unseen"} if (counts == 0).any() else set())
    rule = SHOTS[conventions.shots]
    shots = (
        "accuracy pooled over the photos of classes with"
        if rule.pooled
        else "mean recall over classes with"
    )
    words = {**rule.words(), "shots": shots, "least_group": conventions.least_group}
    known = {**COMMON, **FURTHER}
    return {name: known[name].format(**words) for name in (*COMMON, *sorted(said - set(COMMON)))}


def definitions_id(
    metrics: Iterable[str], counts: Ints, conventions: MetricsTable = DEFAULT
) -> str:
    """Results with the same id can stand in one table."""
    return short(definitions(metrics, counts, conventions))


def base_name(metric: str) -> str:
    """'macro_acc' of 'ood/fog-1/adjusted_macro_acc'."""
    name = metric.rsplit("/", 1)[1]
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _spoken_of(metric: str) -> set[str]:
    """Names of the definitions that a metric rests on."""
    return {base_name(metric)} | {
        meaning for prefix, meaning in PREFIXES.items() if prefix in metric.rsplit("/", 1)[1]
    }


# ---------------------------------------------------------------- one split


class Tally(NamedTuple):
    """Photos of each class [..., classes]: all that recall and F1 need, where a confusion matrix
    grows with the classes' square.
    """

    hits: Ints  # called what they are
    held: Ints  # in the truth
    called: Ints  # among the predictions

    @property
    def recall(self) -> Fractions:
        """NaN for a class the split does not hold."""
        return np.where(self.held > 0, self.hits / np.maximum(self.held, 1), np.nan)

    @property
    def f1(self) -> Fractions:
        """0 for a class that is never called, or only by mistake."""
        return np.asarray(2 * self.hits / np.maximum(self.held + self.called, 1), np.float64)


def tally(truth: Ints, guess: Ints, classes: int, photos: Ints | None = None) -> Tally:
    """Count a split; `photos` says how many each row stands for, one where it is left out."""
    right = truth == guess
    columns = (
        (truth[right], photos if photos is None else photos[right]),
        (truth, photos),
        (guess, photos),
    )
    return Tally(
        *(np.bincount(labels, weights, classes).astype(np.int64) for labels, weights in columns)
    )


def split_metrics(
    truth: Ints,
    guess: Ints,
    counts: Ints,
    groups: Ints | None = None,
    conventions: MetricsTable = DEFAULT,
    photos: Ints | None = None,
) -> dict[str, float]:
    """All metrics of one split, without prefix.

    Labels `truth`, `guess` and `groups` are [n]; row i stands for `photos[i]` photos, one where
    `photos` is left out. `counts` [c] are the real training photos per class.
    """
    if not len(truth):
        return {}
    measured = _class_metrics(tally(truth, guess, len(counts), photos), counts, conventions)
    values = {name: float(value) for name, value in measured.items() if not np.isnan(value)}
    if groups is None:
        return values
    least = conventions.least_group
    return values | _group_metrics(truth, guess, groups, len(counts), least, photos)


def _class_metrics(found: Tally, counts: Ints, conventions: MetricsTable) -> dict[str, Fractions]:
    """Those that need no groups [...]; NaN where there is no photo to measure one on."""
    there = found.held > 0
    values = {
        "acc": found.hits.sum(-1) / found.held.sum(-1),
        "macro_acc": _mean(found.recall, there),
        "macro_f1": _mean(found.f1, there),
        "worst_class_acc": np.where(there, found.recall, np.inf).min(-1),
        **_shot_metrics(found, counts, conventions.shots),
    }
    others = {
        "macro_f1_union": _mean(found.f1, found.held + found.called > 0),
        "macro_f1_all": found.f1.mean(-1),
    }
    return values | {name: value for name, value in others.items() if name in conventions.also}


def _shot_metrics(found: Tally, counts: Ints, rule: str) -> dict[str, Fractions]:
    values = {}
    for name, members in SHOTS[rule].members(counts).items():
        mine = members & (found.held > 0)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: not measured
            pooled = (found.hits * mine).sum(-1) / (found.held * mine).sum(-1)
        values[f"{name}_acc"] = pooled if SHOTS[rule].pooled else _mean(found.recall, mine)
    return values


def _mean(values: Fractions, among: np.ndarray[Any, np.dtype[np.bool_]]) -> Fractions:
    """Over the classes that count; NaN where none does."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(among, values, 0.0).sum(-1) / among.sum(-1))


def _group_sizes(groups: Ints, photos: Ints | None) -> tuple[Ints, Ints]:
    """(index of the group of each row [n], photos of each group [g]); groups in ascending order."""
    names, index = np.unique(groups, return_inverse=True)
    return index, np.bincount(index, photos, len(names)).astype(np.int64)


def _group_metrics(
    truth: Ints, guess: Ints, groups: Ints, classes: int, least: int, photos: Ints | None
) -> dict[str, float]:
    """The worst of the groups that are large enough; nothing where none is."""
    place, size = _group_sizes(groups, photos)
    enough = size >= least
    if not enough.any():
        return {}
    rows = enough[place]
    group = (np.cumsum(enough) - 1)[place[rows]]
    shape = (int(enough.sum()), classes)
    found = tally(  # each group's classes are its own
        group * classes + truth[rows],
        group * classes + guess[rows],
        shape[0] * classes,
        None if photos is None else photos[rows],
    )
    hits, held, f1 = (column.reshape(shape) for column in (found.hits, found.held, found.f1))
    return {
        "worst_group_acc": float((hits.sum(1) / held.sum(1)).min()),
        "worst_group_macro_f1": float((np.where(held > 0, f1, 0).sum(1) / (held > 0).sum(1)).min()),
    }


def support(
    truth: Ints,
    groups: Ints | None,
    conventions: MetricsTable = DEFAULT,
    photos: Ints | None = None,
) -> dict[str, float]:
    """How much the metrics of a split rest on; no prediction changes it."""
    values = (
        {"classes_scored": float(len(np.unique(truth)))}
        if "classes_scored" in conventions.also
        else {}
    )
    if groups is not None:
        size = _group_sizes(groups, photos)[1]
        enough = size[size >= conventions.least_group]
        values["groups_scored"] = float(len(enough))
        values |= {"smallest_group": float(enough.min())} if len(enough) else {}
    return values


# ---------------------------------------------------------------- a whole run


def all_metrics(
    predictions: Mapping[str, Any], counts: Ints, conventions: MetricsTable = DEFAULT
) -> dict[str, float]:
    """`metrics_of` saved predictions (keys `<split>/logits`, `<split>/labels` and, where there are
    several, `<split>/groups`).
    """
    return metrics_of(count_predictions(predictions, counts), counts, conventions)


def metrics_of(
    confusions: Iterable[ConfusionCounts], counts: Ints, conventions: MetricsTable = DEFAULT
) -> dict[str, float]:
    """`<split>/<metric>` for every split, the plain mean over the splits of ood/ that have a metric
    as `ood/<metric>`, and everything once more with adjusted logits as `<split>/adjusted_<metric>`.
    Where weights were interpolated (WiSE-FT), all of it once more as `<split>/wise_<metric>`.
    """
    values: dict[str, float] = {}
    for counted in confusions:
        measured = split_metrics(
            counted.truth, counted.guess, counts, counted.groups, conventions, counted.photos
        )
        values |= {f"{counted.split}/{counted.prefix}{key}": v for key, v in measured.items()}
        rests_on = support(counted.truth, counted.groups, conventions, counted.photos)
        values |= {f"{counted.split}/{key}": value for key, value in rests_on.items()}
    for key in sorted({k.rsplit("/", 1)[1] for k in values if k.startswith("ood/")}):
        listed = [
            v for k, v in values.items() if k.startswith("ood/") and k.rsplit("/", 1)[1] == key
        ]
        values[f"ood/{key}"] = float(np.mean(listed))
    return values


def sampling_errors(
    confusions: Iterable[ConfusionCounts],
    splits: Iterable[str],
    counts: Ints,
    conventions: MetricsTable = DEFAULT,
    draws: int = 200,
) -> dict[str, float]:
    """Standard error of `<split>/<metric>` from the choice of test photos alone: as many photos
    drawn again with replacement.

    Of the metrics that need no groups. What another seed would have done is a source of its own,
    and not in it.
    """
    errors: dict[str, float] = {}
    for counted in confusions:
        if counted.split in splits and (total := int(counted.photos.sum())):
            drawn = np.random.default_rng(0).multinomial(total, counted.photos / total, draws)
            tallies = [tally(counted.truth, counted.guess, len(counts), photos) for photos in drawn]
            found = _class_metrics(
                Tally(*(np.stack(columns) for columns in zip(*tallies, strict=True))),
                counts,
                conventions,
            )
            spread = {key: values[~np.isnan(values)] for key, values in found.items()}
            errors |= {
                f"{counted.split}/{counted.prefix}{key}": float(np.std(values, ddof=1))
                for key, values in spread.items()
                if len(values) > 1
            }
    return errors


def class_recalls(predictions: Mapping[str, Any], split: str, classes: int) -> list[float | None]:
    """Recall per class of one split; None for a class it does not hold."""
    found = tally(predictions[f"{split}/labels"], predictions[f"{split}/logits"].argmax(1), classes)
    return [None if np.isnan(value) else float(value) for value in found.recall]
