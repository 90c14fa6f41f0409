"""What the ways to lay out labelled photos in a folder have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from discl.core.errors import UserError

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "id_val": "id_val",
    "id_test": "id_test",
}
_LABELS = ("label", "labels", "class", "class_name", "category", "species", "target", "fine_label")


class Wanted(NamedTuple):
    """Columns by name, where a person said; "" = to be found."""

    image: str = ""
    label: str = ""
    group: str = ""


class Columns(NamedTuple):
    """The rows of one split."""

    refs: list[str]
    labels: list[
        Any
    ]  # class names; numbers where `Found.names` has the names; None where there is none
    groups: list[Any]


class Found(NamedTuple):
    """What lies in a folder."""

    splits: dict[str, Columns]  # "" where it is not split
    names: tuple[str, ...] | None = None  # of the classes, where the labels are numbers into them
    remarks: tuple[str, ...] = ()


class Layout(Protocol):
    """One way to lay out labelled photos."""

    def recognises(self, root: Path) -> bool:
        """Whether the folder is laid out so; answered at once."""

    def look(self, root: Path, wanted: Wanted) -> Found:
        """Everything in it; opens no photo."""

    def read(self, root: Path, ref: str) -> bytes | None:
        """The bytes of a photo; None = `ref` is the path of its file."""

    def stamp(self, root: Path, ref: str) -> tuple[int, int] | None:
        """(size, time in ns) of the file the photo lies in; None = `ref` is its path."""


def split_of(name: str) -> str | None:
    """The split that a folder or a file is called after, such as `val` for `validation` and
    `ood/night` for `ood_night`.
    """
    if name.lower().startswith(("ood_", "ood-")) and len(name) > 4:
        return "ood/" + name[4:]
    return _SPLITS.get(name.lower())


def label_column(names: Sequence[str], wanted: Wanted, where: Path) -> str:
    """The column with the class."""
    if wanted.label:
        return present(wanted.label, names, "label_column", where)
    usual = [name for name in _LABELS if name in names]
    if not usual:
        raise UserError(
            f"{where} has the columns {', '.join(names)}: which of them is the class? set"
            " dataset.label_column"
        )
    return usual[0]


def present(name: str, names: Sequence[str], key: str, where: Path) -> str:
    """`name`, where it is a column."""
    if name not in names:
        raise UserError(f"dataset.{key} = {name!r}: {where} has the columns {', '.join(names)}")
    return name
