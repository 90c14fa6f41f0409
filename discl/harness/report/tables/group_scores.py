"""Accuracy by group of photos, such as a camera or a site, with each strategy's worst group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from discl.core.conventions import known_id_test_split
from discl.core.interfaces import NO_GROUP
from discl.core.result import Result
from discl.engine.evaluation.confusion import unpack
from discl.harness.leaderboard import statistics
from discl.harness.leaderboard.statistics import Estimate
from discl.harness.report.comparison import MOST_SEEDS, Comparison
from discl.harness.run.result_parts import metrics_of_result

MOST_GROUPS = 200  # lines of the table
WHOLE = -2  # in place of a group: all photos of a split whose groups are not told apart

GroupKey = tuple[str, int]  # (split, group)
GroupValues = dict[GroupKey, dict[int, float]]  # accuracy by seed


class GroupLine(NamedTuple):
    """A group of test photos, scored by the strategies that the table shows."""

    name: str
    split: str
    photos: int
    large: bool  # enough photos to be somebody's worst group
    scores: list[Estimate]  # of each shown strategy, fractions
    difference: Estimate | None  # of the first shown strategy to the second, by seed


class WorstGroup(NamedTuple):
    """The group that a strategy knows least, of those with enough photos."""

    strategy: str
    name: str
    split: str
    photos: int
    score: Estimate


class GroupScores(NamedTuple):
    """All groups, the lowest accuracy of the first shown strategy first."""

    shown: list[str]  # at most two strategies: that of the headline, and the baseline
    lines: list[GroupLine]  # at most 200
    total: int  # groups there are
    least: int  # photos that a group needs to be somebody's worst
    worst: list[WorstGroup]  # of every strategy, best strategy first


def group_scores(comparison: Comparison, names: Mapping[int, str]) -> GroupScores | None:
    """Accuracy of each group of the test splits, mean over seeds; None without several groups.

    A split out of distribution without several groups, such as one camera that is held out, is a
    line as a whole, and nobody's worst group.

    `names` are those of the groups, where they are known here; others go by their number.
    """
    rows = [row for row in comparison.board.rows if not row.before]
    if not rows:
        return None
    photos: dict[GroupKey, int] = {}
    by_strategy = {row.strategy: _values(row.results[:MOST_SEEDS], photos) for row in rows}
    if len({group for _, group in photos if group >= 0}) < 2:
        return None
    least = _least(rows[0].results[0])
    shown = shown_strategies(comparison)
    large = [key for key, count in photos.items() if count >= least and key[1] >= 0]
    lines = [
        GroupLine(
            _name(group, names),
            split,
            count,
            (split, group) in large or (group == WHOLE and count >= least),
            [_estimate(by_strategy[name], (split, group)) for name in shown],
            _difference(by_strategy, shown, (split, group)),
        )
        for (split, group), count in photos.items()
    ]
    lines.sort(key=lambda line: (line.scores[0].mean, line.name))
    worst = []
    for row in rows:
        scores = {key: _estimate(by_strategy[row.strategy], key) for key in large}
        if found := [key for key, score in scores.items() if score.n]:
            key = min(found, key=lambda each: (scores[each].mean, each))
            worst.append(
                WorstGroup(row.strategy, _name(key[1], names), key[0], photos[key], scores[key])
            )
    return GroupScores(shown, lines[:MOST_GROUPS], len(lines), least, worst)


def shown_strategies(comparison: Comparison) -> list[str]:
    """The strategy of the headline, or the best one, and the baseline; one where they agree."""
    board = comparison.board
    compared = [row.strategy for row in board.rows if not row.before]
    base = board.baselines[0] if board.baselines else None
    best = comparison.headline.best or next((name for name in compared if name != base), None)
    return [name for name in dict.fromkeys((best, base)) if name in compared] or compared[:1]


def packed_counts(result: Result) -> dict[str, str]:
    """Split -> confusion counts of the predictions as they are; empty where a result has none."""
    return {split: texts[""] for split, texts in result.confusion_counts.items() if "" in texts}


def _values(results: Iterable[Result], photos: dict[GroupKey, int]) -> GroupValues:
    """Accuracy by group and seed; the groups' sizes are added to `photos`."""
    values: GroupValues = {}
    for result in results:
        packed = packed_counts(result)
        home = known_id_test_split(packed)
        for split, text in packed.items():
            counts = unpack(split, "", text) if split == home or split.startswith("ood/") else None
            if counts is None or (counts.groups is None and split == home):
                continue
            named = np.full_like(counts.truth, WHOLE) if counts.groups is None else counts.groups
            groups, place = np.unique(named, return_inverse=True)
            size = np.bincount(place, counts.photos)
            right = np.bincount(place, counts.photos * (counts.truth == counts.guess))
            for group, whole, correct in zip(
                groups.tolist(), size.tolist(), right.tolist(), strict=True
            ):
                photos[split, group] = int(whole)
                values.setdefault((split, group), {})[result.seed] = correct / whole
    return values


def _least(result: Result) -> int:
    """Photos that the column of the worst group asks of a group."""
    return int(getattr(metrics_of_result(result).get("worst_group_acc"), "min_group_size", 20))


def _estimate(values: GroupValues, key: GroupKey) -> Estimate:
    return statistics.estimate([*values.get(key, {}).values()])


def _difference(
    by_strategy: Mapping[str, GroupValues], shown: Sequence[str], key: GroupKey
) -> Estimate | None:
    if len(shown) < 2:
        return None
    first, second = (by_strategy[name].get(key, {}) for name in shown)
    return statistics.paired(first, second)


def _name(group: int, names: Mapping[int, str]) -> str:
    if group == NO_GROUP:
        return "no group"
    if group == WHOLE:
        return "all photos"
    return names.get(group, f"group {group}")
