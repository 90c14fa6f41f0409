"""How a bank is filled: what has been made so far, and how much is made before it is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from discl.core.interfaces import Progress
from discl.core.levels import Counting, denoising_steps
from discl.core.progress import DENOISING, PartOfWork, work
from discl.engine.bank.catalogue import MADE, ImageRecord

FEW = 16  # images of the first lease, where the generator does not say how many it makes at a time
LEASE_SECONDS = 20.0  # of work, about: what a stop may cost, with room for what is slower
PATIENCE_SECONDS = 600.0  # of work, in a lease that fewer images would fill badly
MOST_WASTE = 0.1  # of what is used: images with which groups are filled up
GROWTH = 4  # times as many images as in the lease before, at most
_MAKING = "making images"


class Groups(NamedTuple):
    """How images fill the groups of `size` in which a generator denoises them.

    Images of all levels end together, so that those of a lower level begin before those of a higher
    one, and the last group of each step is filled up with repeats.
    """

    size: int  # images in a call of the denoiser, always
    steps: tuple[int, ...]  # denoising steps of each level
    variants: int  # images of a level that are made from one photo

    def waste(self, draws: int) -> float:
        """What is computed for nothing, as a share of what is used, at so many images a level."""
        used = computed = 0
        lengths = sorted(self.steps, reverse=True)
        for levels, (length, next_one) in enumerate(pairwise([*lengths, 0]), 1):
            used += (length - next_one) * levels * draws
            computed += (length - next_one) * -(-levels * draws // self.size) * self.size
        return computed / used - 1 if used else 0.0

    def whole(self, images: int, patience: int) -> int | None:
        """At most `images` that waste at most MOST_WASTE; the fewest above, where none do.

        Of one photo there are all levels of a draw or none, and of several photos all draws. None
        where even `patience` images would waste more.
        """
        levels = len(self.steps)
        best: int | None = None
        for draws in self._draws(patience // levels):
            if draws * levels > images and best is not None:
                break
            if self.waste(draws) <= MOST_WASTE:
                best = draws * levels
                if best > images:
                    break
        return best

    def least_wasteful(self, patience: int) -> int:
        """The images, `patience` at most, that waste least; the fewest of such. 0 = none fit."""
        draws = self._draws(patience // len(self.steps))
        return len(self.steps) * min(draws, key=self.waste, default=0)

    def _draws(self, most: int) -> Iterator[int]:
        """Images of a level that a lease may hold, up to `most`."""
        yield from range(1, min(self.variants, most + 1))
        yield from range(self.variants, most + 1, self.variants)


class LeaseSize:
    """How many images the next lease holds: some seconds of work, and `most` of them at most.

    The first ones are few, since the pace is not known yet. No lease holds fewer than `least`
    (unless `most` are fewer): what the generator makes at a time takes as long with one image.
    Where `groups` are known they are filled: by fewer images, or else by more, up to ten minutes of
    work; where not even those fill them, by as many as waste least.
    """

    def __init__(self, least: int, most: int, groups: Groups | None = None) -> None:
        self._least = max(1, min(least, most))
        self._most = most
        self._groups = groups
        self.images = self._least

    def took(self, images: int, seconds: float) -> None:
        """A lease of so many images took so many seconds."""
        pace = images / max(seconds, 1e-3)
        # whole groups of those that are made at a time: a part of one takes as long
        wanted = min(GROWTH * images, int(LEASE_SECONDS * pace), self._most)
        self.images = max(self._least, wanted - wanted % self._least)
        if self._groups:
            patience = int(PATIENCE_SECONDS * pace)
            self.images = (
                self._groups.whole(self.images, patience)
                or self._groups.least_wasteful(patience)
                or self.images
            )


def steps_of(counts: Mapping[int, int], counting: Counting) -> int:
    """Denoising steps of so many images of each level, as a generator counts levels."""
    return sum(count * denoising_steps(level, counting) for level, count in counts.items())


class Filling:
    """What one build has made of `total` images, which take `steps` denoising steps."""

    def __init__(self, progress: Progress, total: int, steps: int) -> None:
        self.images = 0
        self.failed = 0
        self.steps = 0
        self._total = total
        self._shown = 0  # images, those in work by their steps
        self._progress = progress
        work().expect(DENOISING, steps)
        self.part = PartOfWork(DENOISING, steps, self._stepped)
        progress(_MAKING, 0, total)

    def _stepped(self, told: int) -> None:
        self._show(min(self._total - 1, self._total * told // max(1, self.part.units)))

    def _show(self, images: int) -> None:
        if images > self._shown:
            self._shown = images
            self._progress(_MAKING, images, max(self._total, images))

    def add(self, records: Sequence[ImageRecord], counting: Counting) -> None:
        """A lease is made, by a generator that counts levels like this."""
        self.images += len(records)
        self.failed += sum(record.status != MADE for record in records)
        self.steps += steps_of(Counter(record.level for record in records), counting)
        self.part.reach(self.steps)
        self._show(self.images)

    def end(self) -> None:
        """All are made, the rest by others."""
        self.part.reach(self.part.units, now=False)
        self._show(self._total)
