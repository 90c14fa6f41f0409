"""The iNaturalist 2018 competition's files: COCO-style tables with species as numbers, and the
names released afterwards.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.mini._photos import write
from tests.mini._tails import photos_of, tail

# category id -> (super category, species): sparse on purpose
SPECIES = {
    11: ("Actinopterygii", "Balistes capriscus"),
    402: ("Amphibia", "Rana temporaria"),
    1054: ("Arachnida", "Araneus diadematus"),
    2761: ("Aves", "Aix sponsa"),
    2766: ("Aves", "Anas acuta"),
    3240: ("Aves", "Erithacus rubecula"),
    4400: ("Fungi", "Amanita muscaria"),
    4871: ("Insecta", "Apis mellifera"),
    5013: ("Insecta", "Vanessa atalanta"),
    6011: ("Mammalia", "Vulpes vulpes"),
    7007: ("Plantae", "Bellis perennis"),
    8141: ("Reptilia", "Vipera berus"),
}
VAL, SIZE = 3, (96, 72)  # photos a class, as in the real one; their width and height
LICENCE = {
    "id": 0,
    "name": "CC BY-NC 4.0",
    "url": "https://creativecommons.org/licenses/by-nc/4.0/",
}


def make(folder: Path, images: int, rng: np.random.Generator) -> None:
    kinds = {category: kind for kind, category in enumerate(SPECIES)}
    counts = tail(images - len(SPECIES) * VAL, len(SPECIES))
    wanted = dict(
        zip(rng.permutation(list(SPECIES)).tolist(), counts, strict=True)
    )  # the tail does not follow the ids
    parts = {
        "train": np.repeat(list(wanted), list(wanted.values())),
        "val": np.repeat(list(SPECIES), VAL),
    }
    first = 0
    for part, labels in parts.items():
        table = _table(part)
        for number, (category, photo) in enumerate(
            zip(labels.tolist(), photos_of([kinds[c] for c in labels], rng), strict=True), first
        ):
            name = f"train_val2018/{SPECIES[category][0]}/{category}/{rng.bytes(16).hex()}.jpg"
            write(folder / name, photo, SIZE)
            table["images"].append(
                {
                    "id": number,
                    "width": SIZE[0],
                    "height": SIZE[1],
                    "file_name": name,
                    "license": 0,
                    "rights_holder": "us",
                }
            )
            table["annotations"].append({"id": number, "image_id": number, "category_id": category})
        first += len(labels)
        (folder / f"{part}2018.json").write_text(json.dumps(table), "utf-8")
    names = [_category(category, species) for category, (_, species) in SPECIES.items()]
    (folder / "categories.json").write_text(json.dumps(names), "utf-8")


def _table(part: str) -> dict[str, Any]:
    return {
        "info": {
            "year": 2018,
            "version": "1",
            "description": f"{part}, in miniature",
            "contributor": "",
            "url": "",
            "date_created": "",
        },
        "images": [],
        "categories": [_category(category, str(category)) for category in SPECIES],
        "annotations": [],
        "licenses": [LICENCE],
    }


def _category(category: int, name: str) -> dict[str, Any]:
    ranks = dict.fromkeys(("kingdom", "phylum", "class", "order", "family", "genus"), "")
    return {"id": category, "name": name, "supercategory": SPECIES[category][0], **ranks}
