"""ImageNet-LT: 1,000 classes with 5 to 1,280 of ImageNet's photos; its validation is the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import Listing
from discl.files.sources import ByHand
from discl.parts.datasets.base.file_dataset import FileDataset
from discl.parts.datasets.base.text_lists import find_list, read_lists

_CLASSES = 1000
_LISTS = "ImageNet_LT_{}.txt"


class ImageNetLT(FileDataset):
    """ImageNet-LT (Liu et al. 2019).

    `root` is an ImageNet folder as ILSVRC ships it: `train/<synset>/*.JPEG`, and `val/` sorted into
    synsets or flat. The lists ImageNet_LT_train.txt, _val.txt and _test.txt lie in it, or in
    `lists`. `side` 256 leaves room for crops of 224. By the lists, 385 classes have more than 100
    training photos and 136 fewer than 20 (1,643 photos).
    """

    not_hashed = ("root", "lists", "most_unreadable")

    folder_name = "imagenet_lt"
    layout = (
        "train/ and val/ of ImageNet's photos, and ImageNet_LT_train.txt, ImageNet_LT_val.txt and"
        " ImageNet_LT_test.txt"
    )
    published: Mapping[str, int] = {"train": 115_846, "val": 20_000, "test": 50_000}
    licence = "ImageNet's terms of access: non-commercial research and education"
    homepage = "https://github.com/zhmiao/OpenLongTailRecognition-OLTR"
    citation = (
        "Liu, Miao, Zhan, Wang, Gong, Yu: Large-Scale Long-Tailed Recognition in an Open World"
        " (CVPR 2019); Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge (IJCV"
        " 2015)"
    )
    sources = (
        ByHand(
            "https://image-net.org/download-images",
            "register, and unpack ILSVRC2012_img_train.tar (with the tar of each class inside it)"
            " into train/<synset>/ and ILSVRC2012_img_val.tar into val/",
            155_000_000_000,
        ),
        ByHand(
            homepage,
            "the three lists. ImageNet_LT_train.txt has 4,658,674 bytes and sha256"
            " efdbdad4f050237c310b2f354cf95a8b1d7c8d57a63c4ea4bb6bf2bcb012f37f, ImageNet_LT_val.txt"
            " 804,172 and 9af7ba688acf9532ff5845a8fb14a1e97fdc4c51ac48bc72c08ea9c3f7ff142e",
            8_000_000,
        ),
    )

    def __init__(
        self, root: str = "", side: int = 256, lists: str = "", most_unreadable: float = 0.001
    ) -> None:
        super().__init__(root, side, most_unreadable)
        self.lists = lists

    @property
    def classes(self) -> tuple[str, ...]:
        return class_names()

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"a photo of {class_names()[label]}",)

    def holds(self, root: Path) -> bool:
        return (root / "train").is_dir() and find_list(
            _LISTS.format("train"), self._folders(root)
        ) is not None

    def listings(self, root: Path) -> Mapping[str, Listing]:
        listings = read_lists(_LISTS, self._folders(root), _CLASSES)
        for name, listing in listings.items():
            _check_synsets(name, listing)
        return listings

    def read(self, root: Path, ref: str) -> bytes:
        return super().read(root, self._path(root, ref))

    def stamp(self, root: Path, ref: str) -> tuple[int, int]:
        return super().stamp(root, self._path(root, ref))

    def missing(self, root: Path, refs: NDArray[np.str_]) -> tuple[NDArray[np.bool_], int]:
        return super().missing(
            root, np.array([self._path(root, ref) for ref in refs.tolist()], np.str_)
        )

    def _folders(self, root: Path) -> list[Path]:
        return [
            *([Path(self.lists).expanduser()] if self.lists else []),
            root,
            root / "ImageNet_LT",
        ]

    def _path(self, root: Path, ref: str) -> str:
        """The path of a photo; val/ may be flat, while the lists name it sorted into synsets."""
        first, _, rest = ref.partition("/")
        return (
            f"val/{rest.rpartition('/')[2]}" if first == "val" and _is_flat(root / "val") else ref
        )


@cache
def _is_flat(folder: Path) -> bool:
    return folder.is_dir() and not any(path.is_dir() for path in folder.iterdir())


def _check_synsets(name: str, listing: Listing) -> None:
    """Raise UserError where a photo's folder is not the synset of its label."""
    of_label = synsets()
    for ref, label in zip(listing.refs.tolist(), listing.labels.tolist(), strict=True):
        if ref.split("/")[-2:-1] != [of_label[label]]:
            raise UserError(
                f"the {name} list gives {ref} the label {label}, which is {of_label[label]}"
                f" ({class_names()[label]}); it is not ImageNet-LT's: get {_LISTS.format(name)}"
                " again"
            )


@cache
def synsets() -> tuple[str, ...]:
    """WordNet ids of the classes, index = label: ImageNet's folders in alphabetical order."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return tuple(info.index_to_label_name(label) for label in range(_CLASSES))


@cache
def class_names() -> tuple[str, ...]:
    """open_clip's names, which were chosen for CLIP ("slot machine" for WordNet's "slot").

    The names missile and sunglasses occur twice; those four classes have WordNet's first word.
    """
    from open_clip import IMAGENET_CLASSNAMES
    from timm.data import ImageNetInfo

    wordnet = ImageNetInfo()
    occurrences = Counter(IMAGENET_CLASSNAMES)
    return tuple(
        wordnet.index_to_description(label).partition(",")[0] if occurrences[name] > 1 else name
        for label, name in enumerate(IMAGENET_CLASSNAMES)
    )
