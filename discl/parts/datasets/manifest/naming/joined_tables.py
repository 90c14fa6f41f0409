"""Classes of photos in another table, which has a column in common with the one of the photos."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from discl.parts.datasets.manifest.lists.list_columns import could_name_classes
from discl.parts.datasets.manifest.lists.reading import BATCH, Columns, TextTable
from discl.parts.datasets.manifest.usual_names import is_missing, plain_name

_LEAST = 0.5  # of the photos' cells that must stand in the other table
_MOST_ROWS = 5_000_000  # of the other table, in memory


def joined_table(photos: TextTable, image: str, other: TextTable) -> tuple[TextTable, str] | None:
    """(the photos' table with the columns of the other, the column in common).

    None where there is no such column, or the other table has no class. A photo with several rows
    there has all their values, as a JSON array.
    """
    taken = {plain_name(name) for name in photos.names}
    added = [name for name in other.names if plain_name(name) not in taken]
    if not any(map(could_name_classes, added)):
        return None
    key = _common(photos, image, other)
    if key is None:
        return None
    mine, theirs = key
    rows: dict[str, list[tuple[str | None, ...]]] = {}
    count = 0
    for batch in other.batches([theirs, *added], BATCH):
        count += len(batch[theirs])
        if count > _MOST_ROWS:
            return None
        for cells in zip(batch[theirs], *(batch[name] for name in added), strict=True):
            if cells[0] and not is_missing(cells[0]):
                rows.setdefault(cells[0].strip(), []).append(cells[1:])
    found = {
        value: tuple(map(_all_of, zip(*values, strict=True))) for value, values in rows.items()
    }
    nothing = (None,) * len(added)

    def batches(columns: Sequence[str], size: int) -> Iterator[Columns]:
        own = [name for name in columns if name in photos.names]
        for batch in photos.batches(list(dict.fromkeys([*own, mine])), size):
            more = [found.get((cell or "").strip(), nothing) for cell in batch[mine]]
            yield {
                name: batch[name] if name in own else [row[added.index(name)] for row in more]
                for name in columns
            }

    names = (*photos.names, *added)
    return TextTable(photos.where, names, batches, photos.remarks, photos.headed), mine


def _common(photos: TextTable, image: str, other: TextTable) -> tuple[str, str] | None:
    """The names of the column in common with most distinct cells."""
    pairs = [
        (mine, theirs)
        for mine in photos.names
        for theirs in other.names
        if mine != image and plain_name(mine) == plain_name(theirs)
    ]
    cells = photos.sample()
    others = other.sample()
    able = []
    for mine, theirs in pairs:
        known = {cell for cell in cells[mine] if cell and not is_missing(cell)}
        there = {cell for cell in others[theirs] if cell and not is_missing(cell)}
        share = len(known & there) / len(known) if known else 0.0
        if len(known) > 1 and (share >= _LEAST or len(there & known) >= _LEAST * len(there) > 0):
            able.append((len(known), (mine, theirs)))
    return max(able)[1] if able else None


def _all_of(values: Sequence[str | None]) -> str | None:
    """One value, or the distinct ones as a JSON array."""
    distinct = list(dict.fromkeys(value for value in values if value and not is_missing(value)))
    if len(distinct) > 1:
        return json.dumps(distinct, ensure_ascii=False)
    return distinct[0] if distinct else None
