"""CIFAR-10 seen through twenty virtual camera traps, long-tailed; five cameras that training never
saw as ood/cameras.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from discl.core.errors import UserError, unknown
from discl.core.interfaces import Ints, Progress, Split
from discl.parts.datasets.cifar10.cameras import CAMERAS, SEEN, deal, taken
from discl.parts.datasets.cifar10.photos import (
    CLASSES,
    CONTENT_SHA256,
    Cifar10,
    prompts,
    some_of_each,
)

OOD = "ood/cameras"
_SPLITS = ("train", "val", "id_test", OOD)
_SEEN, _UNSEEN = range(len(SEEN)), range(len(SEEN), len(CAMERAS))


class Cifar10Cams:
    """The low-quality twin of iWildCam: `largest` down to `smallest` training photos a class,
    spread unevenly over fifteen cameras (the group of a photo is its camera), with no class at
    every camera. `test_photos` is the size of `id_test`, from the same fifteen, and of
    `ood/cameras`, from the other five.

    Light, blur, noise, tint and JPEG belong to the camera; which of its photos are taken at night,
    and the noise, to the photo. Photos are cut as in `cifar10_lt`: `train` and `val` are its own,
    the two test sets are halves of CIFAR-10's test photos, all classes alike in val and test, and
    the pool that the embedded generator and scorer learnt from stays unseen.
    """

    version = 1
    not_hashed = ("root",)

    def __init__(
        self, largest: int = 500, smallest: int = 5, test_photos: int = 1000, root: str = ""
    ) -> None:
        self._source = Cifar10(root)
        self._counts = self._source.tail(largest, smallest)
        if not 10 <= test_photos <= 5000 or test_photos % 10:
            raise UserError(
                f"dataset.test_photos = {test_photos}: takes a multiple of 10 from 10 to 5000"
            )
        self._sizes = {
            "train": f"{largest}-{smallest}",
            "val": "all",
            "id_test": str(test_photos),
            OOD: str(test_photos),
        }
        self.test_photos = test_photos

    def identity(self) -> dict[str, Any]:
        return {"content": CONTENT_SHA256[:16]}

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    @property
    def splits(self) -> tuple[str, ...]:
        return _SPLITS

    @property
    def ready(self) -> bool:
        return self._source.ready

    def prompts(self, label: int) -> tuple[str, ...]:
        return prompts(label)

    def prepare(self, progress: Progress) -> None:
        self._source.prepare(progress)
        todo = [name for name in _SPLITS if not (self._source.folder / self._file(name)).exists()]
        for done, name in enumerate(todo):
            progress("taking photos with virtual cameras", done, len(todo))
            self.split(name)
        if todo:
            progress("taking photos with virtual cameras", len(todo), len(todo))

    def split(self, name: str) -> Split:
        if name not in _SPLITS:
            raise unknown("split of cifar10_cams", name, _SPLITS)
        source = self._source
        drawn = self._drawn[name]
        labels, ids = source.labels[drawn.rows], source.ids[drawn.rows]
        pixels = source.made_once(
            self._file(name), lambda: taken(source.photos[drawn.rows], ids, drawn.cameras)
        )
        # a bank knows its photos by id: it must change with whatever changes the pixels
        named = np.array(
            [
                f"{photo}-v{self.version}c{camera:02d}"
                for photo, camera in zip(ids, drawn.cameras, strict=True)
            ]
        )
        return Split(named, labels, drawn.cameras, pixels)

    @cached_property
    def _drawn(self) -> dict[str, _Drawn]:
        """Which photos, through which cameras."""
        rows = self._source.rows(self._counts)
        test = rows["test"]
        each = self.test_photos // len(CLASSES)
        labels = self._source.labels[test]
        rows |= {
            "id_test": test[some_of_each(labels, 0, each)],
            OOD: test[some_of_each(labels, 500, 500 + each)],
        }
        return {
            name: self._through(rows[name], _UNSEEN if name == OOD else _SEEN) for name in _SPLITS
        }

    def _through(self, rows: Ints, cameras: range) -> _Drawn:
        ids, labels = self._source.ids[rows], self._source.labels[rows]
        return _Drawn(rows, deal(ids.tolist(), [CLASSES[label] for label in labels], cameras))

    def _file(self, name: str) -> str:
        return f"cams-v{self.version}-{name.removeprefix('ood/')}-{self._sizes[name]}.npy"


class _Drawn(NamedTuple):
    rows: Ints  # of the 60,000 photos
    cameras: Ints
