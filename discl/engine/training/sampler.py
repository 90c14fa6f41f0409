"""Epoch plans: an epoch is decided as three integer columns before a pixel is read.

Targets (paper, section A.4.1):
- an epoch has as many images for every strategy, so that every strategy gets as many optimiser
  steps;
- the share of images from hard photos is `tail_share`; by default that of hard classes among
  classes (136/1000 in the paper);
- within it, hard classes get equal shares, every hard photo appears once, and the rest is synthetic
  at the levels of the mix;
- no image is used more than `max_repeats` times an epoch; what a class cannot fill goes to the
  other photos.

Where single photos are hard and not whole classes, both are generalised (`tail_shares`): counted by
classes, a class weighs as much as the share of its photos that is hard; counted by photos, as many
as its hard photos are, so that nothing is rebalanced.

Two of these can be switched off, because the paper's Algorithm 2 and its code do without them:
`keep_hard_real` = False leaves the hard photos to the mix, and `include_easy` = False leaves out
all photos that are not hard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Ints, Mix
from discl.core.levels import PHOTO
from discl.engine.level_images import LevelImages


class Plan(NamedTuple):
    """The images of one epoch, in training order."""

    row: Ints  # [n], row in the training split
    level: Ints  # [n], 100 = the photo
    position: Ints  # [n], position in the level's pixels; -1 for the photo

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True)
class Targets:
    """Rules that fill an epoch; see the text of the module."""

    images: int
    # split evenly over the hard classes, or given for each (label -> share of the epoch)
    tail_share: float | Mapping[int, float]
    max_repeats: int
    keep_hard_real: bool = True  # every hard photo appears once, whatever the mix says
    include_easy: bool = True  # photos that are not hard fill the rest


@dataclass(frozen=True)
class SamplerView:
    """The training split as the sampler sees it."""

    labels: Ints  # [n]
    hard: NDArray[np.bool_]  # [n]
    excluded: frozenset[int] = frozenset()  # rows kept out of training: those of a probe

    @property
    def hard_labels(self) -> list[int]:
        """Labels of classes with a hard photo, ascending."""
        return sorted({int(label) for label in self.labels[self.hard]})


def plan_epoch(
    view: SamplerView,
    mix: Mix,
    images: Mapping[int, LevelImages],
    targets: Targets,
    rebalanced: bool,
    rng: np.random.Generator,
) -> Plan:
    """Decide an epoch of exactly `targets.images` images; `images` are the bank's by level."""
    excluded = np.fromiter(view.excluded, np.int64, len(view.excluded))
    rows = np.setdiff1d(np.arange(len(view.labels)), excluded)
    hard = view.hard[rows]
    if not rebalanced or not hard.any():
        drawn = _even_draws(rows, targets.images, len(rows) * targets.images, rng)
        return _shuffled([_photos(drawn)], rng)
    parts: list[Plan] = []
    for label, count in _images_by_class(view.hard_labels, targets).items():
        class_rows = rows[(view.labels[rows] == label) & hard]
        parts.extend(_fill_class(class_rows, count, mix, images, targets, rng))
    left = targets.images - sum(map(len, parts))
    rest = rows[~hard if targets.include_easy else hard]
    # where a class is all there is, its photos fill the epoch whatever the cap says: the number of
    # steps is the promise
    parts.append(_photos(_even_draws(rest if len(rest) else rows, left, left, rng)))
    return _shuffled(parts, rng)


def _images_by_class(hard_labels: Sequence[int], targets: Targets) -> dict[int, int]:
    """Images of each hard class."""
    share = targets.tail_share
    if isinstance(share, Mapping):
        total = sum(share.values())
        weights = {label: share[label] / total for label in hard_labels}
        return _apportion(weights, round(targets.images * (total if targets.include_easy else 1)))
    images = round(targets.images * (share if targets.include_easy else 1))
    return dict(zip(hard_labels, _split_evenly(images, len(hard_labels)), strict=True))


def tail_shares(
    view: SamplerView, classes: int, share: float | str, weighting: str, synthetic_per_real: float
) -> float | dict[int, float]:
    """`Targets.tail_share` of a training split.

    `share` is a number, or what it is counted by: "classes" or "photos". `weighting` is what it is
    split by over the classes, one of the same two. Counted by photos, it is the share of the hard
    photos with `synthetic_per_real` synthetic images of each, among all images.
    """
    hard = np.bincount(view.labels[view.hard], minlength=classes)
    photos = np.bincount(view.labels, minlength=classes)
    if not isinstance(share, float):
        share = _SHARES[share](hard, photos, synthetic_per_real)
    weights = _WEIGHTS[weighting](hard, photos)[hard > 0]
    if len(set(weights.tolist())) <= 1:
        return share
    shares = (share * weights / weights.sum()).tolist()
    return dict(zip(np.flatnonzero(hard).tolist(), shares, strict=True))


def _share_of_classes(hard: Ints, photos: Ints, synthetic_per_real: float) -> float:
    return float(_by_classes(hard, photos).sum()) / len(hard)


def _share_of_photos(hard: Ints, photos: Ints, synthetic_per_real: float) -> float:
    tail = float(hard.sum()) * (1 + synthetic_per_real)
    return tail / (tail + float((photos - hard).sum()))


def _by_classes(hard: Ints, photos: Ints) -> NDArray[np.float64]:
    """1 for a class that is hard as a whole, as under the tail rule."""
    return hard / np.maximum(photos, 1)


def _by_photos(hard: Ints, photos: Ints) -> NDArray[np.float64]:
    return hard.astype(np.float64)


_SHARES = {"classes": _share_of_classes, "photos": _share_of_photos}
_WEIGHTS = {"classes": _by_classes, "photos": _by_photos}


def _fill_class(
    rows: Ints,
    count: int,
    mix: Mix,
    images: Mapping[int, LevelImages],
    targets: Targets,
    rng: np.random.Generator,
) -> list[Plan]:
    """`count` images of one hard class, whose hard photos are `rows`: each once, then the mix.

    Levels without an image of the class fall back to photos.
    """
    if not len(rows):
        return []
    once = rng.permutation(rows)[: count if targets.keep_hard_real else 0]
    parts = [_photos(once)]
    photos = 0
    for level, share in _apportion(mix, count - len(once)).items():
        pool = np.empty(0, np.int64)
        if level != PHOTO and level in images:
            pool = np.flatnonzero(np.isin(images[level].row, rows))
        if not len(pool):
            photos += share
            continue
        drawn = _even_draws(pool, share, targets.max_repeats, rng)
        drawn_rows = images[level].row[drawn]
        parts.append(Plan(drawn_rows, np.full(len(drawn), level), images[level].position[drawn]))
    if photos:
        repeats = targets.max_repeats - targets.keep_hard_real
        parts.append(_photos(_even_draws(rows, photos, repeats, rng)))
    return parts


def _photos(rows: Ints) -> Plan:
    return Plan(rows, np.full(len(rows), PHOTO), np.full(len(rows), -1))


def _even_draws(pool: Ints, count: int, max_repeats: int, rng: np.random.Generator) -> Ints:
    """`count` draws, each at most `max_repeats` times.

    They are as even as possible: the numbers of times differ by at most one.
    """
    count = min(count, len(pool) * max(0, max_repeats))
    if count == 0:
        return np.empty(0, np.int64)
    rounds = -(-count // len(pool))
    return np.concatenate([rng.permutation(pool) for _ in range(rounds)])[:count]


def _split_evenly(total: int, ways: int) -> list[int]:
    return [total // ways + (i < total % ways) for i in range(ways)]


def _apportion(weights: Mapping[int, float], total: int) -> dict[int, int]:
    """`total` split by weights, by largest remainder; the parts sum to `total`."""
    exact = {key: weight * total for key, weight in weights.items()}
    counts = {key: int(value + 1e-9) for key, value in exact.items()}
    spare = total - sum(counts.values())
    for key in sorted(exact, key=lambda k: (counts[k] - exact[k], k))[:spare]:
        counts[key] += 1
    return counts


def _shuffled(parts: Sequence[Plan], rng: np.random.Generator) -> Plan:
    columns = [np.concatenate(column).astype(np.int64) for column in zip(*parts, strict=True)]
    order = rng.permutation(len(columns[0]))
    return Plan(*(column[order] for column in columns))


def probe_rows(view: SamplerView, share: float, rng: np.random.Generator) -> Ints:
    """Rows [n] set aside for a probe: `share` of each hard class's photos.

    At least one where a class has two or more, none where it has one.
    """
    chosen = []
    for label in view.hard_labels:
        rows = np.flatnonzero((view.labels == label) & view.hard)
        count = max(1, round(share * len(rows))) if len(rows) > 1 else 0
        chosen.append(rng.permutation(rows)[:count])
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)
