"""Photos of one colour a class, with noise: a long tail of three classes that costs nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from discl.core.interfaces import Progress, Split

PHOTOS = {
    "train": (120, 40, 8),
    "val": (12, 12, 12),
    "test": (30, 30, 30),
    "ood/dark": (20, 20, 20),
}
NOISE = {"ood/dark": 60.0}  # standard deviation, of 255; elsewhere 30


class Colours:
    """Photos of one colour a class, with noise."""

    version = 1
    classes = ("red", "green", "blue")
    splits = tuple(PHOTOS)
    ready = True

    def identity(self) -> dict[str, Any]:
        return {}

    def prepare(self, progress: Progress) -> None:
        """Nothing is read, so nothing is to be prepared."""

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"a photo of {self.classes[label]}",)

    def split(self, name: str) -> Split:
        labels = np.repeat(np.arange(3), PHOTOS[name])
        rng = np.random.default_rng([7, self.splits.index(name)])
        noise = rng.normal(0, NOISE.get(name, 30.0), (len(labels), 16, 16, 3))
        pixels = np.eye(3)[labels][:, None, None] * 90 + 80 + noise
        ids = np.array([f"{name}-{row}" for row in range(len(labels))])
        return Split(ids, labels, np.zeros_like(labels), pixels.clip(0, 255).astype(np.uint8))
