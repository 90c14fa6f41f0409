"""Groups of photos from a CSV file of the user, with the columns path and group."""

from __future__ import annotations

import csv
from pathlib import Path

from discl.core.errors import UserError
from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.manifest.rows import Contents, Decision
from discl.parts.datasets.manifest.tree import FileTree
from discl.parts.datasets.manifest.usual_names import is_missing


def with_groups(contents: Contents, tree: FileTree, name: str) -> Contents:
    """Contents with the groups of the file `name` (`dataset.groups`) below the root.

    Photos without a row have no group.
    """
    import pyarrow as pa

    path = tree.root / name
    table = _table(path, tree, name)
    refs = contents.rows["ref"].to_pylist()
    groups = pa.array([table.get(ref) for ref in refs], pa.string())
    column = contents.rows.schema.get_field_index("group")
    listed = set(refs)
    ungrouped = sorted(ref for ref in listed if table.get(ref) is None)
    unknown = sorted(table.keys() - listed)
    remarks = []
    if ungrouped:
        remarks.append(
            f"{len(ungrouped)} photo(s) are not in {name} and have no group ({examples(ungrouped)})"
        )
    if unknown:
        remarks.append(f"{len(unknown)} row(s) of {name} name no photo ({examples(unknown)})")
    return contents.with_rows(contents.rows.set_column(column, "group", groups), *remarks).decided(
        Decision("group", f"column group of {name}", "dataset.groups")
    )


def _table(path: Path, tree: FileTree, name: str) -> dict[str, str | None]:
    """Reference -> group; None where the cell is empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"dataset.groups = {name!r}: {path} cannot be read ({error})") from error
    if not rows or not {"path", "group"} <= rows[0].keys():
        raise UserError(
            f"dataset.groups: {path} needs the columns path and group, and a row for each photo"
        )
    folder = name.rpartition("/")[0]
    table = {
        tree.resolve(str(row["path"]), folder) or str(row["path"]): (
            None if is_missing(row["group"]) else str(row["group"]).strip()
        )
        for row in rows
    }
    if len(table) < len(rows):
        raise UserError(
            f"dataset.groups: {path} names {len(rows) - len(table)} photo(s) twice; name each once"
        )
    return table
