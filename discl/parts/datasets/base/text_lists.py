"""Lists of photos, one "path label" per line, as Liu et al. (2019) published their datasets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import Listing, Progress
from discl.core.plain_files import plain_text
from discl.files.disk import data_home
from discl.files.sources import Archives, RemoteFile, obtain, safe_path
from discl.parts.datasets.base.file_dataset import FileDataset

SPLITS = ("train", "val", "test")


class ListedDataset(FileDataset):
    """Base of a dataset whose splits are lists over the photos of a larger one.

    The lists lie in the folder `lists`, in `root` or in its `list_folder`; where the photos are
    there and no lists, these are fetched, since they are small.
    """

    not_hashed = ("root", "lists", "most_unreadable")

    list_name: str  # such as "ImageNet_LT_{}.txt"
    list_folder: str  # in which the authors have them
    list_files: tuple[RemoteFile, ...]  # where they can be had
    labels: int  # below which labels are

    def __init__(
        self, root: str = "", side: int = 256, lists: str = "", most_unreadable: float = 0.001
    ) -> None:
        """Settings:

        `root`: the folder with the photos, laid out as they are published.
        `side`: pixels of the side of the square that networks see.
        `lists`: the folder with the lists of train, val and test; empty is `root`.
        `most_unreadable`: share of listed photos that may be missing, and of photos that may be
            unreadable.
        """
        super().__init__(root, side, most_unreadable)
        self.lists = lists

    @abstractmethod
    def has_photos(self, root: Path) -> bool:
        """Whether the photos of the larger dataset lie in `root`; must be fast."""

    def holds(self, root: Path) -> bool:
        return self.has_photos(root) and self._has_lists(root)

    def listings(self, root: Path) -> Mapping[str, Listing]:
        return read_lists(self.list_name, self._folders(root), self.labels)

    def _has_lists(self, root: Path) -> bool:
        return find_list(self.list_name.format("train"), self._folders(root)) is not None

    def _folders(self, root: Path) -> list[Path]:
        given = [Path(self.lists).expanduser()] if self.lists else []
        return [*given, root, root / self.list_folder, self._fetched_lists]

    @property
    def _fetched_lists(self) -> Path:
        return data_home() / f"{self.folder_name}_lists"

    def _fetch(self, progress: Progress, asked: bool) -> Path:
        """The lists alone, where the photos are there; else everything."""
        with_photos = [
            root
            for candidate in self._candidates()
            if candidate.is_dir()
            for root in (candidate, *self._inner_folders(candidate))
            if self.has_photos(root)
        ]
        if not with_photos or any(map(self._has_lists, with_photos)):
            return super()._fetch(progress, asked)
        source = Archives(f"the lists of {self.name}", self.list_files)
        try:
            obtain([source], self._fetched_lists, progress, asked)
        except UserError as error:
            names = ", ".join(self.list_name.format(split) for split in SPLITS)
            raise UserError(
                f"the photos of {self.name} lie in {with_photos[0]}, its lists do not ({names});"
                " put them there, or into the folder that dataset.lists names. Tried just now:"
                f" {error}"
            ) from error
        return with_photos[0].absolute()


def find_list(name: str, folders: Sequence[Path]) -> Path | None:
    """The list of this name in the first of `folders` that has it; None where none has."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def read_lists(pattern: str, folders: Sequence[Path], classes: int) -> dict[str, Listing]:
    """The three splits of `pattern`, such as "ImageNet_LT_{}.txt".

    Raises UserError where a list is missing or damaged.
    """
    listings = {}
    for split in SPLITS:
        path = find_list(pattern.format(split), folders)
        if path is None:
            raise UserError(
                f"{pattern.format(split)} is missing; it lies in none of"
                f" {', '.join(str(folder) for folder in folders)}"
            )
        listings[split] = read_list(path, classes)
    return listings


def read_list(path: Path, classes: int) -> Listing:
    """A listing from lines of a path inside the folder and a label below `classes`.

    Raises UserError where the file cannot be read or a line is something else.
    """
    try:
        lines = [
            (number, line.strip())
            for number, line in enumerate(plain_text(path).splitlines(), 1)
            if line.strip()
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as a list of photos ({error}); get it again"
        ) from error
    rows = [_parsed(line, f"{path}, line {number}", classes) for number, line in lines]
    return Listing(
        np.array([ref for ref, _ in rows], np.str_),
        np.array([label for _, label in rows], np.int64),
        np.zeros(len(rows), np.int64),
    )


def _parsed(line: str, where: str, classes: int) -> tuple[str, int]:
    ref, _, label = line.rpartition(" ")
    if not ref or not (label.isascii() and label.isdigit()):
        raise UserError(
            f"{where}: {line[:80]!r} is not a path, a space and a label, such as"
            " 'train/n01440764/n01440764_190.JPEG 0'"
        )
    if int(label) >= classes:
        raise UserError(
            f"{where}: label {label} is outside 0..{classes - 1}; this is the list of another"
            " dataset, or damaged"
        )
    try:
        return safe_path(ref.rstrip()).as_posix(), int(label)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
