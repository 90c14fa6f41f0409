"""What is trained on: an epoch is decided as three integer columns before a pixel is read.

The targets, and where they come from (paper, section A.4.1):
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
`originals` = False leaves the hard photos to the mix, and `easy` = False leaves out all photos that
are not hard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Ints, Mix
from discl.core.levels import PHOTO


class Plan(NamedTuple):
    """One epoch. `variant` is -1 where the image is the photo itself."""

    row: Ints  # [n], place in the training split
    level: Ints  # [n], 100 = the photo
    place: Ints  # [n], place in the level's pixels; -1 for the photo

    def __len__(self) -> int:
        return len(self.row)


class Usable(NamedTuple):
    """Synthetic images of one level that may be drawn."""

    row: Ints  # [m], training row of the photo each was made from
    place: Ints  # [m], place in the level's pixels


@dataclass(frozen=True)
class Targets:
    """How an epoch is filled; see the module's text."""

    images: int
    tail_share: (
        float | Mapping[int, float]
    )  # split evenly over the hard classes, or given to each (label -> share of the epoch)
    max_repeats: int
    originals: bool = True  # every hard photo appears once, whatever the mix says
    easy: bool = True  # photos that are not hard fill the rest


@dataclass(frozen=True)
class SamplerView:
    """The training split as the sampler sees it."""

    labels: Ints  # [n]
    hard: np.ndarray[tuple[int], np.dtype[np.bool_]]  # [n]
    excluded: frozenset[int] = (
        frozenset()
    )  # rows kept out of training (an adaptive strategy's probe)

    @property
    def hard_labels(self) -> list[int]:
        return sorted({int(label) for label in self.labels[self.hard]})


def hard_rows(labels: Ints, classes: int, below: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Rows of classes with fewer than `below` training photos: the paper's tail rule for
    long-tailed data.
    """
    return np.asarray(np.bincount(labels, minlength=classes)[labels] < below)


def plan_epoch(
    tail: SamplerView,
    mix: Mix,
    usable: Mapping[int, Usable],
    targets: Targets,
    rebalanced: bool,
    rng: np.random.Generator,
) -> Plan:
    """Decide an epoch of exactly `targets.images` images, in training order."""
    open_rows = np.setdiff1d(
        np.arange(len(tail.labels)), np.fromiter(tail.excluded, np.int64, len(tail.excluded))
    )
    if not rebalanced or not tail.hard[open_rows].any():
        rows = _even_draws(open_rows, targets.images, len(open_rows) * targets.images, rng)
        return _shuffled([_photos(rows)], rng)
    parts: list[Plan] = []
    hard = tail.hard[open_rows]
    for label, count in _wanted(tail.hard_labels, targets).items():
        mine = open_rows[(tail.labels[open_rows] == label) & hard]
        parts.extend(_fill_class(mine, count, mix, usable, targets, rng))
    left = targets.images - sum(map(len, parts))
    rest = open_rows[~hard if targets.easy else hard]
    # where a class is all there is, its photos fill the epoch whatever the cap says: the number of
    # steps is the promise
    parts.append(_photos(_even_draws(rest if len(rest) else open_rows, left, left, rng)))
    return _shuffled(parts, rng)


def _wanted(hard_labels: Sequence[int], targets: Targets) -> dict[int, int]:
    """Images of each hard class."""
    share = targets.tail_share
    if isinstance(share, Mapping):
        whole = sum(share.values())
        return _apportion(
            {label: share[label] / whole for label in hard_labels},
            round(targets.images * (whole if targets.easy else 1)),
        )
    images = round(targets.images * (share if targets.easy else 1))
    return dict(zip(hard_labels, _split_evenly(images, len(hard_labels)), strict=True))


def tail_shares(
    tail: SamplerView, classes: int, share: float | str, by: str, amount: float
) -> float | dict[int, float]:
    """`Targets.tail_share` of a tail.

    `share` is a number or what it is counted by, `by` what it is split by: classes or photos.

    Counted by photos it is that of the hard photos with `amount` synthetic images of each, among
    all images.
    """
    hard, there = (
        np.bincount(labels, minlength=classes) for labels in (tail.labels[tail.hard], tail.labels)
    )
    whole = share if isinstance(share, float) else _COUNTED[share](hard, there, amount)
    weights = _WEIGHTS[by](hard, there)[hard > 0]
    if len(set(weights.tolist())) <= 1:
        return whole
    return dict(
        zip(np.flatnonzero(hard).tolist(), (whole * weights / weights.sum()).tolist(), strict=True)
    )


def _share_of_classes(hard: Ints, there: Ints, amount: float) -> float:
    return float(_by_classes(hard, there).sum()) / len(hard)


def _share_of_photos(hard: Ints, there: Ints, amount: float) -> float:
    tail = float(hard.sum()) * (1 + amount)
    return tail / (tail + float((there - hard).sum()))


def _by_classes(hard: Ints, there: Ints) -> NDArray[np.float64]:
    """1 for a class that is hard as a whole, as under the tail rule."""
    return hard / np.maximum(there, 1)


def _by_photos(hard: Ints, there: Ints) -> NDArray[np.float64]:
    return hard.astype(np.float64)


_COUNTED = {"classes": _share_of_classes, "photos": _share_of_photos}
_WEIGHTS = {"classes": _by_classes, "photos": _by_photos}


def _fill_class(
    mine: Ints,
    count: int,
    mix: Mix,
    usable: Mapping[int, Usable],
    targets: Targets,
    rng: np.random.Generator,
) -> list[Plan]:
    """`count` images of one hard class: its photos once, then the mix; levels without an image fall
    back to photos.
    """
    if not len(mine):
        return []
    originals = rng.permutation(mine)[: count if targets.originals else 0]
    parts = [_photos(originals)]
    photos = 0
    shares = _apportion(mix, count - len(originals))
    for level, share in shares.items():
        chosen = (
            np.flatnonzero(np.isin(usable[level].row, mine))
            if level in usable
            else np.empty(0, np.int64)
        )
        if level == PHOTO or not len(chosen):
            photos += share
            continue
        picked = _even_draws(chosen, share, targets.max_repeats, rng)
        parts.append(
            Plan(
                usable[level].row[picked], np.full(len(picked), level), usable[level].place[picked]
            )
        )
    if photos:
        parts.append(
            _photos(_even_draws(mine, photos, targets.max_repeats - targets.originals, rng))
        )
    return parts


def _photos(rows: Ints) -> Plan:
    return Plan(rows, np.full(len(rows), PHOTO), np.full(len(rows), -1))


def _even_draws(pool: Ints, count: int, max_repeats: int, rng: np.random.Generator) -> Ints:
    """`count` draws, as evenly as possible (repeats differ by at most one), at most `max_repeats`
    of each.
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
    whole = {key: int(value + 1e-9) for key, value in exact.items()}
    spare = total - sum(whole.values())
    for key in sorted(exact, key=lambda k: (whole[k] - exact[k], k))[:spare]:
        whole[key] += 1
    return whole


def _shuffled(parts: Sequence[Plan], rng: np.random.Generator) -> Plan:
    row, level, place = (
        np.concatenate([part[i] for part in parts]).astype(np.int64) for i in range(3)
    )
    order = rng.permutation(len(row))
    return Plan(row[order], level[order], place[order])


def probe_rows(tail: SamplerView, share: float, rng: np.random.Generator) -> Ints:
    """Rows of each hard class set aside for a probe: `share` of them, at least one where a class
    has two or more.
    """
    chosen = []
    for label in tail.hard_labels:
        mine = np.flatnonzero((tail.labels == label) & tail.hard)
        count = max(1, round(share * len(mine))) if len(mine) > 1 else 0
        chosen.append(rng.permutation(mine)[:count])
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)
