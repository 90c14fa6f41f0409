"""iNaturalist 2018: 8,142 species, naturally long-tailed; the validation photos are the test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import Ints, Listing
from discl.core.plain_files import parsed_json, plain_text
from discl.files.sources import Archives, RemoteFile, safe_path
from discl.parts.datasets.base.file_dataset import FileDataset

_CLASSES = 8142
_URL = "https://ml-inat-competition-datasets.s3.amazonaws.com/2018"
_KINDS_OF_GROUP = {
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


class INaturalist2018(FileDataset):
    """iNaturalist 2018 (Van Horn et al. 2018).

    `root` holds train2018.json, val2018.json, categories.json and train_val2018/. The competition's
    validation photos are the test, as in most papers. Our `val` is cut from its training photos by
    the hash of their names: at most `held_out` per class and at most a fifth of it, so that a
    species with fewer than five keeps all. Many, medium and few go by the published counts, val's
    photos included, as in the field. The competition's files number the species;
    categories.json, released afterwards, gives their scientific names.
    """

    version = 2  # 1 counted many, medium and few without val's photos
    folder_name = "inaturalist2018"
    layout = "train2018.json, val2018.json, categories.json and train_val2018/<group>/<id>/*.jpg"
    published: Mapping[str, int] = {"train": 437_513, "test": 24_426}  # of train, our val is a part
    published_classes = _CLASSES
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
            "the iNaturalist 2018 competition",
            (
                RemoteFile(
                    f"{_URL}/train2018.json.tar.gz",
                    bytes=20_951_917,
                    sha256="be550dd4e2692458e508dd03e3a8d79f087453e2ad570a438a4ff198a7abc68f",
                    md5="bfa29d89d629cbf04d826a720c0a68b0",
                ),
                RemoteFile(
                    f"{_URL}/val2018.json.tar.gz",
                    bytes=1_276_686,
                    sha256="e23c47d61d3aa2a9095090dbc49de861445d9a8144884a78222873f11f7ef43e",
                    md5="f2ed8bfe3e9901cdefceb4e53cd3775d",
                ),
                RemoteFile(
                    f"{_URL}/categories.json.tar.gz",
                    bytes=139_473,
                    sha256="2287211e8da582419dc2ca66736005fdb079e0a89eaf38936a441d8277a8162e",
                ),
                RemoteFile(
                    f"{_URL}/train_val2018.tar.gz",
                    bytes=127_945_569_561,
                    sha256="276522b02b65d98ee5168a17415b2b1ec971b035bd62959e37b80b1092130495",
                    md5="b1c6952ce38f31868cc50ea72d066cc3",
                ),
            ),
        ),
    )

    def __init__(
        self, root: str = "", side: int = 256, held_out: int = 2, most_unreadable: float = 0.001
    ) -> None:
        """Settings:

        `root`: folder with train2018.json, val2018.json, categories.json and train_val2018/.
        `side`: pixels of the side of the square that networks see.
        `held_out`: photos of each class that val takes of train, at most a fifth of the class.
        `most_unreadable`: share of listed photos that may be missing, and of photos that may be
            unreadable.
        """
        super().__init__(root, side, most_unreadable)
        if held_out < 1:
            raise UserError(f"dataset.held_out = {held_out}: val needs at least 1 photo of a class")
        self.held_out = held_out

    @cached_property
    def _categories(self) -> dict[int, tuple[str, str]]:
        """Species and group of each label."""
        return read_categories(self.folder)

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
        kind = _KINDS_OF_GROUP.get(group, "living thing")
        return (f"a photo of {self.classes[label]}, a species of {kind}",)

    def holds(self, root: Path) -> bool:
        return (root / "train2018.json").is_file() and (root / "val2018.json").is_file()

    def listings(self, root: Path) -> Mapping[str, Listing]:
        published = read_annotations(root / "train2018.json")
        test = read_annotations(root / "val2018.json")
        held_out = cut(published, self.held_out)
        train = _part(published, ~held_out)
        return {"train": train, "val": _part(published, held_out), "test": test}

    @property
    def published_counts(self) -> Ints:
        """[8142], training photos of each species in the competition's file: ours and val's."""
        labels = [self.listing(split).labels for split in ("train", "val")]
        return np.bincount(np.concatenate(labels), minlength=_CLASSES)

    def check_published(self, listings: Mapping[str, Listing]) -> None:
        columns = zip(listings["train"], listings["val"], strict=True)
        published = Listing(*(np.concatenate(column) for column in columns))
        super().check_published({"train": published, "test": listings["test"]})


def read_annotations(path: Path) -> Listing:
    """Photos and labels of a COCO-style file, sorted by image id.

    Raises UserError unless each image has one annotation with a label in range.
    """
    table = _read_json(path)
    try:
        names = {image["id"]: image["file_name"] for image in table["images"]}
        annotations = [(item["image_id"], item["category_id"]) for item in table["annotations"]]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not the competition's file: it lacks {error}; get it again"
        ) from error
    if len(names) < len(table["images"]):
        raise UserError(f"{path} uses an image id twice; get it again")
    labels = dict(annotations)
    unpaired = set(labels) ^ set(names)
    if unpaired:
        raise UserError(
            f"{path}: {len(unpaired)} image(s) have no annotation, or the reverse, such as id"
            f" {min(unpaired)}; get it again"
        )
    if len(labels) < len(annotations):
        raise UserError(
            f"{path} gives {len(annotations) - len(labels)} image(s) two annotations; get it again"
        )
    invalid = [
        label for label in labels.values() if not (isinstance(label, int) and 0 <= label < _CLASSES)
    ]
    if invalid:
        raise UserError(
            f"{path}: category {invalid[0]} is outside 0..{_CLASSES - 1}; is this the file of"
            " another year?"
        )
    order = sorted(names)
    refs = np.array([safe_path(names[image]).as_posix() for image in order], np.str_)
    return Listing(
        refs, np.array([labels[image] for image in order], np.int64), np.zeros(len(order), np.int64)
    )


def read_categories(root: Path) -> dict[int, tuple[str, str]]:
    """Label -> (scientific name, group).

    Raises UserError where the file is damaged, or gives numbers or one name twice.
    """
    path = root / "categories.json"
    entries = (
        _read_json(path)
        if path.is_file()
        else _read_json(root / "train2018.json").get("categories", [])
    )
    try:
        categories = {
            int(entry["id"]): (str(entry["name"]), str(entry["supercategory"])) for entry in entries
        }
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not the competition's list of categories ({error}); get it again"
        ) from error
    if any(name.isdigit() for name, _ in categories.values()):
        raise UserError(
            f"{root} calls the species by numbers, which no prompt can use; put"
            f" {_URL}/categories.json.tar.gz there, unpacked"
        )
    if len({name for name, _ in categories.values()}) < len(categories):
        raise UserError(f"{path} gives two categories one name; get it again")
    return categories


def cut(listing: Listing, most: int) -> NDArray[np.bool_]:
    """The mask [n] of val's photos: the first of each class by hash, at most `most` and a fifth."""
    order = np.argsort([hashlib.sha256(ref.encode()).digest() for ref in listing.refs.tolist()])
    counts = np.bincount(listing.labels)
    limit = np.minimum(most, counts // 5)
    rank = np.empty(len(order), np.int64)  # of each photo within its class, in hash order
    rank[order] = _running_count(listing.labels[order])
    chosen: NDArray[np.bool_] = rank < limit[listing.labels]
    return chosen


def _running_count(labels: Ints) -> Ints:
    """For each of `labels` [n], how often it occurs before."""
    by_label = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(labels))])[labels[by_label]]
    before = np.empty(len(labels), np.int64)
    before[by_label] = np.arange(len(labels)) - starts
    return before


def _part(listing: Listing, mask: NDArray[np.bool_]) -> Listing:
    return Listing(listing.refs[mask], listing.labels[mask], listing.groups[mask])


def _read_json(path: Path) -> Any:
    try:
        return parsed_json(plain_text(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}); get it again") from error
