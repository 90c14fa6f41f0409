"""ImageNet-LT: 1,000 classes with 5 to 1,280 of ImageNet's photos; its validation is the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import Listing
from discl.files.sources import Address, Archives, ByHand, RemoteFile
from discl.parts.datasets.base.parquet_photos import ParquetPhotos, pictures_of
from discl.parts.datasets.base.photo_contents import Place
from discl.parts.datasets.base.text_lists import ListedDataset

_CLASSES = 1000
_LISTS = "ImageNet_LT_{}.txt"
_DRIVE = "https://drive.google.com/uc?export=download&id="  # the authors' own
_GITHUB = "https://raw.githubusercontent.com"
_COPIES = (  # of the authors' lists, at fixed commits
    "facebookresearch/classifier-balancing/f162adef63fdf592d0b8a0f6e52bc481fc08785f",
    "Dylanhj/BALLAD/189603c1750944b3688755ad0725c4811999c0e8",
)
_HUB_PAGE = "https://huggingface.co/datasets/ILSVRC/imagenet-1k"
_HUB = "hf://datasets/ILSVRC/imagenet-1k@49e2ee26f3810fb5a7536bbf732a7b07389a47b5/data"
_SHARDS = {"train": 294, "validation": 14}  # of about 500 and 480 MB


def _list(split: str, bytes: int, sha256: str, drive: str = "") -> RemoteFile:
    """A list of the authors and its copies, the first of which serves where they have none."""
    name = _LISTS.format(split)
    copies = [f"{_GITHUB}/{copy}/data/ImageNet_LT/{name}" for copy in _COPIES]
    first, *others = [_DRIVE + drive, *copies] if drive else copies
    mirrors = tuple(map(Address, others))
    return RemoteFile(first, bytes, sha256, unpack=False, file_name=name, mirrors=mirrors)


def _shards() -> tuple[RemoteFile, ...]:
    """ImageNet-1k's photos as the Hub has them; it states the digest of each when it is asked."""
    return tuple(
        RemoteFile(
            f"{_HUB}/{split}-{number:05d}-of-{count:05d}.parquet",
            approximate_bytes=500_000_000 if split == "train" else 478_000_000,
            into="data",
            unpack=False,
            terms=_HUB_PAGE,
        )
        for split, count in _SHARDS.items()
        for number in range(count)
    )


class ImageNetLT(ListedDataset):
    """ImageNet-LT (Liu et al. 2019).

    `root` is an ImageNet folder as ILSVRC ships it: `train/<synset>/*.JPEG`, and `val/` sorted into
    synsets or flat; or it holds the Parquet shards of the Hub's ILSVRC/imagenet-1k (`data/train-*`
    and `data/validation-*`), which are read as they are. The lists ImageNet_LT_train.txt, _val.txt
    and _test.txt lie in it, or in `lists`. `side` 256 leaves room for crops of 224. By the lists,
    385 classes have more than 100 training photos and 136 fewer than 20 (1,643 photos).
    """

    list_name = _LISTS
    list_folder = "ImageNet_LT"
    labels = _CLASSES
    folder_name = "imagenet_lt"
    layout = (
        "train/ and val/ of ImageNet's photos, or the Hub's shards data/train-*.parquet and"
        " data/validation-*.parquet; and ImageNet_LT_train.txt, ImageNet_LT_val.txt and"
        " ImageNet_LT_test.txt"
    )
    published: Mapping[str, int] = {"train": 115_846, "val": 20_000, "test": 50_000}
    published_classes = _CLASSES
    published_tail: Mapping[int, int] = {20: 1_643}
    licence = "ImageNet's terms of access: non-commercial research and education"
    homepage = "https://github.com/zhmiao/OpenLongTailRecognition-OLTR"
    citation = (
        "Liu, Miao, Zhan, Wang, Gong, Yu: Large-Scale Long-Tailed Recognition in an Open World"
        " (CVPR 2019); Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge (IJCV"
        " 2015)"
    )
    list_files = (
        _list(
            "train",
            4_658_674,
            "efdbdad4f050237c310b2f354cf95a8b1d7c8d57a63c4ea4bb6bf2bcb012f37f",
            "1Sl1cwy6Dei1I1BMS1YKjI35fkaR1UA_7",
        ),
        _list(
            "val",
            804_172,
            "9af7ba688acf9532ff5845a8fb14a1e97fdc4c51ac48bc72c08ea9c3f7ff142e",
            "1AjYczW4khrQrwPIygXUkHF-Qv4QGEsCF",
        ),
        _list(
            "test",
            2_344_500,
            "d1590191cf8a71fada7b1aaedaa2d139a2aea93ff2f1b755319d0bd8dbaa55d5",
        ),
    )
    sources = (
        Archives(
            f"the lists, and the Hub's ImageNet-1k (accept the terms at {_HUB_PAGE}, put a token"
            " into HF_TOKEN)",
            (
                *list_files,
                *_shards(),
            ),
        ),
        ByHand(
            "https://image-net.org/download-images",
            "register, and unpack ILSVRC2012_img_train.tar (md5 1d675b47d978889d74fa0da5fadfb00e,"
            " with the tar of each class inside it) into train/<synset>/ and ILSVRC2012_img_val.tar"
            " (md5 29b22e2961454d5413ddabcf34fc5622) into val/, and the three lists beside them",
            155_000_000_000,
        ),
    )

    @property
    def classes(self) -> tuple[str, ...]:
        return class_names()

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"a photo of {class_names()[label]}",)

    def has_photos(self, root: Path) -> bool:
        return (root / "train").is_dir() or bool(_shards_in(root))

    def listings(self, root: Path) -> Mapping[str, Listing]:
        listings = super().listings(root)
        for name, listing in listings.items():
            _check_synsets(name, listing)
        return listings

    def read(self, root: Path, ref: str) -> bytes:
        photos = _photos(root)
        return photos.read(ref) if photos else super().read(root, self._path(root, ref))

    def places(self, root: Path, refs: Sequence[str]) -> Sequence[Place]:
        photos = _photos(root)
        if photos is None:
            return [Place(self._path(root, ref)) for ref in refs]
        paths = [shard.relative_to(root).as_posix() for shard in photos.shards]
        shards, rows = photos.rows(refs)
        return [
            Place(paths[shard], photos.column, row)
            for shard, row in zip(shards.tolist(), rows.tolist(), strict=True)
        ]

    def cells(self, root: Path, path: str, column: str) -> Iterable[bytes | None]:
        return pictures_of(root / path, column)

    def missing(self, root: Path, refs: NDArray[np.str_]) -> tuple[NDArray[np.bool_], int]:
        photos = _photos(root)
        if photos is not None:
            return photos.rows(refs.tolist())[0] < 0, 0
        return super().missing(
            root, np.array([self._path(root, ref) for ref in refs.tolist()], np.str_)
        )

    def _path(self, root: Path, ref: str) -> str:
        """The path of a photo; val/ may be flat, while the lists name it sorted into synsets."""
        first, _, rest = ref.partition("/")
        return (
            f"val/{rest.rpartition('/')[2]}" if first == "val" and _is_flat(root / "val") else ref
        )


def _shards_in(root: Path) -> list[Path]:
    """The Parquet shards of training and validation photos, in order."""
    return [
        shard
        for folder in (root / "data", root)
        for kind in ("train", "val")
        for shard in sorted(folder.glob(f"{kind}*-of-*.parquet"))
    ]


def _photos(root: Path) -> ParquetPhotos | None:
    """The photos of the Hub's shards; None where they lie in folders."""
    changed = [folder.stat().st_mtime_ns for folder in (root, root / "data") if folder.is_dir()]
    return _photos_as_of(root, tuple(changed))


@lru_cache(maxsize=4)
def _photos_as_of(root: Path, changed_ns: tuple[int, ...]) -> ParquetPhotos | None:
    if (root / "train").is_dir():
        return None
    shards = _shards_in(root)
    return ParquetPhotos(shards) if shards else None


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
