"""Every number of a result, from saved logits. One definition a name, and each result says the id of its definitions.

Conventions: `macro_acc` is the mean recall over classes present in the split; `macro_f1` is the WILDS rule (mean F1 over
the classes present in the truth, never-predicted classes count 0); `acc` is pooled top-1; `many`, `medium`, `few` follow the
rule that `[metrics] shots` names, by **real** training photos. What cannot be measured (no class, no group) is left out: it
is never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from discl.spec.benchmark import MetricsTable
from discl.spec.conventions import SHOTS
from discl.spec.identity import short
from discl.spec.kinds import Floats, Ints

DEFAULT = MetricsTable()
# the wording is hashed into every result: `ood` speaks of corruptions and holds for whatever lies in ood/
COMMON = {
    "acc": "pooled top-1 accuracy",
    "macro_acc": "mean recall over classes present in the split",
    "macro_f1": "mean F1 over classes present in the truth of the split (WILDS)",
    "worst_class_acc": "lowest recall among classes present in the split",
    "many_acc": "{shots} {many} real training photos",
    "medium_acc": "{shots} {medium} real training photos",
    "few_acc": "{shots} {few} real training photos",
    "ood": "plain mean over the corrupted splits",
    "adjusted": "logits minus the log of the real training shares (Menon et al. 2021), then as without the prefix",
}
FURTHER = {
    "macro_f1_union": "mean F1 over classes in the truth or among the predictions of the split (scikit-learn's default)",
    "macro_f1_all": "mean F1 over all classes of the dataset; one that is neither in the truth nor predicted counts 0",
    "classes_scored": "number of classes present in the split",
    "worst_group_acc": "lowest accuracy of a group of at least {least_group} photos; over ood/*, the mean of the splits' lowest",
    "worst_group_macro_f1": "lowest macro_f1 of a group of at least {least_group} photos; over ood/*, the mean of the splits' lowest",
    "groups_scored": "number of groups of at least {least_group} photos; over ood/*, the mean",
    "smallest_group": "photos of the smallest group of at least {least_group}; over ood/*, the mean",
    "wise": "weights between the first and the chosen ones (Wortsman et al. 2022), where val likes them best, then as without the prefix",
    "unseen": "where logits are adjusted, a class without a training photo keeps its own",
}
PREFIXES = {"wise_": "wise", "adjusted_": "adjusted"}  # of metric names, in this order; the definition says what was done to the logits

Fractions = np.ndarray[Any, np.dtype[np.float64]]


def definitions(metrics: Iterable[str], counts: Ints, conventions: MetricsTable = DEFAULT) -> dict[str, str]:
    """What the metrics of a result (`<split>/<metric>`) mean.

    The common ones are always among them: that a dataset has no few-shot class changes no definition.
    """
    said = set().union(*map(_spoken_of, metrics)) | ({"unseen"} if (counts == 0).any() else set())
    rule = SHOTS[conventions.shots]
    shots = "accuracy pooled over the photos of classes with" if rule.pooled else "mean recall over classes with"
    words = {**rule.words(), "shots": shots, "least_group": conventions.least_group}
    known = {**COMMON, **FURTHER}
    return {name: known[name].format(**words) for name in (*COMMON, *sorted(said - set(COMMON)))}


def definitions_id(metrics: Iterable[str], counts: Ints, conventions: MetricsTable = DEFAULT) -> str:
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
    return {base_name(metric)} | {meaning for prefix, meaning in PREFIXES.items() if prefix in metric.rsplit("/", 1)[1]}


# ---------------------------------------------------------------- one split


class Tally(NamedTuple):
    """Photos of each class [classes]: all that recall and F1 need, where a confusion matrix grows with the classes' square."""

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


def tally(truth: Ints, guess: Ints, classes: int) -> Tally:
    """Count a split."""
    return Tally(*(np.bincount(labels, minlength=classes) for labels in (truth[truth == guess], truth, guess)))


def split_metrics(truth: Ints, guess: Ints, counts: Ints, groups: Ints | None = None, conventions: MetricsTable = DEFAULT) -> dict[str, float]:
    """All metrics of one split, without prefix; `counts` are the real training photos per class."""
    if not len(truth):
        return {}
    found = tally(truth, guess, len(counts))
    values = {
        "acc": float(found.hits.sum() / found.held.sum()),
        "macro_acc": float(np.nanmean(found.recall)),
        "macro_f1": float(found.f1[found.held > 0].mean()),
        "worst_class_acc": float(np.nanmin(found.recall)),
        **_shot_metrics(found, counts, conventions.shots),
    }
    others = {"macro_f1_union": float(found.f1[found.held + found.called > 0].mean()), "macro_f1_all": float(found.f1.mean())}
    values |= {name: value for name, value in others.items() if name in conventions.also}
    return values if groups is None else values | _group_metrics(truth, guess, groups, len(counts), conventions.least_group)


def _shot_metrics(found: Tally, counts: Ints, rule: str) -> dict[str, float]:
    values = {}
    for name, members in SHOTS[rule].members(counts).items():
        mine = members & (found.held > 0)
        if mine.any():
            pooled = found.hits[mine].sum() / found.held[mine].sum()
            values[f"{name}_acc"] = float(pooled if SHOTS[rule].pooled else found.recall[mine].mean())
    return values


def _group_metrics(truth: Ints, guess: Ints, groups: Ints, classes: int, least: int) -> dict[str, float]:
    """The worst of the groups that are large enough; nothing where none is."""
    _, place, size = np.unique(groups, return_inverse=True, return_counts=True)
    enough = size >= least
    if not enough.any():
        return {}
    rows = enough[place]
    group, shape = (np.cumsum(enough) - 1)[place[rows]], (int(enough.sum()), classes)
    found = tally(group * classes + truth[rows], group * classes + guess[rows], shape[0] * classes)  # each group's classes are its own
    hits, held, f1 = (column.reshape(shape) for column in (found.hits, found.held, found.f1))
    return {
        "worst_group_acc": float((hits.sum(1) / held.sum(1)).min()),
        "worst_group_macro_f1": float((np.where(held > 0, f1, 0).sum(1) / (held > 0).sum(1)).min()),
    }


def support(truth: Ints, groups: Ints | None, conventions: MetricsTable = DEFAULT) -> dict[str, float]:
    """How much the metrics of a split rest on; no prediction changes it."""
    values = {"classes_scored": float(len(np.unique(truth)))} if "classes_scored" in conventions.also else {}
    if groups is not None:
        size = np.unique(groups, return_counts=True)[1]
        enough = size[size >= conventions.least_group]
        values["groups_scored"] = float(len(enough))
        values |= {"smallest_group": float(enough.min())} if len(enough) else {}
    return values


# ---------------------------------------------------------------- a whole run


def adjust(logits: Floats, counts: Ints) -> Floats:
    """Post-hoc logit adjustment (Menon et al. 2021, tau = 1).

    A class without a training photo has no prior to divide by and keeps its logit: dividing by a share of almost nothing
    would make it the most favoured of all, and no prediction turns to such a class here.
    """
    shares = np.where(counts > 0, counts / counts.sum(), 1.0)
    return np.asarray(logits - np.log(shares)[None, :].astype(np.float32), np.float32)


def all_metrics(predictions: Mapping[str, Any], counts: Ints, conventions: MetricsTable = DEFAULT) -> dict[str, float]:
    """`<split>/<metric>` for every split in `predictions` (keys `<split>/logits`, `<split>/labels` and, where there are
    several, `<split>/groups`), the plain mean over the splits of ood/ that have a metric as `ood/<metric>`, and everything
    once more with adjusted logits as `<split>/adjusted_<metric>`. Where there are `<split>/wise_logits` (WiSE-FT), all of it
    once more as `<split>/wise_<metric>`."""
    values: dict[str, float] = {}
    for name in split_names(predictions):
        truth, groups = predictions[f"{name}/labels"], predictions.get(f"{name}/groups")
        for prefix, scored in _scored(predictions, name, counts):
            for key, value in split_metrics(truth, scored.argmax(1), counts, groups, conventions).items():
                values[f"{name}/{prefix}{key}"] = value
        values |= {f"{name}/{key}": value for key, value in support(truth, groups, conventions).items()}
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
    found = tally(predictions[f"{split}/labels"], predictions[f"{split}/logits"].argmax(1), classes)
    return [None if np.isnan(value) else float(value) for value in found.recall]


def split_names(predictions: Mapping[str, Any]) -> list[str]:
    """The splits a set of predictions covers."""
    return [key.removesuffix("/logits") for key in predictions if key.endswith("/logits")]
