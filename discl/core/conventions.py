"""Conventions of the field, by name: shots, the epoch that is read, prefixes, the test split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from discl.core.errors import UserError, unknown

if TYPE_CHECKING:  # benchmark files are read without numpy
    import numpy as np

    from discl.core.interfaces import Ints


class Shots(NamedTuple):
    """Which classes are many, medium and few, by real training photos of the class."""

    many_from: int  # photos of the smallest class that is many
    few_to: int  # photos of the largest class that is few
    # accuracy over the photos of all classes of a group; False = mean of per-class recalls
    pooled: bool = False

    def members(self, counts: Ints) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
        """Name -> whether each class belongs to it [c], from training photos `counts` [c]."""
        many = counts >= self.many_from
        few = counts <= self.few_to
        return {"many": many, "medium": ~many & ~few, "few": few}

    def words(self) -> dict[str, str]:
        """Name -> numbers of photos, e.g. 'more than 100'."""
        most = self.many_from - 1
        least = self.few_to + 1
        return {
            "many": f"more than {most}",
            "medium": f"{least} to {most}",
            "few": f"fewer than {least}",
        }


SHOTS = {
    "kang": Shots(101, 19),  # Kang et al. 2020, LIFT, SADE, CUDA on CIFAR
    "oltr": Shots(100, 20),  # Liu et al. 2019
    "ldmlr": Shots(100, 19, pooled=True),  # LDMLR and the released code of DisCL
}


class EpochRule(NamedTuple):
    """Which epoch of a run its numbers are read at. Every run keeps the predictions of both."""

    name: str
    words: str  # as a sentence names the epoch, after "at"
    meaning: str  # a sentence below a table
    short: str  # in a title of a column
    predictions: str  # the file of a run


LAST = EpochRule(
    "last",
    "the last epoch",
    "Numbers are those of the last epoch, whatever val says; test is read once.",
    "last epoch",
    "last_predictions.npz",
)
VAL = EpochRule(
    "val",
    "the epoch that val chooses",
    "Epochs are chosen on val; test is read once.",
    "val's epoch",
    "predictions.npz",
)
EPOCH_RULES = {rule.name: rule for rule in (LAST, VAL)}


def epoch_rule(name: str) -> EpochRule:
    """The rule of a name; raises UserError, with the nearest name, where there is none."""
    if name not in EPOCH_RULES:
        raise unknown("rule for the epoch that is read", name, EPOCH_RULES)
    return EPOCH_RULES[name]


def other_rule(rule: EpochRule) -> EpochRule:
    """The rule that a table shows beside its own."""
    return VAL if rule is LAST else LAST


# of metric names, in this order: what was done to the logits first
PREFIXES = ("wise_", "adjusted_")


def base_name(metric: str) -> str:
    """'macro_acc' of 'ood/fog-1/adjusted_macro_acc'."""
    name = metric.rsplit("/", 1)[-1]
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def prefixes_of(metric: str) -> list[str]:
    """['wise_', 'adjusted_'] of 'test/wise_adjusted_acc'."""
    name = metric.rsplit("/", 1)[-1]
    before = name.removesuffix(base_name(metric))
    return [prefix for prefix in PREFIXES if prefix in before]


def known_id_test_split(splits: Iterable[str]) -> str | None:
    """The in-distribution test split, as `id_test_split`; None where there is none."""
    names = set(splits)
    return next((name for name in ("test", "id_test") if name in names), None)


def id_test_split(splits: Iterable[str]) -> str:
    """The in-distribution test split: `test`, or `id_test` where the field calls it so.

    Raises UserError where there is neither.
    """
    names = list(splits)
    if found := known_id_test_split(names):
        return found
    raise UserError(
        f"there is neither a test nor an id_test split among {', '.join(sorted(names)) or 'none'};"
        " a dataset needs one of them"
    )
