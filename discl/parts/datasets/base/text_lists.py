"""Lists of photos, one "path label" per line, as Liu et al. (2019) published their datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import Listing
from discl.files.sources import safe_path

SPLITS = ("train", "val", "test")


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
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
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
