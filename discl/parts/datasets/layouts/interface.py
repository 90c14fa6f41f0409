"""The interface of a layout of labelled photos in a folder."""

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
_LABEL_COLUMNS = (
    "label",
    "labels",
    "class",
    "class_name",
    "category",
    "species",
    "target",
    "fine_label",
)


class ColumnNames(NamedTuple):
    """Names of columns that the user gives; "" = to be found."""

    image: str = ""
    label: str = ""
    group: str = ""


class SplitRows(NamedTuple):
    """The photos of one split."""

    refs: list[str]
    # class names, or numbers where `FolderContents.names` has the names; None where there is none
    labels: list[Any]
    groups: list[Any]


class FolderContents(NamedTuple):
    """The photos in a folder by split."""

    splits: dict[str, SplitRows]  # the key is "" where the folder is not split
    names: tuple[str, ...] | None = None  # of the classes, where the labels are numbers
    remarks: tuple[str, ...] = ()


class FolderLayout(Protocol):
    """One way to lay out labelled photos."""

    def recognises(self, root: Path) -> bool:
        """Whether the folder has this layout; must be fast."""

    def contents(self, root: Path, columns: ColumnNames) -> FolderContents:
        """Everything in the folder; opens no photo."""

    def read(self, root: Path, ref: str) -> bytes | None:
        """The bytes of a photo; None = `ref` is the path of its file."""

    def stamp(self, root: Path, ref: str) -> tuple[int, int] | None:
        """(size, time in ns) of the file the photo lies in; None = `ref` is its path."""


def split_of(name: str) -> str | None:
    """The split that a folder or file name stands for; None where it stands for none.

    `validation` is `val`, and `ood_night` is `ood/night`.
    """
    if name.lower().startswith(("ood_", "ood-")) and len(name) > 4:
        return "ood/" + name[4:]
    return _SPLITS.get(name.lower())


def label_column(names: Sequence[str], columns: ColumnNames, where: Path) -> str:
    """The column with the class.

    Raises UserError where none of the columns has the name of a label.
    """
    if columns.label:
        return present(columns.label, names, "label_column", where)
    candidates = [name for name in _LABEL_COLUMNS if name in names]
    if not candidates:
        raise UserError(
            f"{where} has the columns {', '.join(names)}: which of them is the class? set"
            " dataset.label_column"
        )
    return candidates[0]


def present(name: str, names: Sequence[str], key: str, where: Path) -> str:
    """`name`, where it is a column; raises UserError where it is not."""
    if name not in names:
        raise UserError(f"dataset.{key} = {name!r}: {where} has the columns {', '.join(names)}")
    return name
