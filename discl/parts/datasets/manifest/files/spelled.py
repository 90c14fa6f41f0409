"""Which picture a list means: paths of other systems, other slashes, missing endings."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from discl.parts.datasets.base.references import path_of, ref_of
from discl.parts.datasets.manifest.files import kinds

# a bucket's paths are kept when it is copied
_ABSOLUTE = re.compile(r"^(?:(?:[A-Za-z]:)?/|~/|file://|gs://|s3://)", re.IGNORECASE)
# Label Studio's copy of an uploaded file, with eight digits before its name, and of a served one
_UPLOADED = re.compile(r"/?data/upload/(?:\d+/)?(?:([0-9a-f]{8})-)?([^/]+)")
_SERVED = re.compile(r"/?data/local-files/\?d=(.+)")
_SAME_ENDINGS = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}


class Resolved(NamedTuple):
    """The picture that a list means."""

    ref: str
    how: str  # "" = as written; else how it is written, for a remark: "without an ending"


class Spellings:
    """Finds pictures by what lists call them; never one outside `root`."""

    def __init__(self, root: Path, pictures: list[str]) -> None:
        self.root = root
        self._known = frozenset(pictures)

    def find(self, written: str, folder: str) -> Resolved | None:
        """The picture that `written` names, from `folder` or else from the root."""
        if "\0" in written:  # in no path
            return None
        readings = list(_readings(written))
        for how, text in readings:
            if (ref := self._at(text, folder)) is not None:
                return Resolved(ref, how)
        for how, text in readings[1:]:
            inside = self._inside(text)
            if inside is not None:
                found = self._ending_with(inside, folder, whole=True)
                if found is None:
                    return None
                return Resolved(found.ref, _joined("by an absolute path", found.how))
            if _is_address(text):
                return None
            found = self._ending_with(text, folder, whole=False)
            if found is not None:
                return Resolved(found.ref, _joined(how, found.how))
        return self._left_out(readings[1][1], folder)

    def _at(self, text: str, folder: str) -> str | None:
        """The picture at exactly this path."""
        if not folder and text in self._known:
            return text
        if _ABSOLUTE.match(text):
            return None
        for base in (folder, "") if folder else ("",):
            ref = posixpath.normpath(posixpath.join(base, text))
            if ref in self._known:
                return ref
        return None

    def _inside(self, text: str) -> str | None:
        """What follows the root's own path in an absolute one, however it is spelled."""
        for root in self._roots:
            if text.startswith(root):
                return text[len(root) :]
        return None

    @cached_property
    def _roots(self) -> list[str]:
        spelled = (str(self.root), os.path.abspath(self.root), os.path.realpath(self.root))
        roots = [root.rstrip("/") + "/" for root in dict.fromkeys(spelled) if root != "."]
        return [*roots, *(f"file://{root}" for root in roots)]

    def _ending_with(self, text: str, folder: str, whole: bool) -> Resolved | None:
        """The picture whose path ends as `text` does, or as `text` without its first folders.

        The longest such end counts. Of several pictures it is the one in `folder` or in the root,
        else the one below `folder`, else none. A bare name is not enough where `text` has folders,
        or where pictures lie in `folder`, unless the picture lies there or in the root itself.
        """
        parts = [part for part in _ABSOLUTE.sub("", text, 1).split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            return None
        for start in range(1 if whole else len(parts)):
            end = "/".join(parts[start:])
            own = [end, f"{folder}/{end}".lstrip("/")][: 1 if start else 2]
            candidates = self._candidates(end)
            at_home = [ref for ref in candidates if _key(ref) in map(_key, own)]
            bare = start == len(parts) - 1 and (start or folder in self._folders_of_pictures)
            if whole or bare:
                candidates = at_home
            below = [ref for ref in candidates if folder and ref.startswith(folder + "/")]
            for choice in (at_home, below, candidates):
                exact = [ref for ref in choice if f"/{ref}".endswith(f"/{end}")]
                for few in (exact, choice):
                    if len(few) == 1:
                        return Resolved(few[0], _how(few[0], end, few[0] in at_home and not start))
            if candidates or any(posixpath.dirname(path) in self._folders for path in own):
                return None  # it lacks in a folder that is there: a namesake is another photo
        return None

    @cached_property
    def _folders_of_pictures(self) -> frozenset[str]:
        """Folders below the root with a picture directly in them."""
        return frozenset(ref.rpartition("/")[0] for ref in self._known) - {""}

    @cached_property
    def _folders(self) -> frozenset[str]:
        """Every folder with a picture, and those above, without the root."""
        folders = {ref.rpartition("/")[0] for ref in self._known}
        for folder in list(folders):
            while (folder := folder.rpartition("/")[0]) and folder not in folders:
                folders.add(folder)
        return frozenset(folders - {""})

    def _candidates(self, end: str) -> list[str]:
        """Pictures whose path ends so, but for case, form of letters and a missing ending."""
        key = _key(end)
        ending = _ending(end)
        return [
            ref
            for folder, ref in self._by_name.get(key.rpartition("/")[2], ())
            if f"/{folder}{key[key.rfind('/') + 1 :]}".endswith(f"/{key}")
            and ending in ("", _ending(ref))
        ]

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[str, str]]]:
        """Key of a name -> (key of its folder with the slash, picture)."""
        names: dict[str, list[tuple[str, str]]] = {}
        for ref in sorted(self._known):
            folder, slash, name = _key(ref).rpartition("/")
            names.setdefault(name, []).append((folder + slash, ref))
        return names

    def _left_out(self, text: str, folder: str) -> Resolved | None:
        """A picture that is there but was left out, in a hidden folder or as a mask."""
        if _ABSOLUTE.match(text):
            return None
        home = os.path.realpath(self.root)
        for base in dict.fromkeys((folder, "")):
            ref = posixpath.normpath(posixpath.join(base, text))
            path = os.path.join(home, path_of(ref))
            inside = os.path.commonpath([home, os.path.realpath(path)]) == home
            is_picture = kinds.kind_of(ref) in (kinds.PICTURES, "")
            if inside and is_picture and not ref.startswith("../") and os.path.isfile(path):
                return Resolved(ref, "although it is left out otherwise")
        return None


def _readings(written: str) -> Iterator[tuple[str, str]]:
    """(how it is written, as a path with slashes); at least two."""
    yield "", written
    text = written.strip()
    yield "", text
    if "\\" in text:
        text = re.sub("/{2,}", "/", text.replace("\\", "/"))
        yield "with backslashes", text
    if (served := _SERVED.fullmatch(text)) is not None:
        yield "as Label Studio writes it", unquote(served[1])
    if (uploaded := _UPLOADED.fullmatch(text)) is not None:
        digits, name = uploaded[1], unquote(uploaded[2])
        for each in [f"{digits}-{name}", name] if digits else [name]:
            yield "as Label Studio writes it", each
    if "%" in text:
        yield "with percent signs for other signs", unquote(text)
    if not text.isascii():
        try:
            yield "in another encoding", ref_of(text.encode("cp1252"))
        except UnicodeEncodeError:
            return


def _is_address(text: str) -> bool:
    return "://" in text and not text.lower().startswith(("file://", "gs://", "s3://"))


def _joined(*hows: str) -> str:
    return ", ".join(how for how in hows if how)


def _how(ref: str, end: str, at_home: bool) -> str:
    """What differs between a picture and the end of a path that names it."""
    if not _ending(end) and _ending(ref):
        case = "" if ref.rpartition(".")[0].endswith(end) else "in another case"
        ending = "without an ending"
    else:
        case = "" if f"/{ref}".endswith(f"/{end}") else "in another case or form of letters"
        ending = ""
    return _joined("" if at_home else "by the end of its path", ending, case)


def _key(ref: str) -> str:
    """A path without its ending, but for case and the form of letters."""
    if not ref.isascii():
        ref = unicodedata.normalize("NFC", ref)
    folded = ref.casefold()
    ending = kinds.ending_of(folded)
    return folded[: -len(ending)] if kinds.KIND_OF_ENDING.get(ending) == kinds.PICTURES else folded


def _ending(ref: str) -> str:
    """The ending of a picture, one of those that mean the same; "" for any other."""
    ending = kinds.ending_of(ref)
    if kinds.KIND_OF_ENDING.get(ending) != kinds.PICTURES:
        return ""
    return _SAME_ENDINGS.get(ending, ending)
