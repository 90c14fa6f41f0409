"""The files below a dataset's folder: pictures, lists, and what is left out."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from pathlib import Path

from discl.parts.datasets.base.references import path_of, ref_of
from discl.parts.datasets.manifest.files import beside, kinds, walk
from discl.parts.datasets.manifest.files.kinds import LIST_ENDINGS
from discl.parts.datasets.manifest.files.spelled import Resolved, Spellings

__all__ = ["LIST_ENDINGS", "FileTree", "Resolved", "path_of", "ref_of"]

# kinds of which only the number is of interest: their names are those of systems
_UNNAMED = (walk.SYSTEM,)


class FileTree:
    """Everything below `root`, walked once on first use.

    References of photos are paths below the root with forward slashes, as text (see `ref_of`).
    No photo is decoded; files whose ending says nothing are told by their first bytes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def pictures(self) -> list[str]:
        """References of all picture files, sorted, without masks of photos beside them."""
        return self._without_masks[0]

    @cached_property
    def lists(self) -> list[str]:
        """References of files that may list photos, sorted, those nearest the root first."""
        return sorted(self._walked.lists, key=lambda ref: (ref.count("/"), ref))

    @cached_property
    def left_out(self) -> dict[str, list[str]]:
        """Why files or folders are not used -> their references: "video(s)" -> ["a/1.mp4"]."""
        masks = self._without_masks[1]
        left_out = {kind: sorted(refs) for kind, refs in self._walked.left_out.items()}
        return {**left_out, beside.MASKS: masks} if masks else left_out

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """A sentence for each kind of what is left out, with how many lie in which folder.

        Files that are neither pictures nor videos are left out without one.
        """
        return tuple(
            f"{len(refs):,} {kind} left out" + (_where(kind, refs))
            for kind, refs in sorted(self.left_out.items())
            if kind != kinds.OTHERS
        )

    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders directly in a folder, sorted, without what systems leave behind."""
        return sorted(self._walked.folders.get(folder, []))

    def below(self, folder: str) -> list[str]:
        """References of the pictures at any depth below a folder, sorted."""
        if not folder:
            return self.pictures
        start = bisect_left(self.pictures, folder + "/")
        return self.pictures[start : bisect_left(self.pictures, folder + "0", start)]  # "0" > "/"

    def resolve(self, written: str, folder: str = "") -> str | None:
        """The reference of an existing picture that a list names; None where there is none."""
        resolved = self.resolved(written, folder)
        return None if resolved is None else resolved.ref

    def resolved(self, written: str, folder: str = "") -> Resolved | None:
        """As `resolve`, with how the picture is written in the list ("" = as it is called).

        It is looked for from `folder` (that of the list), then from the root. `written` may have
        backslashes, `./` or percent signs, lack its ending or have it in another case; be absolute
        and inside the root; or come from another machine, `C:\\photos\\train\\1.jpg`: the longest
        end of it counts that a picture's path has. Two pictures that fit are none.
        """
        return self._spellings.find(written, folder)

    @cached_property
    def _walked(self) -> walk.Walked:
        return walk.walk(self.root)

    @cached_property
    def _without_masks(self) -> tuple[list[str], list[str]]:
        """(pictures, masks of pictures), sorted."""
        found = sorted(self._walked.pictures)
        masks = beside.masks(found, self._walked.folders)
        return [ref for ref in found if ref not in masks], sorted(masks)

    @cached_property
    def _spellings(self) -> Spellings:
        return Spellings(self.root, self.pictures)


def _where(kind: str, refs: list[str]) -> str:
    if kind in _UNNAMED:
        return ""
    if kind in (walk.LINKS_BACK, walk.CLOSED, walk.DEAD_LINKS, walk.PREVIEWS):
        more = ", ..." if len(refs) > 3 else ""
        return f": {', '.join(refs[:3])}{more}"
    return f" ({beside.by_folder(refs)})"
