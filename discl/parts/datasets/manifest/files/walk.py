"""A folder's files, listed once: no folder twice, whatever links lead to."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from discl.core.errors import UserError
from discl.parts.datasets.base.references import ref_of
from discl.parts.datasets.manifest.files import kinds

EMPTY = "file(s) of zero bytes"
SYSTEM = "folder(s) or picture(s) that systems leave behind"
PREVIEWS = "folder(s) of previews"
CLOSED = "folder(s) that cannot be read"
LINKS_BACK = "link(s) to a folder that is read already, or that lies above"
SPECIAL = "pipe(s), socket(s) or device(s)"
DEAD_LINKS = "link(s) to nothing"

Identity = tuple[int, int]  # device and inode


@dataclass
class Walked:
    """What lies below a folder, as references (see `ref_of`), in no order."""

    pictures: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    folders: dict[str, list[str]] = field(default_factory=dict)  # folder -> names of those in it
    left_out: dict[str, list[str]] = field(default_factory=dict)  # kind -> files or folders

    def leave_out(self, kind: str, ref: str) -> None:
        self.left_out.setdefault(kind, []).append(ref)


def walk(root: Path) -> Walked:
    """Everything below `root`; looks into files only whose ending says nothing.

    A link to a file is the file. A link to a folder is followed, also out of `root`, unless the
    folder is read anyway or holds `root`. Raises UserError where `root` cannot be read.
    """
    walked = Walked()
    above = {_identity(parent) for parent in root.resolve().parents}
    seen: set[Identity] = set()
    links = [(os.fspath(root), "")]
    while links:
        # folders before links, so that the same photos keep their own names
        path, ref = links.pop(0)
        waiting = [(path, ref)]
        found: list[tuple[str, str]] = []
        while waiting:
            path, ref = waiting.pop()
            try:
                identity = _identity(path)
                if identity in seen or identity in above:
                    walked.leave_out(LINKS_BACK, ref)
                    continue
                seen.add(identity)
                inner = _scan(walked, path, ref, found)
            except OSError as error:
                if not ref:
                    raise UserError(
                        f"{root} cannot be read ({error.strerror or error}); correct its"
                        " permissions or give another folder"
                    ) from error
                walked.leave_out(CLOSED, ref)
                continue
            _note_folder(walked, ref)
            waiting += inner
        links += sorted(found)
    return walked


def _identity(path: str | Path) -> Identity:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _note_folder(walked: Walked, ref: str) -> None:
    if ref:
        folder, _, name = ref.rpartition("/")
        walked.folders.setdefault(folder, []).append(name)


def _scan(
    walked: Walked, path: str, ref: str, links: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """(path, reference) of the folders in a folder; links to folders go to `links`."""
    start = ref + "/" if ref else ""
    inner: list[tuple[str, str]] = []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if not name.isascii() or not name.isprintable() or "\\" in name:
                name = ref_of(os.fsencode(name))
            if entry.is_file(follow_symlinks=False):
                _note_file(walked, start + name, name, entry)
            elif _leads_to_folder(entry):
                if kinds.is_system_folder(name):
                    walked.leave_out(SYSTEM, start + name)
                elif kinds.is_preview_folder(name):
                    walked.leave_out(PREVIEWS, start + name)
                else:
                    folders = links if entry.is_symlink() else inner
                    folders.append((entry.path, start + name))
            elif os.path.isfile(entry.path):
                _note_file(walked, start + name, name, entry)
            elif not kinds.is_system_file(name):
                walked.leave_out(DEAD_LINKS if entry.is_symlink() else SPECIAL, start + name)
    return inner


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _note_file(walked: Walked, ref: str, name: str, entry: os.DirEntry[str]) -> None:
    ending = kinds.ending_of(name)
    kind = kinds.KIND_OF_ENDING.get(ending, "")
    if kinds.is_system_file(name):
        if kind == kinds.PICTURES:
            walked.leave_out(SYSTEM, ref)
        return
    try:
        if kind in (kinds.PICTURES, "") and entry.stat().st_size == 0:
            kind = EMPTY if kind else kinds.OTHERS
        if not kind:
            with open(entry.path, "rb", buffering=0) as opened:
                start = opened.read(kinds.FIRST_BYTES)
            kind = kinds.PICTURES if kinds.is_picture(start) else kinds.OTHERS
    except OSError:  # it is named again when it is to be decoded
        kind = kind or kinds.OTHERS
    if kind == kinds.PICTURES:
        walked.pictures.append(ref)
    elif kind == kinds.LISTS:
        walked.lists.append(ref)
    else:
        walked.leave_out(kind, ref)
