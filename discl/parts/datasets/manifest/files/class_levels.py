"""Which of nested folders are classes, cameras and bursts: by their names, and where they recur."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.manifest.files.folders import CONTAINERS, Path, PictureFolder

_GROUP = re.compile(
    r"(cam|camera|cams|cameratrap|ct|site|loc|location|station|trap|deployment|deploy|transect|plot"
    r"|grid|patient|subject|person|user|writer|scanner|device|sensor|hospital|farm|field)"
    r"[ _.-]?([a-z]|[a-z]{0,2}[ _.-]?\d[\da-z_.-]{0,8})",
    re.IGNORECASE,
)
_SEQUENCE = re.compile(
    r"(seq|sequence|burst|event|series|session|shot|video|vid|clip|track|tracklet|visit|day|night"
    r"|week|month|year|date|part|batch|roll|trip|encounter|capture)[ _.-]?\d[\d_.-]*"
    r"|(19|20)\d\d([-_. ]?\d\d){0,2}([-_ T]\d[\d_.:-]*)?|\d{1,2}[-_.]\d{1,2}[-_.](19|20)\d\d"
    r"|\d{3}[_-]?[A-Z][A-Z_]{2,7}|dcim",  # 100RECNX
    re.IGNORECASE,
)
# of those, names that are hardly ever classes
_NO_CLASS = re.compile(
    r"(19|20)\d\d[-_. ]?\d\d[-_. ]?\d\d([-_ T]\d[\d_.:-]*)?|\d{1,2}[-_.]\d{1,2}[-_.](19|20)\d\d"
    r"|\d{3}[_-]?(RECNX|BTCF|MEDIA|EK113|MSDCF|CANON|OLYMP|_PANA|GOPRO|APPLE)|dcim"
    r"|(seq|sequence|burst|event|clip|session|part|batch|roll|trip)[ _.-]?\d+",
    re.IGNORECASE,
)
# what may be said of the photos of any class
_CONDITIONS = frozenset(
    [
        *("day", "night", "dusk", "dawn", "rgb", "ir", "infrared", "colour", "color", "grey"),
        *("gray", "adult", "adults", "juvenile", "juveniles", "young", "male", "males", "female"),
        *("females", "left", "right", "front", "back", "side", "top", "original", "originals"),
        *("raw", "cropped", "crops", "resized", "extra", "extras", "more", "misc", "various"),
        *("photos", "photo", "additional", "augmented", "spring", "summer", "autumn", "winter"),
    ]
)
# names of classes that say nothing alone, and recur below classes of any kind
_REMAINDERS = frozenset(
    ["other", "others", "misc", "unknown", "unidentified", "empty", "blank", "background", "none"]
)
_NUMBERED = re.compile(r"(.*?)[ _.-]?\d+")
_SYNSET = re.compile(r"n\d{8}")
_MOST = 0.8  # of a level's names must be of a kind
_SHARED = 0.5  # of the names, or of the pictures, recur in other folders


@dataclass
class Levels:
    """What the folders of each path are."""

    depth: dict[Path, int] = field(default_factory=dict)  # of the class folder; 1 = the topmost
    group: dict[Path, str] = field(default_factory=dict)
    sequence: dict[Path, str] = field(default_factory=dict)
    stray: list[Path] = field(default_factory=list)  # pictures beside class folders
    copies: list[Path] = field(default_factory=list)  # folders with the class folders once more
    uppers: set[int] = field(default_factory=set)  # levels above, that are groups
    whys: dict[str, str] = field(default_factory=dict)  # what was decided, and why


def levels_of(top: PictureFolder) -> Levels:
    """The classes, groups and sequences of the folders below `top`."""
    levels = Levels()
    _decide(levels, top.below(), 1, [])
    return levels


def looks_like_groups(names: Iterable[str]) -> bool:
    """Whether names are those of cameras, sites, patients, days or bursts, not of classes."""
    listed = list(names)
    return len(listed) > 1 and any(
        all(pattern.fullmatch(name) for name in listed) for pattern in (_GROUP, _NO_CLASS)
    )


def _decide(
    levels: Levels, folders: list[PictureFolder], depth: int, group_depths: list[int]
) -> None:
    """Say what folders at one depth are, and go below those that are no classes."""
    deep = [folder for folder in folders if folder.inner]
    flat = [folder for folder in folders if folder.is_flat]
    upper = _kind([PictureFolder((), 0, {folder.name: folder for folder in folders})], [])
    lower = _kind(deep, deep)
    # cameras with photos that nobody has sorted yet
    are_groups = upper in ("group", "sequence") and not lower and 2 * len(deep) >= len(folders)
    if 2 * len(flat) >= len(folders) and not are_groups:
        names = {folder.name.lower() for folder in flat}
        parts = {name for folder in flat for name in folder.inner}
        for folder in folders:
            inner = {name.lower() for name in folder.inner}
            if len(inner & names) > len(inner) / 2:
                levels.copies.append(folder.path)
                _decide(levels, folder.below(), depth + 1, group_depths)
            elif folder.is_flat or len(inner) == 1 or inner & parts or _kind([folder], deep):
                _classes(levels, [folder], depth, group_depths)
            else:
                levels.stray += [folder.path] if folder.own else []
                _decide(levels, folder.below(), depth + 1, group_depths)
        return
    lowest = not any(inner.inner for folder in deep for inner in folder.inner.values())
    if lower == "sequence" and _are_numbers(folders, deep):
        lower, upper = "", "group"  # patients with classes 0 and 1
    # day/cam1/*.jpg has classes day and night, day/cam1/zebra/*.jpg has not
    if lower and (not upper or (upper == "condition" and lower != "condition" and lowest)):
        below = sorted({name for folder in deep for name in folder.inner})
        levels.whys["label"] = _WHY_LOWER[lower].format(depth=depth + 1, names=examples(below))
        _classes(levels, folders, depth, group_depths)
        return
    recurs = len(deep) > 1 and _recurrence(deep) >= _SHARED
    if upper or recurs:
        group_depths = [*group_depths, depth]
        levels.uppers.add(depth)
        levels.whys["group"] = (
            "the folders in each of them have the same names"
            if recurs
            else "their names are those of places, cameras or times"
        )
    levels.stray += [folder.path for folder in folders if folder.own]
    _decide(levels, [one for folder in deep for one in folder.below()], depth + 1, group_depths)


_WHY_LOWER = {
    "group": "the folders of level {depth} have names of cameras, sites or patients",
    "sequence": "the folders of level {depth} have names of bursts or dates",
    "condition": "those of level {depth} have names that any class's photos may have: {names}",
    "same": "the folders of level {depth} have the same name everywhere: {names}",
}


def _classes(
    levels: Levels, folders: list[PictureFolder], depth: int, group_depths: list[int]
) -> None:
    """Note folders as classes, with all that lies below them."""
    for folder in folders:
        numbered = _kind([folder], folders) == "sequence"
        for inner in folder.all():
            if not inner.own:
                continue
            path = inner.path
            levels.depth[path] = depth
            rest = path[depth:]
            groups = [path[level - 1] for level in group_depths]
            groups += [name for name in rest if _GROUP.fullmatch(name)]
            if groups:
                levels.group[path] = "/".join(groups)
            if any(_SEQUENCE.fullmatch(name) for name in rest) or (rest and numbered):
                levels.sequence[path] = "/".join(path)


def _kind(folders: list[PictureFolder], beside: list[PictureFolder]) -> str:
    """What the folders in `folders` are that are no classes; "" where they may be classes.

    `beside` are the folders in which names may recur, all of `folders` among them.
    """
    names = sorted({name for folder in folders for name in folder.inner})
    if not names:
        return ""
    if len(folders) > 1 and len(names) == 1:
        return "same"
    for kind, pattern in (("group", _GROUP), ("sequence", _SEQUENCE)):
        if _mostly(pattern.fullmatch(name) is not None for name in names):
            return kind
    if all(name.lower() in _CONDITIONS for name in names):
        return "condition"
    own = [
        name.lower().startswith(folder.name.lower()) and _NUMBERED.fullmatch(name) is not None
        for folder in folders
        if folder.name
        for name in folder.inner
    ]
    if own and _mostly(own):  # zebra/zebra_01
        return "sequence"
    counted = Counter(match[1].lower() for name in names if (match := _NUMBERED.fullmatch(name)))
    is_counted = len(counted) == 1 and counted.total() == len(names)
    if is_counted and not all(map(_SYNSET.fullmatch, names)) and len(beside) > 1:
        return "sequence" if _recurrence(beside) >= _SHARED else ""
    return ""


def _are_numbers(folders: list[PictureFolder], deep: list[PictureFolder]) -> bool:
    """Whether numbers of several digits hold folders 0, 1, ..., the same few in most of them.

    Bursts begin with 1, or are as many as there are.
    """
    inner = Counter(name for folder in deep for name in folder.inner)
    return (
        all(folder.name.isdecimal() and len(folder.name) > 1 for folder in folders)
        and all(name.isdecimal() and len(name) == 1 for name in inner)
        and {"0", "1"} <= inner.keys()
        and len(inner) < len(folders)
        and _mostly(count > len(deep) / 2 for count in inner.values())
    )


def _mostly(facts: Iterable[bool]) -> bool:
    listed = list(facts)
    return sum(listed) >= _MOST * len(listed)


def _recurrence(folders: list[PictureFolder]) -> float:
    """The share of the names of inner folders, or of pictures, that several of `folders` have."""
    counts = Counter(
        name for folder in folders for name in folder.inner if name.lower() not in _REMAINDERS
    )
    if not counts:
        return 0.0
    shared = {name for name, count in counts.items() if count > 1}
    pictures = [
        (name in shared, inner.total)
        for folder in folders
        for name, inner in folder.inner.items()
        if name in counts
    ]
    of_pictures = sum(count for is_shared, count in pictures if is_shared) / sum(
        count for _, count in pictures
    )
    return max(len(shared) / len(counts), of_pictures)


def tidied(path: Path) -> Path:
    """A path without folders that only hold the pictures of the one they lie in."""
    return tuple(name for name in path if name.lower() not in CONTAINERS)
