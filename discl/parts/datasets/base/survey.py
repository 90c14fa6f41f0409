"""Checks of what a dataset's metadata lists, and of the files on the disk; no photo is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import NO_GROUP, Listing
from discl.parts.datasets.base.references import leads_out

# formats that `files.photos.decode` reads
PICTURE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".pjpeg", ".pjp", ".mpo"),
    *(".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx"),
    *(".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif"),
)
_MAX_EXAMPLES = 3  # names in a message


class Survey(NamedTuple):
    """The listings of a dataset with what was noticed about its files."""

    listings: dict[str, Listing]  # without the photos whose files are missing
    notes: tuple[str, ...]
    folders: tuple[str, ...]  # with photos
    state: tuple[Any, ...]  # of the folders; when it changes, the survey is made again


def examples(names: Iterable[str]) -> str:
    """The first few of `names`, for a message."""
    all_names = list(names)
    more = ", ..." if len(all_names) > _MAX_EXAMPLES else ""
    return ", ".join(all_names[:_MAX_EXAMPLES]) + more


def as_arrays(listing: Listing) -> Listing:
    """A listing as numpy arrays.

    Raises UserError for a path that leads out of the dataset's folder.
    """
    refs = np.asarray(listing.refs, np.str_)
    for ref in refs.tolist():
        if leads_out(ref):
            raise UserError(
                f"the metadata names a photo {ref!r}, which does not lie in the dataset's folder;"
                " correct it"
            )
    return Listing(refs, np.asarray(listing.labels, np.int64), np.asarray(listing.groups, np.int64))


def check_listings(listings: Mapping[str, Listing], classes: int, name: str, folder: Path) -> None:
    """Raise UserError for missing or empty splits, labels out of range and photos listed twice."""
    for split in ("train", "val"):
        if split not in listings:
            raise UserError(
                f"{folder} gives {name} no {split} split; it has {', '.join(listings) or 'none'}"
            )
    split_of_ref: dict[str, str] = {}
    for split, (refs, labels, _) in listings.items():
        if not len(refs):
            raise UserError(f"split {split} of {name} is empty; see what lies in {folder}")
        if wrong := np.flatnonzero((labels < 0) | (labels >= classes)).tolist():
            raise UserError(
                f"{len(wrong)} row(s) of split {split} have a label out of range: {refs[wrong[0]]}"
                f" has {labels[wrong[0]]}, where {classes} classes are numbered from 0; correct"
                f" the metadata in {folder}"
            )
        for ref in refs.tolist():
            if ref in split_of_ref:
                first = split_of_ref[ref]
                where = (
                    f"twice in split {split}" if first == split else f"in {first} and in {split}"
                )
                raise UserError(
                    f"photo {ref} is listed {where}; each photo may stand once in {folder}'s"
                    " metadata"
                )
            split_of_ref[ref] = split


def split_remarks(
    listings: Mapping[str, Listing], classes: Sequence[str], grouped: bool
) -> Iterable[str]:
    """Sentences about oddities of the splits that may be intended."""
    counts = {
        split: np.bincount(listing.labels, minlength=len(classes))
        for split, listing in listings.items()
    }
    not_in_train = np.flatnonzero(counts["train"] == 0).tolist()
    if not_in_train:
        yield (
            f"train has no photo of {len(not_in_train)} of {len(classes)} classes"
            f" ({examples(classes[label] for label in not_in_train)}): they cannot be learned"
        )
    not_in_val = np.flatnonzero((counts["val"] == 0) & (counts["train"] > 0)).tolist()
    if not_in_val:
        yield (
            f"val has no photo of {len(not_in_val)} of {len(classes)} classes"
            f" ({examples(classes[label] for label in not_in_val)}): they have no say in the choice"
            " of the epoch"
        )
    groups = np.unique(np.concatenate([listing.groups for listing in listings.values()]))
    groups = groups[groups != NO_GROUP]
    if len(groups) == 1 and (grouped or groups[0] != 0):
        yield "all photos are of one group: there is no worst group to report"


def photo_folders(listings: Iterable[Listing]) -> tuple[str, ...]:
    """The folders that listed photos lie in, sorted."""
    return tuple(
        sorted({ref.rpartition("/")[0] for listing in listings for ref in listing.refs.tolist()})
    )


def picture_files(root: Path, folder: str) -> list[str]:
    """Picture files directly in a folder, as paths from `root`; none where it does not exist."""
    try:
        names = os.listdir(root / folder)
    except OSError:
        return []
    start = f"{folder}/" if folder else ""
    return [start + name for name in names if name.lower().endswith(PICTURE_ENDINGS)]


def files_state(root: Path, folders: Iterable[str]) -> tuple[Any, ...]:
    """Changes when files come, go or are renamed in the dataset's folder or those with photos."""
    entries = []
    for entry in os.scandir(root):
        status = entry.stat()
        entries.append((entry.name, status.st_size, status.st_mtime_ns))
    changed = [
        (folder, (root / folder).stat().st_mtime_ns)
        for folder in folders
        if (root / folder).is_dir()
    ]
    return (*sorted(entries), *changed)
