"""Which columns a board has, and what they mean: the metric that chose the epoch first, then
whatever the results hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from discl.config.benchmark import MetricsTable
from discl.core.conventions import SHOTS, id_test_split
from discl.core.errors import UserError
from discl.core.result import Result

OVERALL = {  # metrics over all classes, as a sentence calls them
    "macro_acc": "macro accuracy",
    "macro_f1": "macro-F1",
    "macro_f1_union": "macro-F1 over classes there or predicted",
    "macro_f1_all": "macro-F1 over all classes of the dataset",
    "acc": "accuracy",
}
TITLES = {
    **dict.fromkeys(OVERALL, "all"),
    "many_acc": "many",
    "medium_acc": "medium",
    "few_acc": "few",
    "worst_group_acc": "worst group",
    "worst_group_macro_f1": "worst group",
    "worst_class_acc": "worst class",
}
WORST_GROUP = {
    "macro_f1": "worst_group_macro_f1"
}  # of a benchmark that chooses by it; otherwise by accuracy
CORRUPTED = re.compile(r"ood/[a-z_]+-\d")  # corruptions are named by family and severity


BRIEF = (
    "all",
    "few",
    "worst group",
    "ood",
    "worst group, ood",
)  # titles that do where there is little room


class Columns(NamedTuple):
    """What a board shows."""

    titles: dict[str, str]  # metric -> title, in order
    differences: tuple[str, ...]  # metrics that are also shown against the baselines
    caption: str


def of(results: Sequence[Result]) -> Columns:
    """The columns for results that may stand in one table."""
    table = _Table(results)
    return Columns(table.titles, table.differences, table.caption)


class _Table:
    """Results that agree on everything but strategy and seed, so that the first speaks for all."""

    def __init__(self, results: Sequence[Result]) -> None:
        first = results[0]
        self.values = {
            key: value for result in reversed(results) for key, value in result.metrics.items()
        }
        self.splits = sorted({key.rsplit("/", 1)[0] for key in self.values} - {"ood"})
        self.home = id_test_split(self.splits)
        self.chosen = str(first.identity["select"]["metric"]).removeprefix("val/")
        self.overall = self.chosen if self.chosen in OVERALL else "macro_acc"
        self.worst = (
            self.chosen
            if self.chosen in WORST_GROUP.values()
            else WORST_GROUP.get(self.overall, "worst_group_acc")
        )
        self.conventions = MetricsTable(**first.identity.get("metrics", {}))
        self.frozen = first.identity.get("backbone", {}).get("parameters", {}).get("frozen", False)
        self.grouped = f"{self.home}/{self.worst}" in self.values
        self.titles = {
            metric: title for metric, title in self._candidates() if metric in self.values
        }
        if not self.titles:
            raise UserError(
                f"{first.name} has none of the metrics a board shows, such as"
                f" {self.home}/{self.chosen}; run it again"
            )

    def _candidates(self) -> Iterator[tuple[str, str]]:
        home, overall, worst = self.home, self.overall, self.worst
        for metric in (
            self.chosen,
            overall,
            "many_acc",
            "medium_acc",
            "few_acc",
            worst if self.grouped else "worst_class_acc",
        ):
            yield f"{home}/{metric}", TITLES.get(metric, metric)
        yield f"ood/{overall}", "ood"
        yield f"ood/{worst}", "worst group, ood"
        yield f"{home}/adjusted_{overall}", "all, adjusted"
        yield f"{home}/wise_{overall}", "all, wise"
        yield f"ood/wise_{overall}", "ood, wise"

    @property
    def differences(self) -> tuple[str, ...]:
        """What chose the epoch and the tail; photos from elsewhere where there are groups to come
        from, or no tail.
        """
        few = f"{self.home}/few_acc"
        ood = f"ood/{self.overall}"
        listed = [
            f"{self.home}/{self.chosen}",
            few,
            *([ood] if self.grouped or few not in self.titles else []),
        ]
        return tuple(dict.fromkeys(metric for metric in listed if metric in self.titles))

    @property
    def caption(self) -> str:
        """Sentences on the columns that are there."""
        parts = [
            *self._home_said(),
            *self._groups_said(),
            *self._ood_said(),
            *self._variants_said(),
        ]
        return "; ".join(parts) + "." + (" Frozen features: heads only." if self.frozen else "")

    def _home_said(self) -> Iterator[str]:
        if "all" in self.titles.values():
            yield f"`all` is {OVERALL[self.overall]} on {self.home}"
        rule = SHOTS[self.conventions.shots]
        words = {name: said for name, said in rule.words().items() if name in self.titles.values()}
        if words:
            be = "are" if len(words) > 1 else "is"
            pooled = ", pooled over their photos" if rule.pooled else ""
            yield (
                f"{_listed(words)} {be} classes with {_listed(words.values())} real training"
                f" photos{pooled}"
            )

    def _groups_said(self) -> Iterator[str]:
        if not self.grouped:
            return
        least = self.conventions.least_group
        what = OVERALL["macro_f1" if self.worst.endswith("f1") else "acc"]
        yield (
            f"`worst group` is the lowest {what} of a group of at least {least} photos:"
            f" {self._groups(self.home)}"
        )

    def _ood_said(self) -> Iterator[str]:
        splits = [name for name in self.splits if name.startswith("ood/")]
        if "ood" in self.titles.values():
            if all(CORRUPTED.fullmatch(name) for name in splits):
                yield "`ood` is the plain mean over the corrupted test sets"
            elif len(splits) == 1:
                yield f"`ood` is {OVERALL[self.overall]} on {splits[0]}"
            else:
                yield f"`ood` is the plain mean of {OVERALL[self.overall]} over {_listed(splits)}"
        if "worst group, ood" in self.titles.values():
            scored = [
                f"{name}: {self._groups(name)}"
                for name in splits
                if f"{name}/{self.worst}" in self.values
            ]
            yield (
                "`worst group, ood` is"
                f" {'the same' if len(scored) == 1 else 'the mean of the lowest'} on"
                f" {_listed(scored)}"
            )

    def _variants_said(self) -> Iterator[str]:
        if "all, adjusted" in self.titles.values():
            yield "`adjusted` adds post-hoc logit adjustment to the same predictions"
        if {"all, wise", "ood, wise"} & set(self.titles.values()):
            yield "`wise` mixes the trained weights with those the network started from (WiSE-FT)"

    def _groups(self, split: str) -> str:
        scored, smallest = (
            self.values[f"{split}/{key}"] for key in ("groups_scored", "smallest_group")
        )
        return f"{scored:g} of them, the smallest of {smallest:g}"


def _listed(words: Iterable[str]) -> str:
    """'many, medium and few'."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
