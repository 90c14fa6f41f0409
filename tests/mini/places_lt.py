"""Places365 in its "easy format", a few scenes of it, with the lists of Places-LT."""

from pathlib import Path

import numpy as np

from tests.mini._tails import tail, write_lists

SCENES = {
    0: "airfield",
    1: "airplane_cabin",
    2: "airport_terminal",
    3: "alcove",
    4: "alley",
    8: "apartment_building-outdoor",
    30: "bakery-shop",
    65: "bow_window-indoor",
    138: "elevator-door",
    200: "lake-natural",
    343: "train_station-platform",
    364: "zen_garden",
}
VAL, TEST = 2, 4


def make(folder: Path, images: int, rng: np.random.Generator) -> None:
    lists: dict[str, list[tuple[str, int]]] = {"train": [], "val": [], "test": []}
    number = iter(rng.permutation(36_500) + 1)
    counts = tail(images - len(SCENES) * (VAL + TEST), len(SCENES))
    for (label, scene), count in zip(SCENES.items(), counts, strict=True):
        shots = iter(rng.permutation(5_000) + 1)
        for name, many in (("train", count), ("val", VAL)):
            lists[name] += [(f"train/{scene}/{next(shots):08d}.jpg", label) for _ in range(many)]
        lists["test"] += [
            (f"val/{scene}/Places365_val_{next(number):08d}.jpg", label) for _ in range(TEST)
        ]
    write_lists(
        folder, "Places_LT_{}.txt", lists, {label: kind for kind, label in enumerate(SCENES)}, rng
    )
