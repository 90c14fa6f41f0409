"""The files below a dataset's folder: pictures, lists, and what is left out."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from discl.parts.datasets.base.survey import PICTURE_ENDINGS

LIST_ENDINGS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".arrow")


class FileTree:
    """Everything below `root`, walked once on first use; opens no file.

    References of photos are paths below the root with forward slashes, as text (see `ref_of`).
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def pictures(self) -> list[str]:
        """References of all picture files, sorted."""
        return sorted(ref for ref in self._files if ref.lower().endswith(PICTURE_ENDINGS))

    @cached_property
    def lists(self) -> list[str]:
        """References of files that may list photos, sorted, those nearest the root first."""
        listed = [ref for ref in self._files if ref.lower().endswith(LIST_ENDINGS)]
        return sorted(listed, key=lambda ref: (ref.count("/"), ref))

    @cached_property
    def left_out(self) -> dict[str, list[str]]:
        """Why files are not used -> their references, such as "videos" -> ["a/1.mp4"]."""
        return {}

    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders directly in a folder, sorted, without what systems leave behind."""
        return sorted(self._folders.get(folder, []))

    def resolve(self, written: str, folder: str = "") -> str | None:
        """The reference of an existing picture that a list names; None where there is none.

        `written` may have backslashes, `./`, be absolute and inside the root, or lack its ending;
        it is looked for from `folder` (that of the list), then from the root.
        """
        text = written.strip().replace("\\", "/")
        for base in (folder, ""):
            ref = posixpath.normpath(posixpath.join(base, text)).lstrip("/")
            if ref in self._known:
                return ref
        return None

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.pictures)

    @cached_property
    def _walked(self) -> tuple[list[str], dict[str, list[str]]]:
        files = list[str]()
        folders: dict[str, list[str]] = {}
        for folder, name, is_folder in _walk(self.root, ""):
            if is_folder:
                folders.setdefault(folder, []).append(name)
            else:
                files.append(f"{folder}/{name}".lstrip("/"))
        return files, folders

    @property
    def _files(self) -> list[str]:
        return self._walked[0]

    @property
    def _folders(self) -> dict[str, list[str]]:
        return self._walked[1]


def ref_of(path: bytes) -> str:
    """A path's bytes as text: valid UTF-8, with a backslash and other bytes written as \\xNN."""
    text = path.replace(b"\\", b"\\x5c").decode("utf-8", "surrogateescape")
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def path_of(ref: str) -> str:
    """The path that a reference stands for, for `open`; the inverse of `ref_of`."""
    raw = re.sub(
        rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), ref.encode("utf-8")
    )
    return os.fsdecode(raw)


def _walk(root: Path, folder: str) -> Iterator[tuple[str, str, bool]]:
    """(folder, name, whether it is a folder) of everything that is not hidden."""
    with os.scandir(root / folder) as entries:
        inner = []
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name[0] in ".@" or entry.name == "__MACOSX":
                continue
            if entry.is_dir():
                inner.append(entry.name)
                yield folder, entry.name, True
            else:
                yield folder, entry.name, False
    for name in inner:
        yield from _walk(root, f"{folder}/{name}".lstrip("/"))
