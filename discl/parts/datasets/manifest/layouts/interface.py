"""The interface of a layout of labelled photos in a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

from discl.parts.datasets.base.photo_contents import Place
from discl.parts.datasets.manifest.rows import Contents, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree


class Layout(Protocol):
    """One way to lay out labelled photos."""

    title: str  # for people, such as "class folders" or "COCO Camera Traps"

    def recognises(self, tree: FileTree, options: ReadOptions) -> bool:
        """Whether the folder has this layout; must be fast, and opens no photo."""

    def contents(self, tree: FileTree, options: ReadOptions) -> Contents:
        """Everything that the folder lists; opens no photo.

        Raises UserError, with the file and the row, where the layout contradicts itself.
        """

    def read(self, root: Path, ref: str) -> bytes | None:
        """The bytes of a photo; None = `ref` is the path of its file."""


@runtime_checkable
class TableLayout(Layout, Protocol):
    """A layout whose photos lie in tables, some or all; each row of a table has its digest."""

    def place(self, ref: str) -> Place | None:
        """The table and row a photo lies in; None = `ref` is the path of its file."""

    def cells(self, root: Path, path: str, column: str) -> Iterable[bytes | None]:
        """What `read` gives of all rows of a table, in their order, None where a row has none.

        `path` and `column` are those of a place.
        """
