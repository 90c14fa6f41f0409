"""Pictures that belong to a photo beside them and are no photos themselves: masks."""

from __future__ import annotations

import re
from collections import Counter

MASKS = "mask(s) of photos beside them"
# x_mask.png, x_segmentation.png, "x (1)_mask_2.png", beside x.jpg
_MASK_OF = re.compile(
    r"(.+)[ _.-](?:mask|masks|seg|segm|segmentation|segmented|gt|groundtruth|matte)"
    r"(?:[ _-]?\d+)?\.[^./]*",
    re.IGNORECASE,
)
_MAY_BE_MASK = re.compile(r"mask|seg|gt|groundtruth|matte", re.IGNORECASE)
_MASK_FOLDERS = frozenset(
    [
        *("mask", "masks", "segmentation", "segmentations", "segmentationclass", "gt"),
        *("segmentationobject", "groundtruth", "ground_truth", "annotations", "labels", "mattes"),
        *("trimap", "trimaps", "annotation"),
    ]
)
_PHOTO_FOLDERS = frozenset(
    [
        *("images", "image", "imgs", "img", "photos", "photo", "pictures", "jpegimages", "rgb"),
        *("originals", "original", "inputs", "input", "jpg", "jpeg", "jpegs"),
    ]
)
_TAIL = 24  # characters of a path in which a mask's name says so
_MOST_OF = 0.5  # share of a mask folder's pictures that must have their photo


def masks(pictures: list[str], folders: dict[str, list[str]]) -> set[str]:
    """The references that are masks of other pictures.

    By name, `x_mask.png` where there is a picture `x` in the same folder; or in a folder called
    masks/ where most pictures are called as those of images/ beside it.
    """
    mask_folders = {
        f"{folder}/{name}".lstrip("/"): [inner for inner in names if inner in photo_names]
        for folder, names in folders.items()
        if (photo_names := [name for name in names if name.lower() in _PHOTO_FOLDERS])
        for name in names
        if name.lower() in _MASK_FOLDERS
    }
    by_name = [ref for ref in pictures if _MAY_BE_MASK.search(ref, len(ref) - _TAIL)]
    if not by_name and not mask_folders:
        return set()
    stems = {_stem(ref) for ref in pictures}
    found = {
        ref
        for ref in by_name
        if (match := _MASK_OF.fullmatch(ref)) is not None and match[1] in stems
    }
    for folder, photo_folders in mask_folders.items():
        inside = [ref for ref in pictures if ref.startswith(folder + "/")]
        parent = folder.rpartition("/")[0]
        photos = [f"{parent}/{name}".lstrip("/") for name in photo_folders]
        of_photos = [ref for ref in inside if _has_photo(ref[len(folder) :], photos, stems)]
        if len(of_photos) > _MOST_OF * len(inside):
            found.update(inside)
    return found


def _has_photo(below: str, photo_folders: list[str], stems: set[str]) -> bool:
    """Whether one of the photo folders has a picture of the name of a mask, `/x` or `/x_mask`.

    Masks of several kinds lie in folders of their own: annotations/trimaps/x.png.
    """
    named = _MASK_OF.fullmatch(below)
    names = [_stem(below), *([named[1]] if named else [])]
    names += [name[name.rindex("/") :] for name in names if name.count("/") == 2]
    return any(folder + name in stems for folder in photo_folders for name in names)


def _stem(ref: str) -> str:
    folder, slash, name = ref.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def by_folder(refs: list[str], most: int = 5) -> str:
    """How many of the references lie in which folder, most first: `gnu 30, zebra 2`."""
    counts = Counter(ref.rpartition("/")[0] or "the folder itself" for ref in refs)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    listed = [f"{folder} {count:,}" for folder, count in ordered[:most]]
    more = len(ordered) - most
    return ", ".join([*listed, *([f"{more:,} more folder(s)"] if more > 0 else [])])
