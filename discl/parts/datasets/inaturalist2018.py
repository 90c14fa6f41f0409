"""iNaturalist 2018: 8,142 species with 2 to 1,000 photos, naturally long-tailed, tested on the
competition's validation photos.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import Ints
from discl.files.sources import Archives, Remote, contained
from discl.parts.datasets.base.photo_files import Listed, Listing

_CLASSES = 8142
_AT = "https://ml-inat-competition-datasets.s3.amazonaws.com/2018"
_KINDS = {
    "Plantae": "plant",
    "Insecta": "insect",
    "Aves": "bird",
    "Actinopterygii": "ray-finned fish",
    "Fungi": "fungus",
    "Reptilia": "reptile",
    "Mollusca": "mollusc",
    "Mammalia": "mammal",
    "Animalia": "animal",
    "Amphibia": "amphibian",
    "Arachnida": "arachnid",
    "Chromista": "alga-like organism",
    "Protozoa": "protozoan",
    "Bacteria": "bacterium",
}


class INaturalist2018(Listed):
    """`root` holds train2018.json, val2018.json, categories.json and train_val2018/.

    The competition's validation photos are the test, as in the field. Our `val` is cut from its
    training photos by the hash of their names: at most `held_out` a class and at most a fifth of
    it, so that a species with fewer than five keeps all. The competition's files call the species
    by numbers; categories.json, released afterwards, gives their scientific names.
    """

    folder_name = "inaturalist2018"
    layout = "train2018.json, val2018.json, categories.json and train_val2018/<group>/<id>/*.jpg"
    published: Mapping[str, int] = {"train": 437_513, "test": 24_426}  # of train, our val is a part
    licence = (
        "iNaturalist's terms; non-commercial research and education; the photos may not be"
        " passed on"
    )
    homepage = "https://github.com/visipedia/inat_comp/tree/master/2018"
    citation = (
        "Van Horn et al.: The iNaturalist Species Classification and Detection Dataset (CVPR 2018)"
    )
    sources = (
        Archives(
            "the iNaturalist 2018 competition, about 120 GB",
            (
                Remote(f"{_AT}/train2018.json.tar.gz", md5="bfa29d89d629cbf04d826a720c0a68b0"),
                Remote(f"{_AT}/val2018.json.tar.gz", md5="f2ed8bfe3e9901cdefceb4e53cd3775d"),
                Remote(
                    f"{_AT}/categories.json.tar.gz",
                    sha256="2287211e8da582419dc2ca66736005fdb079e0a89eaf38936a441d8277a8162e",
                ),
                Remote(f"{_AT}/train_val2018.tar.gz", md5="b1c6952ce38f31868cc50ea72d066cc3"),
            ),
        ),
    )

    def __init__(
        self, root: str = "", side: int = 256, held_out: int = 2, most_unreadable: float = 0.001
    ) -> None:
        super().__init__(root, side, most_unreadable)
        if held_out < 1:
            raise UserError(f"dataset.held_out = {held_out}: val needs at least 1 photo of a class")
        self.held_out = held_out

    @cached_property
    def _categories(self) -> dict[int, tuple[str, str]]:
        """Species and group of each label."""
        return read_categories(self.place)

    @property
    def classes(self) -> tuple[str, ...]:
        return self._names

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(
            self._categories[label][0] if label in self._categories else f"species {label}"
            for label in range(_CLASSES)
        )

    def prompts(self, label: int) -> tuple[str, ...]:
        group = self._categories[label][1] if label in self._categories else ""
        return (
            f"a photo of {self.classes[label]}, a species of {_KINDS.get(group, 'living thing')}",
        )

    def holds(self, root: Path) -> bool:
        return (root / "train2018.json").is_file() and (root / "val2018.json").is_file()

    def listings(self, root: Path) -> Mapping[str, Listing]:
        theirs, test = (
            read_annotations(root / "train2018.json"),
            read_annotations(root / "val2018.json"),
        )
        held = cut(theirs, self.held_out)
        return {"train": _rows(theirs, ~held), "val": _rows(theirs, held), "test": test}

    def check_published(self, listings: Mapping[str, Listing]) -> None:
        theirs = Listing(
            *(
                np.concatenate(columns)
                for columns in zip(listings["train"], listings["val"], strict=True)
            )
        )
        super().check_published({"train": theirs, "test": listings["test"]})


def read_annotations(path: Path) -> Listing:
    """Photos and labels of a COCO-style file, by image id; each image has one annotation."""
    table = _loaded(path)
    try:
        names = {image["id"]: image["file_name"] for image in table["images"]}
        marks = [(mark["image_id"], mark["category_id"]) for mark in table["annotations"]]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not the competition's file: it lacks {error}; get it again"
        ) from error
    if len(names) < len(table["images"]):
        raise UserError(f"{path} uses an image id twice; get it again")
    labels = dict(marks)
    if strange := set(labels) ^ set(names):
        raise UserError(
            f"{path}: {len(strange)} image(s) have no annotation, or the reverse, such as id"
            f" {min(strange)}; get it again"
        )
    if len(labels) < len(marks):
        raise UserError(
            f"{path} gives {len(marks) - len(labels)} image(s) two annotations; get it again"
        )
    if out := [
        label for label in labels.values() if not (isinstance(label, int) and 0 <= label < _CLASSES)
    ]:
        raise UserError(
            f"{path}: category {out[0]} is outside 0..{_CLASSES - 1}; is this another year's file?"
        )
    order = sorted(names)
    refs = np.array([contained(names[image]).as_posix() for image in order], np.str_)
    return Listing(
        refs, np.array([labels[image] for image in order], np.int64), np.zeros(len(order), np.int64)
    )


def read_categories(root: Path) -> dict[int, tuple[str, str]]:
    """label -> (scientific name, group)."""
    path = root / "categories.json"
    entries = (
        _loaded(path) if path.is_file() else _loaded(root / "train2018.json").get("categories", [])
    )
    try:
        found = {
            int(entry["id"]): (str(entry["name"]), str(entry["supercategory"])) for entry in entries
        }
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not the competition's list of categories ({error}); get it again"
        ) from error
    if any(name.isdigit() for name, _ in found.values()):
        raise UserError(
            f"{root} calls the species by numbers, which no prompt can use; put"
            f" {_AT}/categories.json.tar.gz there, unpacked"
        )
    if len({name for name, _ in found.values()}) < len(found):
        raise UserError(f"{path} gives two categories one name; get it again")
    return found


def cut(listing: Listing, most: int) -> NDArray[np.bool_]:
    """Which photos val gets: of each class the first by hash, at most `most` and at most a fifth."""
    order = np.argsort([hashlib.sha256(ref.encode()).digest() for ref in listing.refs.tolist()])
    counts = np.bincount(listing.labels)
    wanted = np.minimum(most, counts // 5)
    place = np.empty(len(order), np.int64)  # of each photo within its class, in hash order
    place[order] = _running_count(listing.labels[order])
    chosen: NDArray[np.bool_] = place < wanted[listing.labels]
    return chosen


def _running_count(labels: Ints) -> Ints:
    """How often each label has come before."""
    by_label = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(labels))])[labels[by_label]]
    before = np.empty(len(labels), np.int64)
    before[by_label] = np.arange(len(labels)) - starts
    return before


def _rows(listing: Listing, which: NDArray[np.bool_]) -> Listing:
    return Listing(listing.refs[which], listing.labels[which], listing.groups[which])


def _loaded(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}); get it again") from error
