"""Which classes are hard, how many photos images are made from, and what made those images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discl.config.identity import which_are_kept
from discl.core.errors import UserError
from discl.core.levels import PHOTO
from discl.core.registry import bind, names
from discl.core.result import Result
from discl.core.text import listed, typed
from discl.engine.hard_mining import select, training_photos
from discl.harness.leaderboard import statistics
from discl.harness.leaderboard.setting import training_data_of
from discl.harness.leaderboard.statistics import Estimate
from discl.harness.report.comparison import Comparison
from discl.harness.report.tables.group_scores import shown_strategies

MOST_CLASSES = 40  # lines of the table


class ClassLine(NamedTuple):
    """A class, its photos, and how well the shown strategies know it."""

    name: str
    photos: int  # real training photos
    hard: int | None  # of them images are made from; None = only models can tell
    recalls: list[Estimate]  # of each shown strategy, fractions


class HardClasses(NamedTuple):
    """Classes, those with fewest photos first, and the images of the runs."""

    shown: list[str]
    lines: list[ClassLine]  # at most 40
    total: int  # classes with a training photo
    sentence: str  # why hard photos are not counted; "" where they are
    images: dict[str, str]  # word -> fact on the generated images; empty where runs use none


def hard_classes(comparison: Comparison) -> HardClasses | None:
    """The classes of a comparison; None where its results say nothing of their photos."""
    board = comparison.board
    shown = shown_strategies(comparison)
    results = {row.strategy: row.results for row in board.rows}
    if not shown or not results[shown[0]][0].counts:
        return None
    first = results[shown[0]][0]
    hard = _hard_photos(first)
    there = [label for label, count in enumerate(first.counts) if count]
    order = sorted(there, key=lambda label: (first.counts[label], label))
    lines = [
        ClassLine(
            first.classes[label],
            first.counts[label],
            None if hard is None else hard[label],
            [_recall(results[name], label) for name in shown],
        )
        for label in order[:MOST_CLASSES]
    ]
    sentence = ""
    if hard is None:
        command = typed("discl", "hard", board.benchmark, "--scale", board.scale)
        sentence = f"Which photos are hard is chosen by models; {command} lists them."
    made = [result for row in board.rows for result in row.results[:1] if _levels(result)]
    most = max(made, key=lambda result: len(_levels(result)), default=None)
    return HardClasses(shown, lines, len(order), sentence, _images(most) if most else {})


def _recall(results: list[Result], label: int) -> Estimate:
    """Recall of a class over seeds."""
    measured = [result.class_recalls[label] for result in results]
    return statistics.estimate([value for value in measured if value is not None])


def _hard_photos(result: Result) -> list[int] | None:
    """Hard photos by label; None where models choose them, or the rule is not installed."""
    chosen = result.identity.get("hard_rule", {})
    if chosen.get("name") not in names("hard_rules"):
        return None
    counts = np.array(result.counts)
    labels = np.repeat(np.arange(len(counts)), counts)
    ids = np.array([f"{row:09d}" for row in range(len(labels))])
    try:
        rule = bind("hard_rules", chosen["name"], chosen["parameters"]).build()
        if rule.models is not None:
            return None
        photos = training_photos(ids, labels, result.classes, rule, np.array(result.group_counts))
        mask = select(chosen["name"], rule, photos, None)
    except UserError:  # a rule of another version of the package
        return None
    found: list[int] = np.bincount(labels[mask], minlength=len(counts)).tolist()
    return found


def _images(result: Result) -> dict[str, str]:
    """What the images of a run are, as far as its record says it."""
    images = result.identity["images"]
    levels = [str(level) for level in _levels(result)]
    generator = images["generator"]
    settings = [f"{key} = {value}" for key, value in generator.get("parameters", {}).items()]
    facts = {
        "made by": ", ".join([generator["name"], *settings]),
        "which had seen": training_data_of(result),
        "levels": f"{listed(levels)} % of the photo",
        "images of a photo and level": str(images.get("variants", "")),
        "kept": which_are_kept(images["threshold"]) if "threshold" in images else "",
        "bank": str(result.comparability.get("bank") or ""),
    }
    return {word: fact for word, fact in facts.items() if fact}


def _levels(result: Result) -> list[int]:
    """Levels of the generated images that a run may use."""
    images = result.identity.get("images", {})
    return [level for level in images.get("levels", ()) if level != PHOTO]
