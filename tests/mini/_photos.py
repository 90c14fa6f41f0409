"""Real photos for the miniatures: CIFAR-10's, made larger and stored as cameras store them."""

import functools
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from discl.core.interfaces import Ints, Photos
from discl.parts.datasets.cifar10_lt import CLASSES, Cifar10LT

__all__ = ["CLASSES", "SESSION", "encoded", "real_photos", "write"]

SESSION = "DISCL_DATA_OF_TESTS"  # see tests/conftest.py


@functools.cache
def _test_split() -> tuple[Photos, Ints]:
    """From where the session has its data: a test that has moved them would fetch all photos."""
    moved = os.environ.get("DISCL_DATA")
    try:
        if SESSION in os.environ:
            os.environ["DISCL_DATA"] = os.environ[SESSION]
        split = Cifar10LT().split("test")
    finally:
        os.environ.pop("DISCL_DATA", None)
        if moved is not None:
            os.environ["DISCL_DATA"] = moved
    return split.pixels, split.labels


def real_photos(labels: Any, rng: np.random.Generator) -> Photos:
    """Photos [n, 32, 32, 3] of `labels` (CIFAR-10 classes), none twice while there are enough."""
    pixels, known = _test_split()
    wanted = np.asarray(labels)
    rows = np.empty(len(wanted), np.int64)
    for label in np.unique(wanted):
        places, available = np.flatnonzero(wanted == label), np.flatnonzero(known == label)
        rows[places] = np.resize(rng.permutation(available), len(places))
    return np.asarray(pixels[rows])


def encoded(photo: Photos, size: tuple[int, int] = (96, 72), form: str = "JPEG") -> bytes:
    """The bytes of an image file of `size` (width, height)."""
    buffer = io.BytesIO()
    options = {"quality": 92} if form == "JPEG" else {}
    Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC).save(buffer, form, **options)
    return buffer.getvalue()


def write(path: Path, photo: Photos, size: tuple[int, int] = (96, 72)) -> None:
    """An image file whose format follows its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(photo, size, Image.registered_extensions()[path.suffix.lower()]))
