"""Groups of photos from a list of the user, with the columns path and group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from discl.core.errors import UserError
from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.manifest.lists.reading import BATCH, open_table
from discl.parts.datasets.manifest.rows import Contents, Decision
from discl.parts.datasets.manifest.tree import FileTree
from discl.parts.datasets.manifest.usual_names import (
    GROUP_COLUMNS,
    IMAGE_COLUMNS,
    is_missing,
    plain_name,
)


def with_groups(contents: Contents, tree: FileTree, name: str) -> Contents:
    """Contents with the groups of the file `name` (`dataset.groups`) below the root.

    Photos without a row have no group.
    """
    import pyarrow as pa

    path = tree.root / name
    written, table = _table(path, tree, name)
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
        Decision("group", f"column {written} of {name}", "dataset.groups")
    )


def _table(path: Path, tree: FileTree, name: str) -> tuple[str, dict[str, str | None]]:
    """(the column with the groups, reference -> group; None where the cell is empty)."""
    try:
        table = open_table(path, name, lambda _: True)
    except OSError as error:
        raise UserError(f"dataset.groups = {name!r}: {path} cannot be read ({error})") from error
    photo = _first(table.names, ("path", *IMAGE_COLUMNS))
    group = _first(table.names, ("group", *GROUP_COLUMNS))
    if not photo or not group:
        raise UserError(
            f"dataset.groups: {path} needs the columns path and group, and a row for each photo; it"
            f" has {', '.join(table.names)}"
        )
    folder = name.rpartition("/")[0]
    groups: dict[str, str | None] = {}
    rows = 0
    for batch in table.batches((photo, group), BATCH):
        rows += len(batch[photo])
        for ref, value in zip(batch[photo], batch[group], strict=True):
            found = tree.resolve(ref or "", folder) or ref or ""
            groups[found] = None if is_missing(value) else str(value).strip()
    if len(groups) < rows:
        raise UserError(
            f"dataset.groups: {path} names {rows - len(groups)} photo(s) twice; name each once"
        )
    return group, groups


def _first(columns: Sequence[str], usual: Sequence[str]) -> str:
    """The column with the first of the usual names; "" where none has one."""
    plain = {plain_name(column): column for column in reversed(columns)}
    return next((plain[name] for name in usual if name in plain), "")
