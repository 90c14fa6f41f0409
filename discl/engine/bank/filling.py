"""How a bank is filled: what has been made so far, and how much is made before it is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from discl.core.interfaces import Progress
from discl.core.levels import denoising_steps
from discl.core.progress import DENOISING, PartOfWork, work
from discl.engine.bank.catalogue import MADE, ImageRecord

FEW = 16  # images of the first lease, where the generator does not say how many it makes at a time
LEASE_SECONDS = 20.0  # of work, about: what a stop may cost, with room for what is slower
GROWTH = 4  # times as many images as in the lease before, at most
_MAKING = "making images"


class LeaseSize:
    """How many images the next lease holds: some seconds of work, and `most` of them at most.

    The first ones are few, since the pace is not known yet. No lease holds fewer than `least`
    (unless `most` are fewer): what the generator makes at a time takes as long with one image.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = max(1, min(least, most))
        self._most = most
        self.images = self._least

    def took(self, images: int, seconds: float) -> None:
        """A lease of so many images took so many seconds."""
        in_time = int(images * LEASE_SECONDS / max(seconds, 1e-3))
        images = min(GROWTH * images, in_time)
        # whole groups of those that are made at a time: a part of one takes as long
        self.images = max(self._least, min(self._most, images - images % self._least))


def steps_of(counts: Mapping[int, int], steps: int) -> int:
    """Denoising steps of so many images of each level, where a whole descent has `steps`."""
    return sum(count * denoising_steps(level, steps) for level, count in counts.items())


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

    def add(self, records: Sequence[ImageRecord], steps: int) -> None:
        """A lease is made; `steps` are those of a whole descent."""
        self.images += len(records)
        self.failed += sum(record.status != MADE for record in records)
        self.steps += steps_of(Counter(record.level for record in records), steps)
        self.part.reach(self.steps)
        self._show(self.images)

    def end(self) -> None:
        """All are made, the rest by others."""
        self.part.reach(self.part.units, now=False)
        self._show(self._total)
