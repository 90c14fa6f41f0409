"""Which columns a leaderboard has, and what they mean.

The metric that chose the epoch comes first, then what the results hold, then the metrics that the
benchmark names in metrics.extra.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from discl.config.benchmark import MetricsTable
from discl.core.conventions import SHOTS, id_test_split
from discl.core.errors import UserError
from discl.core.result import Result
from discl.core.text import listed
from discl.harness.run.result_parts import metrics_of_result

SHOT_COLUMNS = ("many_acc", "medium_acc", "few_acc")
WORST_GROUP = ("worst_group_acc", "worst_group_macro_f1")
# of a benchmark that chooses by it; any other shows the accuracy of the worst group
WORST_GROUP_BESIDE = {"macro_f1": "worst_group_macro_f1"}
CORRUPTED = re.compile(r"ood/[a-z_]+-\d")  # corruptions are named by family and severity
# titles that are shown where there is little room
BRIEF = ("all", "few", "ood", "worst group", "worst group, ood")


class BoardColumns(NamedTuple):
    """Columns of a leaderboard, and its caption."""

    titles: dict[str, str]  # metric -> title, in order
    differences: tuple[str, ...]  # metrics that are also shown against the baselines
    caption: str
    lower_is_better: frozenset[str]  # of the metrics with a title


def of(results: Sequence[Result]) -> BoardColumns:
    """The columns for results that may stand in one table.

    Raises UserError where they have none of the metrics of a table.
    """
    choice = _ColumnChoice(results)
    return BoardColumns(choice.titles, choice.differences, choice.caption, choice.lower_is_better)


class _ColumnChoice:
    """Results that agree on everything but strategy and seed, so that the first represents all."""

    def __init__(self, results: Sequence[Result]) -> None:
        first = results[0]
        self.values = {
            key: value for result in reversed(results) for key, value in result.metrics.items()
        }
        self.packed = first.confusion_counts
        self.splits = sorted({key.rsplit("/", 1)[0] for key in self.values} - {"ood"})
        self.id_test = id_test_split(self.splits)
        self.metrics = metrics_of_result(first)
        self.conventions = MetricsTable(**first.identity.get("metrics", {}))
        self.chosen = str(first.identity["select"]["metric"]).removeprefix("val/")
        chosen = self.metrics.get(self.chosen)
        self.overall = self.chosen if chosen and chosen.overall else "macro_acc"
        beside = WORST_GROUP_BESIDE.get(self.overall, "worst_group_acc")
        self.worst = self.chosen if self.chosen in WORST_GROUP else beside
        self.frozen = first.identity.get("backbone", {}).get("parameters", {}).get("frozen", False)
        self.grouped = f"{self.id_test}/{self.worst}" in self.values
        candidates: dict[str, tuple[str, str]] = {}  # column -> metric, title
        for column, metric, title in self._candidates():
            candidates.setdefault(column, (metric, title))
        shown = {key: pair for key, pair in candidates.items() if key in self.values}
        self.titles = {column: title for column, (_, title) in shown.items()}
        self.lower_is_better = frozenset(
            column
            for column, (metric, _) in shown.items()
            if metric in self.metrics and self.metrics[metric].better == "lower"
        )
        if not self.titles:
            raise UserError(
                f"{first.name} has none of the metrics a board shows, such as"
                f" {self.id_test}/{self.chosen}; run it again"
            )

    def _candidates(self) -> Iterator[tuple[str, str, str]]:
        """(column, metric, title) of every column there may be, in order."""
        id_test = self.id_test
        overall = self.overall
        worst = self.worst
        worst_id_test = worst if self.grouped else "worst_class_acc"
        for metric in (self.chosen, overall, *SHOT_COLUMNS, worst_id_test):
            yield f"{id_test}/{metric}", metric, self._title(metric)
        for metric in self._extra():
            yield f"{id_test}/{metric}", metric, self._title(metric)
        yield f"ood/{overall}", overall, "ood"
        yield f"ood/{worst}", worst, "worst group, ood"
        for metric in self._extra():
            yield f"ood/{metric}", metric, f"{self._title(metric)}, ood"
        yield f"{id_test}/adjusted_{overall}", overall, "all, adjusted"
        yield f"{id_test}/wise_{overall}", overall, "all, wise"
        yield f"ood/wise_{overall}", overall, "ood, wise"

    def _title(self, metric: str) -> str:
        if metric == self.overall:
            return "all"
        return self.metrics[metric].title if metric in self.metrics else metric

    def _extra(self) -> list[str]:
        """Metrics of metrics.extra that are shares. Counts are no columns."""
        return [
            name
            for name in self.conventions.extra
            if self.metrics[name].unit == "share" and not self.metrics[name].labels_only
        ]

    @property
    def differences(self) -> tuple[str, ...]:
        """The metric that chose the epoch, and accuracy on few-shot classes.

        With groups, or without few-shot classes, also the metric on out-of-distribution photos.
        """
        few = f"{self.id_test}/few_acc"
        listed = [f"{self.id_test}/{self.chosen}", few]
        if self.grouped or few not in self.titles:
            listed.append(f"ood/{self.overall}")
        return tuple(dict.fromkeys(metric for metric in listed if metric in self.titles))

    @property
    def caption(self) -> str:
        """Sentences on the columns that are there."""
        sentences = [
            *self._overall_sentences(),
            *self._group_sentences(),
            *self._ood_sentences(),
            *self._variant_sentences(),
            *self._extra_sentences(),
        ]
        frozen = " Frozen features: heads only." if self.frozen else ""
        return f"{'; '.join(sentences)}.{frozen}"

    def _words(self, metric: str) -> str:
        return self.metrics[metric].title

    def _overall_sentences(self) -> Iterator[str]:
        if "all" in self.titles.values():
            yield f"`all` is {self._words(self.overall)} on {self.id_test}"
        rule = SHOTS[self.conventions.shots]
        numbers = {
            name: photos for name, photos in rule.words().items() if name in self.titles.values()
        }
        if numbers:
            be = "are" if len(numbers) > 1 else "is"
            pooled = ", pooled over their photos" if rule.pooled else ""
            yield (
                f"{listed(numbers)} {be} classes with {listed(numbers.values())} real training"
                f" photos{pooled}"
            )

    def _group_sentences(self) -> Iterator[str]:
        if not self.grouped:
            return
        smallest = self.conventions.min_group_size
        measured = self._words("macro_f1" if self.worst.endswith("f1") else "acc")
        yield (
            f"`worst group` is the lowest {measured} of a group of at least {smallest} photos:"
            f" {self._groups(self.id_test)}"
        )
        left_out = [
            name
            for name in self.splits
            if name.startswith("ood/")
            and not CORRUPTED.fullmatch(name)
            and f"{name}/groups_scored" not in self.values
        ]
        if left_out:
            be = "is" if len(left_out) == 1 else "are"
            yield (
                f"{listed(left_out)} {be} in no worst group: photos are of one group, or of none"
            )

    def _ood_sentences(self) -> Iterator[str]:
        splits = [name for name in self.splits if name.startswith("ood/")]
        if "ood" in self.titles.values():
            measured = self._words(self.overall)
            if all(CORRUPTED.fullmatch(name) for name in splits):
                yield "`ood` is the plain mean over the corrupted test sets"
            elif len(splits) == 1:
                yield f"`ood` is {measured} on {splits[0]}"
            else:
                yield f"`ood` is the plain mean of {measured} over {listed(splits)}"
        if "worst group, ood" in self.titles.values():
            scored = [
                f"{name}: {self._groups(name)}"
                for name in splits
                if f"{name}/{self.worst}" in self.values
            ]
            how = "the same" if len(scored) == 1 else "the mean of the lowest"
            yield f"`worst group, ood` is {how} on {listed(scored)}"

    def _variant_sentences(self) -> Iterator[str]:
        if "all, adjusted" in self.titles.values():
            yield "`adjusted` adds post-hoc logit adjustment to the same predictions"
        elif self._corrects_prior():
            yield "no column is adjusted after training, since training has put the prior in"
        if {"all, wise", "ood, wise"} & set(self.titles.values()):
            yield "`wise` mixes the trained weights with those the network started from (WiSE-FT)"

    def _corrects_prior(self) -> bool:
        """Whether training corrected the prior: then predictions hold no adjusted ones."""
        return not any("adjusted_" in key for key in self.values) and bool(self.packed)

    def _extra_sentences(self) -> Iterator[str]:
        for name in self._extra():
            key = f"{self.id_test}/{name}"
            if key in self.titles and name != self.overall:
                lower = " (lower is better)" if key in self.lower_is_better else ""
                yield f"`{self.titles[key]}` is {self.metrics[name].definition}{lower}"

    def _groups(self, split: str) -> str:
        scored = self.values[f"{split}/groups_scored"]
        smallest = self.values[f"{split}/smallest_group"]
        if scored == 1:
            return f"there is 1, of {smallest:g} photos, and so no choice"
        return f"{scored:g} of them, the smallest of {smallest:g}"
