"""Photos of a Camtrap DP package: media, observations of them or of events, and deployments."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.parts.datasets.manifest.columns import Coded, coded, some
from discl.parts.datasets.manifest.lists.camtrap_observations import Observations
from discl.parts.datasets.manifest.lists.camtrap_package import (
    DESCRIPTOR,
    CamtrapPackage,
    packages,
    read_package,
)
from discl.parts.datasets.manifest.lists.find_photos import counts_of, find_photos
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions, row_schema
from discl.parts.datasets.manifest.tree import FileTree

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]
_ENGLISH = ("vernacularNames", "vernacularName", "eng")


class CamtrapDp:
    """A data package of Camtrap DP 1.0 (https://camtrap-dp.tdwg.org).

    The class is the scientific name, or the column of observations that `dataset.label_column`
    names; `vernacularNames` takes the English names of the package. Where a photo or its event has
    observations of photos, those of the event are not used.
    """

    title = "Camtrap DP"

    def recognises(self, tree: FileTree, options: ReadOptions) -> bool:
        return bool(_folders(tree, options))

    def contents(self, tree: FileTree, options: ReadOptions) -> Contents:
        folders = _folders(tree, options)
        if len(folders) > 1:
            named = [posixpath.join(folder, DESCRIPTOR) for folder in folders]
            raise UserError(
                f"{len(folders)} Camtrap DP packages: {some(named, most=8)}; set dataset.table to"
                " the one to read, or dataset.root to its folder"
            )
        label = options.label_column
        english = label in _ENGLISH
        package = read_package(tree, folders[0], "" if english else label)
        return _Package(tree, package, label, english).contents()

    def read(self, root: Path, ref: str) -> bytes | None:
        return None


def _folders(tree: FileTree, options: ReadOptions) -> list[str]:
    table = posixpath.normpath(options.table) if options.table else ""
    return [
        folder
        for folder in packages(tree)
        if not table or table == posixpath.join(folder, DESCRIPTOR)
    ]


class _Package:
    """Turns the tables of a package into rows."""

    def __init__(self, tree: FileTree, package: CamtrapPackage, label: str, english: bool) -> None:
        self.tree = tree
        self.package = package
        self.label = "" if english else label
        self.english = english
        self.media = package.media
        self.remarks: list[str] = []

    def contents(self) -> Contents:
        import pyarrow as pa

        observations = Observations(self.package, self.label, self.english)
        labels = observations.labels()
        media, observation, events = observations.joined()
        boxes = observations.boxes()
        self.remarks = observations.remarks
        of_row = labels.take(pa.array(observation, mask=observation < 0))
        column = pa.chunked_array([of_row])
        photos = self._photos(media, column)
        kept = np.asarray(photos.is_valid())[media]
        media, observation = media[kept], observation[kept]
        if not len(media):
            raise UserError(
                f"none of the photos of {self.package.files['media']} lies in {self.tree.root}"
                f" ({'; '.join(self.remarks)}); put them where filePath says"
            )
        rows = pa.table(
            [
                photos.take(media),
                column.filter(kept),
                pa.nulls(len(media), pa.string()),
                self._groups().take(media),
                self._sequences(events).take(media),
                boxes.take(pa.array(observation, mask=observation < 0)),
                pa.nulls(len(media), pa.string()),
                self._sources(observation),
                pa.array(np.where(observation >= 0, observation, media) + 1),
            ],
            schema=row_schema(),
        )
        return Contents(rows, None, self._decisions(rows), tuple(self.remarks))

    def _note(self, text: str) -> None:
        self.remarks.append(f"{self.package.folder or 'Camtrap DP'}: {text}")

    def _photos(self, media: Ints, labels: pa.ChunkedArray) -> pa.Array:
        """The reference of each media; null where there is no photo."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = pc.fill_null(pc.utf8_lower(self.media["fileMediatype"]), "image/")
        others = ~np.asarray(pc.starts_with(kind, "image"))
        written = pc.if_else(pa.array(others), None, self.media["filePath"].combine_chunks())
        folder = self.package.folder
        pictures = pa.array(self.tree.pictures, pa.string())
        refs = find_photos(
            written, pictures, (folder, ""), lambda name: self.tree.resolve(name, folder)
        ).refs
        for column in ("fileName", "mediaID"):  # of what was downloaded from the web
            missing = np.asarray(refs.is_null()) & ~others
            names = _unrepeated(self.media[column].combine_chunks())
            names = pc.if_else(pa.array(missing), names, None)
            left = pictures.filter(pc.invert(pc.is_in(pictures, refs)))
            refs = pc.coalesce(refs, find_photos(names, left, (folder, "")).refs)
        absent = np.asarray(refs.is_null()) & ~others
        for mask, what in (
            (others, "no photos (videos and other media) left out"),
            (absent, "without a file left out"),
        ):
            if mask.any():
                first = self.media["filePath"][int(mask.argmax())].as_py()
                self._note(
                    f"{int(mask.sum()):,} of {len(mask):,} media {what} (first: {first}), rows by"
                    f" class: {counts_of(labels.filter(mask[media]))}"
                )
        return refs

    def _groups(self) -> pa.ChunkedArray:
        """The place of each media; its deployment where no place is given."""
        import pyarrow.compute as pc

        deployments = self.package.deployments
        own = self.media["deploymentID"]
        row = pc.index_in(own, deployments["deploymentID"], skip_nulls=True)
        place = pc.coalesce(deployments["locationID"], deployments["locationName"])
        return pc.coalesce(place.take(row), own)

    def _sequences(self, events: list[str | None]) -> pa.ChunkedArray:
        """The event of each media, with its deployment where several have one of that name."""
        import pyarrow as pa
        import pyarrow.compute as pc

        event = pa.chunked_array([pa.array(events, pa.string())])
        own = self.media["deploymentID"]
        both = pc.binary_join_element_wise(pc.coalesce(own, ""), event, "/")
        if pc.count_distinct(both).as_py() == pc.count_distinct(event).as_py():
            return event
        return both

    def _sources(self, observation: Ints) -> Any:
        import pyarrow as pa

        files = [self.package.files["observations"], self.package.files["media"]]
        return pa.DictionaryArray.from_arrays(
            (observation < 0).astype(np.int32), pa.array(files, pa.string())
        )

    def _decisions(self, rows: pa.Table) -> tuple[Decision, ...]:
        named = f"{self.label or 'scientificName'} of {self.package.files['observations']}"
        if self.english:
            named = "English names of the package"
        elif pairs := [f"{one} = {two}" for one, two in self.package.english.items()]:
            named += f" (in English: {some(pairs)}; dataset.label_column = vernacularNames)"
        asked = "dataset.label_column" if self.label or self.english else "Camtrap DP"
        return (
            Decision("label", named, asked),
            Decision("group", "locationID, else locationName, else deploymentID", "Camtrap DP"),
            Decision("sequence", "eventID", "Camtrap DP"),
            *(Decision(name, ref, "Camtrap DP") for name, ref in self.package.files.items()),
        )


def _unrepeated(names: pa.Array) -> pa.Array:
    """Names, null where several have one."""
    import pyarrow as pa

    column = coded(pa.chunked_array([names]))
    single = np.array([*(np.array(column.counts) == 1), False], bool)[column.codes]
    return Coded(column.distinct, np.where(single, column.codes, -1)).column().combine_chunks()
