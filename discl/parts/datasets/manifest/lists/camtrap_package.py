"""The tables of a Camtrap DP package: deployments, media and observations."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError
from discl.core.plain_files import parsed_json, plain_text
from discl.parts.datasets.manifest.lists.reading import BATCH, open_table
from discl.parts.datasets.manifest.tree import FileTree, path_of
from discl.parts.datasets.manifest.usual_names import MISSING

if TYPE_CHECKING:
    import pyarrow as pa

DESCRIPTOR = "datapackage.json"
_COLUMNS = {
    "deployments": ("deploymentID", "locationID", "locationName"),
    "media": (
        "mediaID", "deploymentID", "timestamp", "filePath", "fileName", "fileMediatype", "eventID",
    ),
    "observations": (
        "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel",
        "observationType", "scientificName", "bboxX", "bboxY", "bboxWidth", "bboxHeight",
    ),
}  # fmt: skip
_NEEDED = {
    "deployments": ("deploymentID",),
    "media": ("mediaID", "deploymentID", "filePath"),
    "observations": ("deploymentID", "observationType"),
}


@dataclass(frozen=True)
class CamtrapPackage:
    """The tables of a package; all columns are text, and there whether or not a file has them."""

    folder: str  # below the root
    files: Mapping[str, str]  # name of a table -> reference of its file
    deployments: pa.Table
    media: pa.Table
    observations: pa.Table
    english: Mapping[str, str]  # scientific name -> English name, where the package has one


def packages(tree: FileTree) -> list[str]:
    """Folders with a package: a descriptor that lists media and observations, or their tables."""
    lists = set(tree.lists)
    folders = []
    for ref in tree.lists:
        folder, name = posixpath.split(ref)
        if name == DESCRIPTOR:
            resources = _resources(_descriptor(tree, folder))
            if {"media", "observations"} <= set(resources):
                folders.append(folder)
        elif name == "media.csv" and posixpath.join(folder, DESCRIPTOR) not in lists:
            beside = [
                posixpath.join(folder, f"{one}.csv") for one in ("deployments", "observations")
            ]
            if lists.issuperset(beside):
                folders.append(folder)
    return folders


def read_package(tree: FileTree, folder: str, label: str) -> CamtrapPackage:
    """Read a package's tables; `label`: a further column of observations.

    Raises UserError for a table that is missing, or lacks a column of Camtrap DP 1.0.
    """
    descriptor = _descriptor(tree, folder)
    resources = _resources(descriptor)
    files = {}
    tables = {}
    for name in _COLUMNS:
        written = resources.get(name, f"{name}.csv")
        files[name] = posixpath.normpath(posixpath.join(folder, written))
        if files[name] not in tree.lists:
            raise UserError(
                f"{posixpath.join(folder, DESCRIPTOR)} names {written} for its {name}, which is no"
                f" CSV in {tree.root}; put it there, unpacked"
            )
        extra = (label,) if label and name == "observations" else ()
        tables[name] = _table(tree, files[name], name, extra)
    return CamtrapPackage(folder, files, english=_english(descriptor), **tables)


def _descriptor(tree: FileTree, folder: str) -> Mapping[str, Any]:
    ref = posixpath.join(folder, DESCRIPTOR)
    if ref not in tree.lists:
        return {}
    try:
        descriptor = parsed_json(plain_text(tree.root / path_of(ref), "utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(f"{ref} cannot be read as JSON ({error}); get it again") from error
    return descriptor if isinstance(descriptor, Mapping) else {}


def _resources(descriptor: Mapping[str, Any]) -> dict[str, str]:
    """Name of a table -> its file as written."""
    found = {}
    resources = descriptor.get("resources")
    for resource in resources if isinstance(resources, list) else []:
        if isinstance(resource, Mapping) and "path" in resource:
            path = resource["path"]
            found[str(resource.get("name"))] = str(path[0] if isinstance(path, list) else path)
    return found


def _english(descriptor: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    taxa = descriptor.get("taxonomic")
    for taxon in taxa if isinstance(taxa, list) else []:
        names = taxon.get("vernacularNames") if isinstance(taxon, Mapping) else None
        name = (names.get("eng") or names.get("en")) if isinstance(names, Mapping) else None
        if name and taxon.get("scientificName"):
            found[str(taxon["scientificName"]).strip()] = str(name).strip()
    return found


def _table(tree: FileTree, ref: str, name: str, extra: tuple[str, ...]) -> pa.Table:
    import pyarrow as pa

    listed = open_table(tree.root / path_of(ref), ref, lambda cells: True)
    needed = [*_NEEDED[name], *extra]
    if missing := [column for column in needed if column not in listed.names]:
        hint = f"they have {', '.join(listed.names)}"
        if missing == list(extra):
            raise UserError(
                f"dataset.label_column = {extra[0]!r} is no column of {ref}; {hint}, and"
                " vernacularNames takes the English names of the package"
            )
        raise UserError(
            f"{ref} has no column {missing[0]}, so that it is no table of Camtrap DP 1.0 ({hint});"
            " convert older packages to 1.0"
        )
    columns = [
        column for column in dict.fromkeys((*_COLUMNS[name], *extra)) if column in listed.names
    ]
    schema = pa.schema([(column, pa.string()) for column in columns])
    batches = [pa.table(batch, schema=schema) for batch in listed.batches(columns, BATCH)]
    table = pa.concat_tables(batches) if batches else schema.empty_table()
    table = pa.table(
        {column: without_missing(table[column].combine_chunks()) for column in columns}
    )
    for column in _COLUMNS[name]:
        if column not in columns:
            table = table.append_column(column, pa.nulls(len(table), pa.string()))
    return table


def without_missing(column: pa.Array) -> pa.Array:
    """Trimmed text, null where it says that there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.utf8_trim_whitespace(column)
    none = pc.is_in(pc.utf8_lower(column), pa.array(sorted(MISSING), pa.string()))
    return pc.if_else(none, pa.scalar(None, pa.string()), column)
