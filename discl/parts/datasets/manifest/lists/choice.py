"""Which of several lists are read: those of one set of splits, or the only one."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from pathlib import Path

from discl.core.errors import UserError
from discl.core.text import listed
from discl.parts.datasets.manifest.tree import FileTree
from discl.parts.datasets.manifest.usual_names import SPLITS, plain_name, split_of

_SHARD = re.compile(r"-\d{4,}(-of-\d{4,})?(-[0-9a-f]+)?$")  # of `datasets`
_MAIN = "metadata"  # the name of lists of Hugging Face's image folders


def split_of_list(ref: str) -> str | None:
    """The split that a list's name or its folder says: `train.csv`, `Places_LT_val.txt`."""
    folder, name = folder_of_list(ref), ref.rpartition("/")[2]
    stem = _SHARD.sub("", name.rpartition(".")[0])
    words = {SPLITS[word] for word in plain_name(stem).split("_") if word in SPLITS}
    if words == {"train", "val"}:  # both together, to be divided
        words = {"train"}
    found = split_of(stem) or (words.pop() if len(words) == 1 else None)
    return found or split_of(folder.rpartition("/")[2])


def folder_of_list(ref: str) -> str:
    """The folder that a list's paths start from; of a list elsewhere it is the root."""
    return "" if ref.startswith("/") else ref.rpartition("/")[0]


def lists_of_one_kind(refs: Sequence[str]) -> list[str]:
    """Those of the lists of photos that are read.

    Lists of splits whose names are else equal belong together, as do lists of one name in several
    folders. Raises UserError where several could be the one.
    """
    families: dict[str, list[str]] = {}
    single = list[str]()
    for ref in refs:
        if split_of_list(ref):
            families.setdefault(_family(ref), []).append(ref)
        else:
            single.append(ref)
    whole = {
        key: found
        for key, found in families.items()
        if "train" in map(split_of_list, found) and (len(found) > 1 or not single)
    }
    if len(whole) > 1:
        plain = [key for key in whole if not re.search(r"\w", key.rpartition("/")[2])]
        if len(plain) != 1:
            raise _several([found[0] for found in whole.values()], " with * for the split's name")
        return whole[plain[0]]
    if whole:
        (found,) = whole.values()
        if len(set(map(split_of_list, found))) < len(set(map(_without_shard, found))):
            raise _several(found)
        return found
    if not single:
        return [ref for found in families.values() for ref in found]
    if len(set(map(_without_shard, single))) == 1:
        return single
    main = [ref for ref in single if Path(ref).stem == _MAIN]
    if len(single) > 1 and len({Path(ref).name for ref in main or single}) > 1:
        raise _several(single)
    return main or single


def given_lists(tree: FileTree, table: str) -> list[str]:
    """The lists that `dataset.table` names, with * for any letters; elsewhere, an absolute path.

    They are looked for below the root, then from the working folder. Raises UserError where there
    is none.
    """
    path = Path(table).expanduser()
    if (path.is_absolute() or not (tree.root / path).is_file()) and path.is_file():
        if not path.resolve().is_relative_to(tree.root.resolve()):
            return [path.absolute().as_posix()]
        path = path.resolve().relative_to(tree.root.resolve())
    table = path.as_posix()
    if "*" in table and (found := fnmatch.filter(tree.lists, table)):
        return found
    if "*" in table or not (tree.root / table).is_file():
        known = ", ".join(tree.lists[:5]) or "none"
        raise UserError(f"dataset.table = {table!r} is not there; lists in {tree.root}: {known}")
    return [table]


def _without_shard(ref: str) -> str:
    """A list's path without the number of the part of it."""
    stem, _, ending = ref.rpartition(".")
    return f"{_SHARD.sub('', stem)}.{ending}"


def _family(ref: str) -> str:
    """A list's path without the words that name its split, and the number of its part."""
    ref = _without_shard(ref)
    folder, _, name = ref.rpartition("/")
    above, _, inner = folder.rpartition("/")
    if split_of(inner):
        folder = above
    elif split_of_list(f"{inner}.") and inner:  # Training_GroundTruth/
        folder = f"{above}/{_without_splits(inner)}"
    kept = _without_splits(Path(name).stem)
    if split_of(Path(name).stem):
        kept = ""
    return f"{Path(name).suffix.lower()}/{folder}/{kept}"


def _without_splits(name: str) -> str:
    words = re.split(r"(?<=[\W_])|(?=[\W_])", name)
    kept = "".join(word for word in words if word.lower() not in SPLITS)
    return re.sub(r"[\W_]+", "_", kept).strip("_")


def _several(refs: Sequence[str], hint: str = ", * stands for any letters") -> UserError:
    return UserError(
        f"{listed(refs[:4])} all list photos with their classes; set dataset.table to the one to"
        f" read{hint}"
    )
