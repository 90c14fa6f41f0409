"""CIFAR-100's binary release with fewer records: a coarse and a fine label byte, then 3,072 bytes
of red, green and blue planes.
"""

from pathlib import Path

import numpy as np

from discl.parts.datasets.cifar100_lt import label_names
from tests.mini._tails import photos_of

FINE = (0, 3, 17, 23, 42, 47, 52, 68, 76, 99)  # labels there are photos of


def make(folder: Path, images: int, rng: np.random.Generator) -> None:
    home, per_class = folder / "cifar-100-binary", max(10, images // len(FINE))
    home.mkdir(parents=True, exist_ok=True)
    for name, many in (("train", per_class * 4 // 5), ("test", per_class - per_class * 4 // 5)):
        kinds = rng.permutation(np.repeat(np.arange(len(FINE)), many))
        planes = photos_of(kinds, rng).transpose(0, 3, 1, 2).reshape(len(kinds), -1)
        coarse_and_fine = np.array(
            [(FINE[kind] // 5, FINE[kind]) for kind in kinds], np.uint8
        )  # nobody reads the coarse one
        np.concatenate([coarse_and_fine, planes], axis=1).tofile(home / f"{name}.bin")
    (home / "fine_label_names.txt").write_text("\n".join(label_names()) + "\n", "utf-8")
