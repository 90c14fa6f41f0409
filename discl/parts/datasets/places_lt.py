"""Places-LT: 365 scenes with 5 to 4,980 of Places365's photos; its validation is the test."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from discl.core.errors import UserError
from discl.core.interfaces import Listing
from discl.files.sources import ByHand
from discl.parts.datasets.base.file_dataset import FileDataset
from discl.parts.datasets.base.text_lists import find_list, read_lists

_CLASSES = 365
_LISTS = "Places_LT_{}.txt"
_UNNAMED_FOLDERS = ("train", "val", "test", "data_256", "val_256", "data_large", "val_large")
_SUFFIXES = ("shop", "platform", "door")  # "bakery shop", but "outdoor apartment building"


class PlacesLT(FileDataset):
    """Places-LT (Liu et al. 2019).

    `root` is a Places365 folder; the lists Places_LT_train.txt, _val.txt and _test.txt lie in it,
    or in `lists`. Their paths start from `root`: train/airfield/*.jpg in the "easy format",
    data_256/a/airfield/*.jpg in the small one. By the lists, 131 classes have more than 100
    training photos and 71 fewer than 20. Class names are those of the folders.
    """

    not_hashed = ("root", "lists", "most_unreadable")

    folder_name = "places_lt"
    layout = (
        "train/ and val/ of Places365, and Places_LT_train.txt, Places_LT_val.txt and"
        " Places_LT_test.txt"
    )
    published: Mapping[str, int] = {"train": 62_500, "val": 7_300, "test": 36_500}
    licence = "Places365: non-commercial research and education, as its publishers' page says"
    homepage = "https://github.com/zhmiao/OpenLongTailRecognition-OLTR"
    citation = (
        "Liu, Miao, Zhan, Wang, Gong, Yu: Large-Scale Long-Tailed Recognition in an Open World"
        " (CVPR 2019); Zhou, Lapedriza, Khosla, Oliva, Torralba: Places, a 10 million image"
        " database for scene recognition (TPAMI 2018)"
    )
    sources = (
        ByHand(
            "http://data.csail.mit.edu/places/places365/places365standard_easyformat.tar",
            "unpack it: its places365_standard/ holds train/ and val/ (no checksum is published)",
            24_000_000_000,
        ),
        ByHand(
            homepage,
            "the three lists, to put beside train/ and val/;"
            " github.com/facebookresearch/classifier-balancing has them too, in data/Places_LT,"
            " with 2,092,674, 253,480 and 1,705,400 bytes",
            4_100_000,
        ),
    )

    def __init__(
        self, root: str = "", side: int = 256, lists: str = "", most_unreadable: float = 0.001
    ) -> None:
        super().__init__(root, side, most_unreadable)
        self.lists = lists

    @property
    def classes(self) -> tuple[str, ...]:
        return self._names

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return names_of(self.listings(self.folder))

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"a photo of {self.classes[label]}",)

    def holds(self, root: Path) -> bool:
        return find_list(_LISTS.format("train"), self._folders(root)) is not None

    def listings(self, root: Path) -> Mapping[str, Listing]:
        return read_lists(_LISTS, self._folders(root), _CLASSES)

    def _folders(self, root: Path) -> list[Path]:
        return [*([Path(self.lists).expanduser()] if self.lists else []), root, root / "Places_LT"]


def names_of(listings: Mapping[str, Listing]) -> tuple[str, ...]:
    """A name for each label from the folders of its photos; its number where it has no photo.

    Raises UserError where a label has two folders, or two labels share one.
    """
    folders: dict[int, str] = {}
    for name, listing in listings.items():
        for ref, label in zip(listing.refs.tolist(), listing.labels.tolist(), strict=True):
            scene = scene_name(ref)
            if folders.setdefault(label, scene) != scene:
                raise UserError(
                    f"label {label} is {folders[label]!r} and, by {ref!r} in the {name} list,"
                    f" {scene!r}; get {_LISTS.format(name)} again"
                )
    if len(set(folders.values())) < len(folders):
        raise UserError("two labels of Places-LT's lists share a folder; get the lists again")
    return tuple(folders.get(label, f"scene {label}") for label in range(_CLASSES))


def scene_name(ref: str) -> str:
    """The scene that a photo's folder names.

    "train/apartment_building-outdoor/00000001.jpg" is an "outdoor apartment building".
    """
    folders = [
        folder
        for folder in ref.split("/")[:-1]
        if folder not in _UNNAMED_FOLDERS and len(folder) > 1
    ]
    scene, *kinds = [part.replace("_", " ") for part in "-".join(folders).split("-")]
    before = [kind for kind in kinds if kind not in _SUFFIXES]
    after = [kind for kind in kinds if kind in _SUFFIXES]
    return " ".join([*before, scene, *after])
