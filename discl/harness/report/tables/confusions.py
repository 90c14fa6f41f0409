"""The pairs of classes that are mistaken for each other most often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from discl.core.conventions import known_id_test_split
from discl.core.result import Result
from discl.engine.evaluation.confusion import unpack
from discl.harness.report.comparison import MOST_SEEDS, Comparison
from discl.harness.report.tables.group_scores import packed_counts, shown_strategies

MOST_PAIRS = 8


class ConfusedPair(NamedTuple):
    """Photos of one class that are called another."""

    truth: int
    guess: int
    names: tuple[str, str]
    photos: float  # of the first shown strategy, mean over seeds
    shares: list[float | None]  # of the class's test photos, for each strategy; None = not known


class Confusions(NamedTuple):
    """The pairs with most photos, under the first shown strategy."""

    shown: list[str]
    pairs: list[ConfusedPair]


def confusions(comparison: Comparison) -> Confusions | None:
    """The most frequent mistakes on the in-distribution test photos; None where nothing is known.

    Shares are means over seeds.
    """
    rows = {row.strategy: row.results[:MOST_SEEDS] for row in comparison.board.rows}
    shown = shown_strategies(comparison)
    if not shown:
        return None
    mistakes = [_mistakes(rows[name]) for name in shown]
    classes = rows[shown[0]][0].classes
    ranked = sorted(mistakes[0].photos.items(), key=lambda item: (-item[1], item[0]))
    pairs = [
        ConfusedPair(
            truth,
            guess,
            (classes[truth], classes[guess]),
            photos,
            [each.share(truth, guess) for each in mistakes],
        )
        for (truth, guess), photos in ranked[:MOST_PAIRS]
    ]
    return Confusions(shown, pairs) if pairs else None


class _Mistakes(NamedTuple):
    photos: Mapping[tuple[int, int], float]  # (truth, guess) -> photos of a run, mean; 0 without
    actual: Mapping[int, float]  # class -> its test photos

    def share(self, truth: int, guess: int) -> float | None:
        """Of the photos of `truth`, the fraction called `guess`; None without such photos."""
        photos = self.actual.get(truth)
        return self.photos[truth, guess] / photos if photos else None


def _mistakes(results: Iterable[Result]) -> _Mistakes:
    photos: Counter[tuple[int, int]] = Counter()
    actual: Counter[int] = Counter()
    runs = 0
    for result in results:
        packed = packed_counts(result)
        split = known_id_test_split(packed)
        if split is None:
            continue
        counts = unpack(split, "", packed[split])
        runs += 1
        for label, count in enumerate(np.bincount(counts.truth, counts.photos).tolist()):
            actual[label] += int(count)
        wrong = counts.truth != counts.guess
        columns = (counts.truth[wrong], counts.guess[wrong], counts.photos[wrong])
        for truth, guess, count in zip(*(each.tolist() for each in columns), strict=True):
            photos[truth, guess] += count
    mean = {pair: count / runs for pair, count in photos.items()}
    return _Mistakes(Counter(mean), {label: count / runs for label, count in actual.items()})
