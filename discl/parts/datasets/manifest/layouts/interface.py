"""The interface of a layout of labelled photos in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

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

    def stamp(self, root: Path, ref: str) -> tuple[int, int] | None:
        """(size, time in ns) of the file the photo lies in; None = `ref` is its path."""
