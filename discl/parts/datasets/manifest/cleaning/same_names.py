"""Names that are written in several ways, made one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from discl.parts.datasets.manifest.cleaning.gaps import MOST_COMPARED
from discl.parts.datasets.manifest.cleaning.spelling import camel_key, spelling_key
from discl.parts.datasets.manifest.columns import Coded, coded, replaced, some
from discl.parts.datasets.manifest.rows import Contents


def one_spelling(contents: Contents, column: str, what: str) -> Contents:
    """Contents in which values of a column that differ only in spelling are one.

    The spelling is that of `contents.names` for labels, else the most frequent; of very many values
    none are compared. `what` they are called in the remark.
    """
    found = coded(contents.rows[column])
    if len(found) > MOST_COMPARED:
        return contents
    names: Sequence[str] = (contents.names or ()) if column == "label" else ()
    winners = _winners(found, {spelling_key(name): name for name in names})
    told = _spellings(found, winners)
    if not told:
        return contents
    values = [winners[value] for value in found.values]
    return contents.with_rows(
        replaced(contents.rows, column, found.column(values)),
        f"{what} that differ only in case, blanks, hyphens or Unicode form are one: {told}",
    )


def _winners(column: Coded, declared: Mapping[str, str]) -> dict[str, str]:
    """The spelling to use for each value: the declared one, else the most frequent of its key."""
    keys = {value: spelling_key(value) for value in column.values}
    plain = {key for value, key in keys.items() if camel_key(value) == key} | declared.keys()
    counts = dict(zip(column.values, column.counts, strict=True))
    spellings: dict[str, list[str]] = defaultdict(list)
    for value, key in keys.items():
        camel = camel_key(value)  # GiantPanda is giant_panda where there is one
        spellings[camel if camel in plain else key].append(value)
    return {
        value: declared.get(key) or min(alike, key=lambda text: (-counts[text], text))
        for key, alike in spellings.items()
        for value in alike
    }


def _spellings(column: Coded, winners: Mapping[str, str]) -> str:
    """Such as `'zebra' (18), 'Zebra' (6)`, the winner first; "" where nothing is merged."""
    merged: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for value, count in zip(column.values, column.counts, strict=True):
        if count:
            merged[winners[value]].append((-count, value))
    told = []
    for winner, alike in sorted(merged.items()):
        first = min(alike)[1]
        if len(alike) > 1 or first != winner:
            forms = ", ".join(f"{value!r} ({-count:,})" for count, value in sorted(alike))
            told.append(forms if first == winner else f"{forms} as {winner!r}")
    return some(told, "; ")
