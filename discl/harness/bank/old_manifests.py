"""Finds manifests of photos that nobody has read for long, and moves them to the trash.

A manifest is made again where it is missing, in the time that listing its folder takes. Those of
folders that changed, and of earlier versions, are never read again.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from discl.files.disk import clear_disk_errors, data_home, flush
from discl.harness.bank.inventory import changed_at, size_of

UNUSED_S = 30 * 24 * 3600.0


class OldManifests(NamedTuple):
    """Folders of manifests that can go, and what was removed before."""

    folders: list[Path]
    bytes: int
    trash: list[Path]
    trash_bytes: int


def trash_folder() -> Path:
    """Where removed manifests wait; beside the others, so that a rename is enough."""
    return data_home() / "manifests" / "trash"


def old_manifests(unused_s: float = UNUSED_S) -> OldManifests:
    """Find those that nobody has read for so many seconds; changes nothing."""
    long_ago = time.time() - unused_s
    folders = [
        path
        for path in sorted((data_home() / "manifests").glob("*"))
        if path.is_dir() and path != trash_folder() and _used_at(path) < long_ago
    ]
    trash = sorted(trash_folder().glob("*"))
    return OldManifests(folders, sum(map(size_of, folders)), trash, sum(map(size_of, trash)))


def _used_at(folder: Path) -> float:
    """When something in a folder was made or read, which its file's time tells."""
    return max([changed_at(folder), *map(changed_at, folder.iterdir())])


def remove_old(found: OldManifests) -> None:
    """Empty the trash, then move the manifests there, each by one rename.

    Raises DiskError where the disk cannot be written.
    """
    with clear_disk_errors("removing manifests", data_home()):
        for path in found.trash:
            shutil.rmtree(path, ignore_errors=True)
        trash = trash_folder() / f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{uuid.uuid4().hex[:4]}"
        for folder in found.folders:
            trash.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # another process was faster
                os.rename(folder, trash / folder.name)
        if found.folders:
            flush(trash)
            flush(trash_folder().parent)
        with suppress(OSError):
            trash_folder().rmdir()  # where nothing is in it
