"""A miniature of WILDS' iWildCam v2.0 folder: CIFAR-10 photos behind camera traps, each with a
light of its own.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from discl.core.interfaces import Photos
from tests.mini._photos import CLASSES, real_photos

# label of WILDS, and the CIFAR-10 classes that stand for it; the first is the most frequent. 153
# and 181 share an English name.
SHOWN: tuple[tuple[int, tuple[str, ...]], ...] = (
    (0, ("airplane", "ship")),
    (48, ("horse",)),
    (26, ("dog",)),
    (8, ("cat",)),
    (147, ("bird",)),
    (153, ("deer",)),
    (105, ("frog",)),
    (172, ("automobile", "truck")),
    (181, ("deer",)),
)
# code of WILDS: (share of the photos, ratio from one label to the next, fewest of a label, cameras)
SPLITS = {
    "train": (0.56, 0.65, 3, range(6)),
    "id_val": (0.12, 0.85, 1, range(6)),
    "id_test": (0.12, 0.85, 1, range(6)),
    "val": (0.08, 0.85, 1, range(6, 8)),
    "test": (0.12, 0.85, 1, range(8, 12)),
}
SIZES = ((480, 270), (360, 270), (448, 252), (384, 288))  # width, height; one a camera
NAMES = (
    Path(__file__).resolve().parents[2] / "discl" / "assets" / "datasets" / "iwildcam_names.json"
)
COLUMNS = (
    "split",
    "location_remapped",
    "location",
    "sequence_remapped",
    "sequence",
    "y",
    "category_id",
    "datetime",
    "filename",
    "image_id",
)


def make(folder: Path, images: int, rng: np.random.Generator) -> None:
    """`folder`/iwildcam_v2.0 with train/*.jpg, metadata.csv and categories.csv as WILDS writes
    them.
    """
    root = folder / "iwildcam_v2.0"
    (root / "train").mkdir(parents=True)
    decided, cameras, rows = list(_decided(images, rng)), [_camera(rng) for _ in range(12)], []
    shown = dict(SHOWN)
    photos = real_photos(
        [CLASSES.index(str(rng.choice(shown[label]))) for _, label, _ in decided], rng
    )
    for number, ((split, label, camera), photo) in enumerate(zip(decided, photos, strict=True)):
        name = f"{rng.integers(2**32):08x}-21bc-11ea-a13a-137349068a90"
        seen = _seen(photo, cameras[camera], SIZES[camera % len(SIZES)], rng)
        Image.fromarray(seen).save(root / "train" / f"{name}.jpg", quality=80)
        when = (
            f"2013-{1 + number % 12:02d}-{1 + number % 28:02d}"
            f" {number % 24:02d}:{number % 60:02d}:07.000"
        )
        sequence = f"{number // 3:08x}-21bc-11ea-a13a-137349068a90"
        rows.append(
            (
                split,
                camera,
                10 + 3 * camera,
                number // 3,
                sequence,
                label,
                _category(label),
                when,
                f"{name}.jpg",
                name,
            )
        )
    _write(root / "metadata.csv", COLUMNS, [rows[row] for row in rng.permutation(len(rows))])
    known = list(json.loads(NAMES.read_text("utf-8"))["common"])
    listed = [(label, _category(label), name) for label, name in enumerate(known)]
    _write(
        root / "categories.csv",
        ("y", "category_id", "name"),
        [*listed, (99999, 571, "unknown raptor"), (99999, 564, "unidentifiable")],
    )


def _decided(images: int, rng: np.random.Generator) -> Iterator[tuple[str, int, int]]:
    """(split, label, camera) of every photo."""
    left = images
    for split, (share, ratio, fewest, cameras) in SPLITS.items():
        total = left if split == "test" else round(images * share)
        left -= total
        for label, count in zip(SHOWN, _tailed(total, ratio, fewest), strict=True):
            for _ in range(count):
                yield split, label[0], int(rng.choice(list(cameras)))


def _tailed(total: int, ratio: float, fewest: int) -> list[int]:
    """`total` photos over the labels, each `ratio` of the one before and none below `fewest`; the
    last are left out where that is too many.
    """
    labels = min(len(SHOWN), total // fewest)
    weights = ratio ** np.arange(labels)
    counts = ((total - fewest * labels) * weights / weights.sum()).astype(int) + fewest
    counts[0] += total - counts.sum()
    return [*map(int, counts), *[0] * (len(SHOWN) - labels)]


def _camera(rng: np.random.Generator) -> dict[str, Any]:
    """What a camera does to all its photos."""
    return {
        "light": rng.uniform(0.35, 1.0),
        "tint": rng.uniform(0.75, 1.15, 3),
        "grain": rng.uniform(2, 12),
    }


def _seen(
    photo: Photos, camera: dict[str, Any], size: tuple[int, int], rng: np.random.Generator
) -> Photos:
    """A photo of 32 px fills the height of the frame; what is beside it is its mirror image."""
    width, height = size
    square = np.asarray(Image.fromarray(photo).resize((height, height), Image.Resampling.BICUBIC))
    beside = (width - height) // 2
    frame = np.pad(
        square, ((0, 0), (beside, width - height - beside), (0, 0)), mode="symmetric"
    ).astype(np.float32)
    frame = (
        frame * camera["light"] * camera["tint"]
        + rng.normal(0, camera["grain"], frame.shape[:2])[..., None]
    )
    seen: Photos = np.clip(frame, 0, 255).astype(np.uint8)
    return seen


def _category(label: int) -> int:
    return label + 2 * (label > 40)


def _write(path: Path, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(columns)
        writer.writerows(rows)
