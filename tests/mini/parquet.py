"""A Hugging Face dataset as Parquet files: train and test, an image, a class label and a camera."""

from pathlib import Path

import numpy as np

from tests.mini._photos import CLASSES, encoded, real_photos


def make(folder: Path, images: int, rng: np.random.Generator) -> None:
    """Written by the `datasets` library itself, four fifths for training; validation is left to the
    reader.
    """
    from datasets import ClassLabel, Dataset, Features, Image, Value

    names = list(CLASSES[:5])
    features = Features(
        {"image": Image(), "label": ClassLabel(names=names), "camera": Value("string")}
    )
    for split, count in {"train": images * 4 // 5, "test": images // 5}.items():
        weights = 0.6 ** np.arange(len(names)) if split == "train" else np.ones(len(names))
        labels = np.sort(rng.choice(len(names), count, p=weights / weights.sum()))
        labels[-3 * len(names) :] = np.repeat(np.arange(len(names)), 3)[-count:]
        rows = {
            "image": [
                {"bytes": encoded(photo, form="PNG"), "path": None}
                for photo in real_photos(labels, rng)
            ],
            "label": labels.tolist(),
            "camera": [f"camera {i % 3}" for i in range(count)],
        }
        (folder / "data").mkdir(parents=True, exist_ok=True)
        Dataset.from_dict(rows, features=features).to_parquet(
            folder / "data" / f"{split}-00000-of-00001.parquet"
        )
