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

A.4.1 itself knows no classes within the tail: with `alike`, every image of the tail is drawn alike,
so that a class of 5 photos gets 20 images where one of 19 gets 76 (the paper's "3X").

Algorithm 2 has no tail share: with `union`, an epoch is drawn from the images of the mix, the
photos that are not hard and, where they belong to it, the hard ones, every one of them alike. An
epoch of photos alone is then the training split as it is.

Two more can be switched off: `keep_hard_real` = False leaves the hard photos to the mix, as
Algorithm 2 does, and `include_easy` = False leaves out all photos that are not hard, as the
released code does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Ints, Mix, Strategy
from discl.core.levels import PHOTO
from discl.engine.level_images import LevelImages

_EASY = -1  # beside the levels: the photos that are not hard


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
    # every hard photo appears once, whatever the mix says; None = as the strategy has it
    keep_hard_real: bool | None = True
    include_easy: bool = True  # photos that are not hard fill the rest
    alike: bool = False  # images of the tail are drawn alike, whatever their class
    # synthetic images in an epoch for each hard photo, where an epoch is drawn from all images
    # alike and has no tail share; None = it has one
    union: float | None = None
    photos_for_images: bool = False  # with `union`: photos take the place of the images

    def of(self, strategy: Strategy, levels: tuple[int, ...]) -> Targets:
        """These targets for the curriculum of a strategy that uses `levels`."""
        keeps = self.keep_hard_real
        return replace(
            self,
            keep_hard_real=getattr(strategy, "keeps_hard_real", True) if keeps is None else keeps,
            photos_for_images=all(level == PHOTO for level in levels),
        )

    @property
    def of_real_phase(self) -> Targets:
        """These targets after the curriculum, where photos stand for nothing but themselves."""
        return replace(self, photos_for_images=False)


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

    def with_images(self, images: Mapping[int, LevelImages]) -> SamplerView:
        """The same photos, of which only those are hard that have an image at some level.

        So the released code has it: what the filter left without an image is an easy photo there.
        """
        rows = [level_images.row for level_images in images.values()]
        has_image = np.zeros(len(self.labels), bool)
        has_image[np.concatenate(rows) if rows else np.empty(0, np.int64)] = True
        return replace(self, hard=self.hard & has_image)


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
    if targets.union is not None:
        parts.extend(_union(rows[hard], int((~hard).sum()), mix, images, targets, rng))
    elif targets.alike:
        count = _tail_images(targets)
        parts.extend(_fill(rows[hard], count, mix, images, targets, rng))
    else:
        for label, count in _images_by_class(view.hard_labels, targets).items():
            class_rows = rows[(view.labels[rows] == label) & hard]
            parts.extend(_fill(class_rows, count, mix, images, targets, rng))
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
    return dict(
        zip(hard_labels, _split_evenly(_tail_images(targets), len(hard_labels)), strict=True)
    )


def _tail_images(targets: Targets) -> int:
    """Images of the tail, where its share is one number."""
    share = targets.tail_share
    total = sum(share.values()) if isinstance(share, Mapping) else share
    return round(targets.images * (total if targets.include_easy else 1))


def _union(
    hard_rows: Ints,
    easy: int,
    mix: Mix,
    images: Mapping[int, LevelImages],
    targets: Targets,
    rng: np.random.Generator,
) -> list[Plan]:
    """What an epoch draws of hard photos `hard_rows` and of their images; the rest is easy photos.

    A level has `union` images of each hard photo, times its weight; the hard photos count once, or
    as the mix says. What no level holds is made up by photos.
    """
    made = (targets.union or 0.0) * len(hard_rows)
    sizes = {level: weight * made for level, weight in mix.items() if level != PHOTO}
    sizes[PHOTO] = len(hard_rows) * (1.0 if targets.keep_hard_real else mix.get(PHOTO, 0.0))
    sizes[PHOTO] += made * targets.photos_for_images
    sizes[_EASY] = float(easy * targets.include_easy)
    total = sum(sizes.values())
    counts = _apportion({key: size / total for key, size in sizes.items()}, targets.images)
    del counts[_EASY]
    photos = counts.pop(PHOTO)
    parts, missing = _of_levels(hard_rows, counts, images, targets, rng)
    photos += missing
    return [*parts, _photos(_even_draws(hard_rows, photos, targets.max_repeats, rng))]


def _fill(
    rows: Ints,
    count: int,
    mix: Mix,
    images: Mapping[int, LevelImages],
    targets: Targets,
    rng: np.random.Generator,
) -> list[Plan]:
    """`count` images of the hard photos `rows`: each once, then the mix.

    Levels without an image of them fall back to photos.
    """
    if not len(rows):
        return []
    once = rng.permutation(rows)[: count if targets.keep_hard_real else 0]
    parts, photos = _of_levels(rows, _apportion(mix, count - len(once)), images, targets, rng)
    if photos:
        repeats = targets.max_repeats - bool(targets.keep_hard_real)
        parts.append(_photos(_even_draws(rows, photos, repeats, rng)))
    return [_photos(once), *parts]


def _of_levels(
    rows: Ints,
    counts: Mapping[int, int],
    images: Mapping[int, LevelImages],
    targets: Targets,
    rng: np.random.Generator,
) -> tuple[list[Plan], int]:
    """`counts` images of each level, of the photos `rows`, and how many are left to photos."""
    parts = []
    photos = 0
    for level, count in counts.items():
        pool = np.empty(0, np.int64)
        if level != PHOTO and level in images:
            pool = np.flatnonzero(np.isin(images[level].row, rows))
        if not len(pool):
            photos += count
            continue
        drawn = _even_draws(pool, count, targets.max_repeats, rng)
        drawn_rows = images[level].row[drawn]
        parts.append(Plan(drawn_rows, np.full(len(drawn), level), images[level].position[drawn]))
    return parts, photos


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
