"""A class-per-folder tree: train, val, test and ood/night, with a long tail."""

from pathlib import Path

import numpy as np

from tests.mini._photos import CLASSES, real_photos, write


def make(folder: Path, images: int, rng: np.random.Generator) -> None:
    """Six tenths of the images are for training, the last class has the fewest; ood photos are
    darker.
    """
    names = CLASSES[:5]
    weights = 0.5 ** np.arange(len(names))
    train = np.maximum(2, images * 0.6 * weights / weights.sum()).astype(int)
    rest = max(1, round((images - train.sum()) / (3 * len(names))))
    for split, counts in {
        "train": train.tolist(),
        **dict.fromkeys(("val", "test", "ood/night"), [rest] * len(names)),
    }.items():
        labels = np.repeat(np.arange(len(names)), counts)
        for i, (label, photo) in enumerate(
            zip(labels.tolist(), real_photos(labels, rng), strict=True)
        ):
            seen = photo // 3 if split.startswith("ood") else photo
            write(folder / split / names[label] / f"{split.replace('/', '-')}-{i:04d}.jpg", seen)
