"""What the long-tailed miniatures share: a tail, and photos for more kinds than CIFAR-10 has."""

from pathlib import Path
from typing import Any

import numpy as np

from discl.core.interfaces import Photos
from tests.mini._photos import CLASSES, real_photos, write


def tail(images: int, classes: int, least: int = 2) -> list[int]:
    """About `images` photos over `classes`, each with a fixed share less than the one before, but
    `least` at least.
    """
    weights = 0.72 ** np.arange(classes)
    return [max(least, int(share)) for share in images * weights / weights.sum()]


def photos_of(kinds: Any, rng: np.random.Generator) -> Photos:
    """A photo [n, 32, 32, 3] for each kind 0, 1, 2 ...; from the eleventh on in other colours."""
    wanted = np.asarray(kinds)
    photos = real_photos(wanted % len(CLASSES), rng)
    return np.stack(
        [
            np.roll(photo, kind // len(CLASSES), axis=-1)
            for photo, kind in zip(photos, wanted.tolist(), strict=True)
        ]
    )


def write_lists(
    folder: Path,
    pattern: str,
    lists: dict[str, list[tuple[str, int]]],
    kinds: dict[int, int],
    rng: np.random.Generator,
) -> None:
    """The photos of "path label" lists, and the lists: `pattern` says how they are called."""
    for name, lines in lists.items():
        for (ref, _), photo in zip(
            lines, photos_of([kinds[label] for _, label in lines], rng), strict=True
        ):
            write(folder / ref, photo, _size(rng))
        (folder / pattern.format(name)).write_text(
            "".join(f"{ref} {label}\n" for ref, label in lines), "utf-8"
        )


def _size(rng: np.random.Generator) -> tuple[int, int]:
    """Photos of all shapes, landscape more often than not."""
    short = int(rng.integers(60, 80))
    return (96, short) if rng.random() < 0.7 else (short, 96)
