"""ImageNet as ILSVRC ships it, a few synsets of it, with the lists of ImageNet-LT."""

from pathlib import Path

import numpy as np

from tests.mini._tails import tail, write_lists

# label -> synset: sparse on purpose, with both cranes, both missiles and both sunglasses
SYNSETS = {
    0: "n01440764",
    1: "n01443537",
    7: "n01514668",
    134: "n02012849",
    207: "n02099601",
    281: "n02123045",
    340: "n02391049",
    404: "n02690373",
    517: "n03126707",
    657: "n03773504",
    744: "n04008634",
    836: "n04355933",
    837: "n04356056",
    999: "n15075141",
}
VAL, TEST = 2, 4  # photos a class


def make(folder: Path, images: int, rng: np.random.Generator) -> None:
    lists: dict[str, list[tuple[str, int]]] = {"train": [], "val": [], "test": []}
    number = iter(rng.permutation(50_000) + 1)
    counts = tail(images - len(SYNSETS) * (VAL + TEST), len(SYNSETS))
    for (label, synset), count in zip(SYNSETS.items(), counts, strict=True):
        # train and val both are of ImageNet's training photos, test are its validation photos
        shots = iter(rng.permutation(30_000))
        for name, many in (("train", count), ("val", VAL)):
            lists[name] += [
                (f"train/{synset}/{synset}_{next(shots)}.JPEG", label) for _ in range(many)
            ]
        lists["test"] += [
            (f"val/{synset}/ILSVRC2012_val_{next(number):08d}.JPEG", label) for _ in range(TEST)
        ]
    write_lists(
        folder,
        "ImageNet_LT_{}.txt",
        lists,
        {label: kind for kind, label in enumerate(SYNSETS)},
        rng,
    )
