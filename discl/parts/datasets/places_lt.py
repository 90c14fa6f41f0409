"""Places-LT: 365 scenes with 5 to 4,980 of Places365's photos; its validation is the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import Listing
from discl.files.sources import Address, Archives, ByHand, RemoteFile
from discl.parts.datasets.base.photo_contents import Place
from discl.parts.datasets.base.text_lists import ListedDataset

_CLASSES = 365
_LISTS = "Places_LT_{}.txt"
_PHOTOS = "http://data.csail.mit.edu/places/places365"  # http, as others have it: digests decide
_COPIES = tuple(  # of the authors' lists, at fixed commits
    f"https://raw.githubusercontent.com/{copy}/data/Places_LT"
    for copy in (
        "facebookresearch/classifier-balancing/f162adef63fdf592d0b8a0f6e52bc481fc08785f",
        "Dylanhj/BALLAD/189603c1750944b3688755ad0725c4811999c0e8",
    )
)
_UNNAMED_FOLDERS = ("train", "val", "test", "data_256", "val_256", "data_large", "val_large")
_SUFFIXES = ("shop", "platform", "door")  # "bakery shop", but "outdoor apartment building"


def _list(split: str, bytes: int, sha256: str) -> RemoteFile:
    first, *others = [f"{copy}/{_LISTS.format(split)}" for copy in _COPIES]
    mirrors = tuple(map(Address, others))
    return RemoteFile(first, bytes, sha256, unpack=False, mirrors=mirrors)


class PlacesLT(ListedDataset):
    """Places-LT (Liu et al. 2019).

    `root` is a Places365 folder of 256 px: the "easy format" (train/airfield/*.jpg,
    val/airfield/*.jpg) or the small archives (data_256/a/airfield/*.jpg and val_256/*.jpg), whose
    files have the same names. The lists Places_LT_train.txt, _val.txt and _test.txt lie in it, or
    in `lists`, and may name photos in either way. By the lists, 131 classes have more than 100
    training photos and 71 fewer than 20. Class names are those of the folders.
    """

    list_name = _LISTS
    list_folder = "Places_LT"
    labels = _CLASSES
    folder_name = "places_lt"
    layout = (
        "train/ and val/, or data_256/ and val_256/, of Places365; and Places_LT_train.txt,"
        " Places_LT_val.txt and Places_LT_test.txt"
    )
    published: Mapping[str, int] = {"train": 62_500, "val": 7_300, "test": 36_500}
    published_classes = _CLASSES
    licence = "Places365: non-commercial research and education, as its publishers' page says"
    homepage = "https://github.com/zhmiao/OpenLongTailRecognition-OLTR"
    citation = (
        "Liu, Miao, Zhan, Wang, Gong, Yu: Large-Scale Long-Tailed Recognition in an Open World"
        " (CVPR 2019); Zhou, Lapedriza, Khosla, Oliva, Torralba: Places, a 10 million image"
        " database for scene recognition (TPAMI 2018)"
    )
    list_files = (
        _list(
            "train",
            2_092_674,
            "726c4871dcbf07ce2f857703bfe32e9a83ffbf52d704239f6d95c4f4f4c247f7",
        ),
        _list(
            "val",
            253_480,
            "719e3cf3766c09134ea28f56f1036c78def511ac1ed2c2532a6beef78f2439ba",
        ),
        _list(
            "test",
            1_705_400,
            "44eee8441c8098c59195465abede425721bc35525d75209f9433b161a6eb37bc",
        ),
    )
    sources = (
        Archives(
            "Places365-Standard of 256 px, whose download accepts its terms, and the lists",
            (
                *list_files,
                RemoteFile(
                    f"{_PHOTOS}/val_256.tar",
                    bytes=525_158_400,
                    sha256="24b4e639ef12a0012af525bc4cb443e4ab4aaea8369a1fb009b70e4a4aad5d48",
                    md5="e27b17d8d44f4af9a78502beb927f808",
                ),
                RemoteFile(
                    f"{_PHOTOS}/train_256_places365standard.tar",
                    bytes=26_103_685_120,
                    sha256="0ade5d7d38c682aa0203014a2b99ad3bf608bf1de0f151dc0d80efba54660a0a",
                    md5="53ca1c756c3d1e7809517cc47c5561c5",
                ),
            ),
        ),
        ByHand(
            f"{_PHOTOS}/places365standard_easyformat.tar",
            "unpack it, so that its places365_standard/ holds train/ and val/ (no checksum is"
            " published), and put the three lists beside them",
            24_000_000_000,
        ),
    )

    @property
    def classes(self) -> tuple[str, ...]:
        return self._names

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return names_of(self.listings(self.folder))

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"a photo of {self.classes[label]}",)

    def has_photos(self, root: Path) -> bool:
        return any((root / name).is_dir() for name in ("train", "data_256", "data_large"))

    def listings(self, root: Path) -> Mapping[str, Listing]:
        """With references in the easy format, whichever copy of the lists it is."""
        return {
            split: listing._replace(
                refs=np.array([file_of(ref, small=False) for ref in listing.refs.tolist()], np.str_)
            )
            for split, listing in super().listings(root).items()
        }

    def read(self, root: Path, ref: str) -> bytes:
        return super().read(root, file_of(ref, _is_small(root)))

    def places(self, root: Path, refs: Sequence[str]) -> Sequence[Place]:
        small = _is_small(root)
        return [Place(file_of(ref, small)) for ref in refs]

    def missing(self, root: Path, refs: NDArray[np.str_]) -> tuple[NDArray[np.bool_], int]:
        small = _is_small(root)
        files = [file_of(ref, small) for ref in refs.tolist()]
        return super().missing(root, np.array(files, np.str_))


def _is_small(root: Path) -> bool:
    """Whether a folder holds the small archives, and not the easy format."""
    return (root / "data_256").is_dir()


def file_of(ref: str, small: bool) -> str:
    """The file of a photo that a list names, in the easy format or the `small` archives.

    "train/apartment_building-outdoor/1.jpg" of the one is
    "data_256/a/apartment_building/outdoor/1.jpg" of the other; both keep the publisher's numbers.
    """
    *folders, name = ref.split("/")
    if small and folders[:1] == ["train"] and len(folders) == 2:
        scene = folders[1]
        return "/".join(["data_256", scene[0], *scene.split("-"), name])
    if small and folders[:1] == ["val"]:
        return f"val_256/{name}"
    if not small and folders[:1] == ["data_256"] and len(folders) > 2:
        return "/".join(["train", "-".join(folders[2:]), name])
    return ref


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
