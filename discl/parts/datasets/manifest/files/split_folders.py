"""Which folders are splits: by their names, and by what lies in them and beside them."""

from __future__ import annotations

from typing import NamedTuple

from discl.core.errors import UserError
from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.manifest.files.folders import CONTAINERS, Path, PictureFolder
from discl.parts.datasets.manifest.usual_names import plain_name, split_of, splits_of

_SIZES = ("mini", "small", "tiny", "sample", "balanced", "clean")
_WRAPPER = 0.9  # of the pictures lie in a folder around everything


class Part(NamedTuple):
    """A folder that holds class folders, or pictures of one class."""

    path: Path
    split: str | None
    label: Path = ()  # the class folders above it: zebra/train


class Parts(NamedTuple):
    """Where class folders lie."""

    parts: tuple[Part, ...]
    why: str  # of the decision about splits; "" = there are none
    unused: tuple[Path, ...] = ()  # folders beside them


def parts_of(top: PictureFolder, ood: tuple[str, ...]) -> Parts:
    """The folders below `top` that hold class folders, with the splits they are.

    `ood` are names of splits that the user gives. Raises UserError where there are splits but no
    train, or no class folder in any of them.
    """
    unused: list[Path] = []
    folder = top
    while True:
        found = _splits_in(folder, ood) or _splits_below(folder)
        if found is not None:
            return found._replace(unused=(*unused, *found.unused))
        inner = _wrapped(folder, ood)
        if inner is None:
            return Parts((Part(folder.path, None),), "", tuple(unused))
        unused += [other.path for other in folder.below() if other is not inner]
        folder = inner


def _wrapped(folder: PictureFolder, ood: tuple[str, ...]) -> PictureFolder | None:
    """The folder in a folder that holds everything, where its name says nothing."""
    inner = folder.below()
    deep = [one for one in inner if one.inner]
    if len(deep) != 1:
        return None
    (one,) = deep
    if len(inner) == 1 or _splits_in(one, ood):
        return one
    wraps = one.is_container or one.name.lower() in ("dataset", "data", "archive", "photos")
    return one if wraps and one.total >= _WRAPPER * folder.total else None


def _splits_in(folder: PictureFolder, ood: tuple[str, ...]) -> Parts | None:
    """The splits directly in a folder; None where its folders are something else."""
    splits = _named(folder, ood)
    named = [one for one in folder.below() if one.name in splits]
    others = [one for one in folder.below() if one.name not in splits]
    deep = [one for one in named if unwrapped(one).inner]
    if not named or (not deep and others):
        return None
    trains = [one for one in deep if splits[one.name] == "train"]
    if not deep:
        raise UserError(
            f"{examples(_text(one.path) + '/' for one in named)}: the photos lie in no class"
            " folders; sort them as train/CLASS/1.jpg, or add a list with the columns file_name"
            " and label"
        )
    if others and not _are_splits_among(named, trains, others):
        return None
    if not trains:
        if len(named) == 1 and not others:
            why = f"{_text(named[0].path)}/ is the only folder and taken for all photos"
            return Parts((Part(unwrapped(named[0]).path, None),), why)
        raise UserError(
            f"{examples(_text(one.path) + '/' for one in (*named, *others))}: none of these"
            " folders is called train; rename the one with the photos to learn from"
        )
    parts = [Part(unwrapped(one).path, splits[one.name]) for one in named]
    unused = []
    for other in others:
        inner = _ood_in(other) if other.name.lower() == "ood" else []
        parts += inner
        unused += [] if inner else [other.path]
    told = ", ".join(f"{_text(one.path)}/ is {splits[one.name]}" for one in named)
    return Parts(tuple(parts), told, tuple(unused))


def _named(folder: PictureFolder, ood: tuple[str, ...]) -> dict[str, str]:
    """Names of folders that stand for splits -> the splits."""
    splits = splits_of(sorted(folder.inner))
    small = {name: split_of(rest) for name in folder.inner if (rest := _without_size(name))}
    splits |= {
        name: split
        for name, split in small.items()
        if split is not None and name not in splits and split not in splits.values()
    }
    return splits | {name: name for name in folder.inner if name in ood and name not in splits}


def _without_size(name: str) -> str:
    """The name of a split's smaller copy without the word that says so: train_mini."""
    words = plain_name(name).split("_")
    return "_".join(words[:-1]) if len(words) > 1 and words[-1] in _SIZES else ""


def _are_splits_among(
    named: list[PictureFolder], trains: list[PictureFolder], others: list[PictureFolder]
) -> bool:
    """Whether folders named as splits are some, although others lie beside them.

    A class `train` lies beside bus and plane: no val or test is there, and its folders are not
    those of the others.
    """
    classes = {name for one in named for name in unwrapped(one).inner}
    shared = any(classes & set(unwrapped(other).inner) for other in others)
    if not trains:
        return shared
    if len(named) > 1 or shared or len(others) == 1:
        return True
    return len(classes) > 1 and sum(one.total for one in trains) >= sum(
        other.total for other in others
    )


def _ood_in(folder: PictureFolder) -> list[Part]:
    """ood/NAME/CLASS, or ood/CLASS."""
    folder = unwrapped(folder)
    inner = folder.below()
    if all(unwrapped(one).inner for one in inner):
        return [Part(unwrapped(one).path, f"ood/{one.name}") for one in inner]
    return [Part(folder.path, "ood/ood")]


def _splits_below(folder: PictureFolder) -> Parts | None:
    """Splits in class folders: zebra/train, zebra/test, lion/train, ..."""
    classes = folder.below()
    splits = {one.path: splits_of(sorted(one.inner)) for one in classes}
    having = [one for one in classes if "train" in splits[one.path].values()]
    if len(having) < 2 or len(having) <= len(classes) / 2:
        return None
    parts = []
    unused = []
    for one in classes:
        for inner in one.below():
            split = splits[one.path].get(inner.name)
            if split is None:
                unused.append(inner.path)
            else:
                parts.append(Part(unwrapped(inner).path, split, (one.name,)))
    names = sorted({pair for one in classes for pair in splits[one.path].items()})
    told = ", ".join(f"{name}/ in {len(having)} class folders is {split}" for name, split in names)
    return Parts(tuple(parts), told, tuple(unused))


def unwrapped(folder: PictureFolder) -> PictureFolder:
    """The folder that holds the class folders: train/train/, train/images/ and so on."""
    while len(folder.inner) == 1 and not folder.is_flat:
        (inner,) = folder.below()
        same = inner.name.lower() == folder.name.lower()
        wraps = inner.name.lower() in CONTAINERS or split_of(inner.name) is not None
        if not (same or wraps):
            break
        folder = inner
    return folder


def _text(path: Path) -> str:
    return "/".join(path)
