"""Photos with several rows: listed twice, several animals, several labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError, unknown
from discl.core.text import counted
from discl.parts.datasets.manifest.columns import (
    Coded,
    coded,
    place,
    replaced,
    some,
)
from discl.parts.datasets.manifest.rows import Contents

if TYPE_CHECKING:
    import pyarrow as pa

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]
_EXAMPLES = 3


def resolved(contents: Contents, rule: str = "drop") -> Contents:
    """Contents with one row for each photo; with `crop`, one for each box of a photo.

    Rows with equal photo, box and label count once. `rule` says what becomes of a photo that has
    several labels: `drop` leaves it out, `first` takes the label of the first row, `crop` takes a
    part of the photo for each row that has a box. Several animals of one class are one photo.
    Split, group and sequence come from the first row that gives one, by its place in its file.

    Raises UserError for another rule, and where one photo is in two splits, groups or sequences.
    """
    import pyarrow as pa

    if rule not in RULES:
        raise unknown("rule for photos with several labels (dataset.multi_label)", rule, RULES)
    photo = coded(contents.rows["ref"])
    if 0 < len(photo) == len(contents.rows):
        return contents if rule == "crop" else _whole(contents)
    several = np.bincount(photo.codes, minlength=len(photo))[photo.codes] > 1
    single = contents.rows.filter(~several)
    repeated = _once(_agreed(contents.with_rows(_in_order(contents.rows.filter(several)))))
    repeated = RULES[rule](repeated, _photos_by_class(single, repeated.rows))
    rows = pa.concat_tables([single, repeated.rows])
    if not len(rows):
        raise UserError(
            f"every photo has several labels, so dataset.multi_label = {rule!r} leaves none; take"
            ' "first", or "crop" where rows have boxes'
        )
    contents = repeated.with_rows(rows)
    return contents if rule == "crop" else _whole(contents)


def _photos_by_class(single: pa.Table, repeated: pa.Table) -> dict[str, int]:
    """Photos of each class: those with one row, and those with several."""
    counts = Counter(dict(_pairs(coded(single["label"]))))
    label = coded(repeated["label"])
    photos = np.unique(_pair(label.codes, coded(repeated["ref"]).codes), return_index=True)[1]
    counts.update(dict(_pairs(Coded(label.distinct, label.codes[photos]))))
    return dict(counts)


def _pairs(column: Coded) -> Iterator[tuple[str, int]]:
    return zip(column.values, column.counts, strict=True)


def _in_order(rows: pa.Table) -> pa.Table:
    """Rows in the order of their photos, then of their files and of the rows therein."""
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = pa.table(
        {
            "ref": rows["ref"],
            "source": rows["source"].cast(pa.string()),
            "row": rows["row"],
            "place": pa.array(np.arange(len(rows))),
        }
    )
    order = pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])
    return rows.take(order)


def _agreed(contents: Contents) -> Contents:
    """Contents in which all rows of a photo have its one split, group and sequence, where given."""
    rows = contents.rows
    photo = coded(rows["ref"])
    for name in ("split", "group", "sequence", "caption"):
        column = coded(rows[name])
        given = np.flatnonzero(column.codes >= 0)
        if not len(given):
            continue
        # the first row that gives one: later ones are written first
        of_photo = np.full(len(photo), -1, np.int64)
        of_photo[photo.codes[given[::-1]]] = column.codes[given[::-1]]
        agreed = of_photo[photo.codes]
        other = given[agreed[given] != column.codes[given]]
        if len(other) and name != "caption":
            raise _contradiction(rows, name, photo, column, other)
        if name != "caption" and (agreed != column.codes).any():
            rows = replaced(rows, name, Coded(column.distinct, agreed).column())
    return contents.with_rows(rows)


def _contradiction(
    rows: pa.Table, name: str, photo: Coded, column: Coded, other: Ints
) -> UserError:
    """The error for photos whose rows `other` contradict their first rows."""
    photos, first = np.unique(photo.codes[other], return_index=True)
    told = []
    for code, index in zip(photos[:_EXAMPLES].tolist(), first.tolist(), strict=False):
        row = int(other[index])
        before = int(np.flatnonzero((photo.codes == code) & (column.codes >= 0))[0])
        told.append(
            f"{photo.values[code]} is in {column.values[column.codes[before]]}"
            f" ({place(rows, before)}) and in {column.values[column.codes[row]]}"
            f" ({place(rows, row)})"
        )
    more = f"; and {len(photos) - len(told):,} more" if len(photos) > len(told) else ""
    return UserError(
        f"{counted(len(photos), 'photo')} in more than one {name}: {'; '.join(told)}{more}. Each"
        f" photo may be in one {name}: correct the rows"
    )


def _once(contents: Contents) -> Contents:
    """Contents in which rows with equal photo, box and label stand once."""
    rows = contents.rows
    label = coded(rows["label"])
    sample = _pair(coded(rows["ref"]).codes, _box_codes(rows))
    _, first = np.unique(_pair(sample, label.codes), return_index=True)
    twice = len(rows) - len(first)
    if not twice:
        return contents
    repeated = np.ones(len(rows), bool)
    repeated[first] = False
    index = int(repeated.argmax())
    ref = rows["ref"][index].as_py()
    return contents.with_rows(
        rows.filter(~repeated),
        f"{counted(twice, 'row')} listed again with the same photo, label and box, counted once"
        f" (first: {ref}, {place(rows, index)})",
    )


def _dropped(contents: Contents, totals: Mapping[str, int]) -> Contents:
    """Contents without the photos that have several labels."""
    photo = coded(contents.rows["ref"]).codes
    label = coded(contents.rows["label"])
    mixed = _with_several_labels(photo, label.codes)
    remarks = []
    if mixed.any():
        remarks.append(
            f"{counted(_number(photo[mixed]), 'photo')} with several labels left out"
            f' (multi_label = "drop"): {_by_class(photo, label, mixed, totals)}; first:'
            f" {_examples(contents.rows, photo, label, mixed)}"
        )
    return _one_each(contents.with_rows(contents.rows.filter(~mixed), *remarks))


def _first_label(contents: Contents, totals: Mapping[str, int]) -> Contents:
    """Contents in which a photo has the label of its first row."""
    photo = coded(contents.rows["ref"]).codes
    label = coded(contents.rows["label"])
    mixed = _with_several_labels(photo, label.codes)
    if not mixed.any():
        return _one_each(contents)
    first = np.zeros(len(photo), bool)
    first[np.unique(photo, return_index=True)[1]] = True
    # rows of a photo lie together: the label of its first row, for each of them
    chosen = label.codes[np.maximum.accumulate(np.where(first, np.arange(len(photo)), 0))]
    kept = label.codes == chosen
    lost = _by_class(photo, label, ~kept, totals)
    remark = (
        f"{counted(_number(photo[mixed]), 'photo')} with several labels counted for the first"
        f' (multi_label = "first"); labels not taken: {lost}; first:'
        f" {_examples(contents.rows, photo, label, mixed)}"
    )
    return _one_each(contents.with_rows(contents.rows.filter(kept), remark))


def _cropped(contents: Contents, totals: Mapping[str, int]) -> Contents:
    """Contents with a row for each box; without boxes, photos with several labels are left out."""
    rows = contents.rows
    photo = coded(rows["ref"]).codes
    boxed = np.asarray(rows["box"].is_valid())
    with_box = np.isin(photo, photo[boxed])
    whole = with_box & ~boxed  # rows without a box of photos that have some
    remarks = []
    if whole.any():
        remarks.append(
            f"{counted(int(whole.sum()), 'row')} without a box left out, of photos whose other rows"
            f" have one: {_by_class(photo, coded(rows['label']), whole, totals)}"
        )
    rows, photo = rows.filter(~whole), photo[~whole]
    sample = _pair(photo, _box_codes(rows))
    label = coded(rows["label"])
    mixed = _with_several_labels(sample, label.codes)
    if mixed.any():
        lost = _by_class(sample, label, mixed, totals)
        remarks.append(
            f"{counted(_number(sample[mixed]), 'photo or box', 'photos or boxes')} with several"
            f' labels left out (multi_label = "crop" needs a box for each): {lost}; first:'
            f" {_examples(rows, sample, label, mixed)}"
        )
    return contents.with_rows(rows.filter(~mixed), *remarks)


RULES: dict[str, Callable[[Contents, Mapping[str, int]], Contents]] = {
    "drop": _dropped,
    "first": _first_label,
    "crop": _cropped,
}


def _one_each(contents: Contents) -> Contents:
    """Contents with the first row of each photo, whole; all rows of a photo have one label."""
    rows = contents.rows
    first = np.sort(np.unique(coded(rows["ref"]).codes, return_index=True)[1])
    if len(first) == len(rows):
        return contents
    return contents.with_rows(
        rows.take(first),
        f"{counted(len(rows) - len(first), 'further row')} of the same class on a photo (a row for"
        " each animal): the photo counts once",
    )


def _whole(contents: Contents) -> Contents:
    """Contents without boxes."""
    import pyarrow as pa

    rows = contents.rows
    boxes = len(rows) - int(rows["box"].null_count)
    if not boxes:
        return contents
    nothing = pa.chunked_array([pa.nulls(len(rows), rows.schema.field("box").type)])
    return contents.with_rows(
        replaced(rows, "box", nothing),
        f"the boxes of {counted(boxes, 'photo')} are not used, photos are taken whole"
        ' (multi_label = "crop" takes the boxes)',
    )


# -- numbers of rows


def _pair(first: Ints, second: Ints) -> Ints:
    """A number [n] for each pair of codes [n]; equal for equal pairs."""
    return first * (int(second.max(initial=-1)) + 2) + second + 1


def _box_codes(rows: pa.Table) -> Ints:
    """A code [n] for each different box; -1 where there is none."""
    codes = np.full(len(rows), -1, np.int64)
    boxed = np.asarray(rows["box"].is_valid())
    if boxed.any():
        values = rows["box"].filter(boxed).combine_chunks().flatten().to_numpy(zero_copy_only=False)
        distinct = np.ascontiguousarray(values, np.float32).reshape(-1, 4).view("V16").ravel()
        codes[boxed] = np.unique(distinct, return_inverse=True)[1]
    return codes


def _with_several_labels(sample: Ints, label: Ints) -> Mask:
    """Whether each row [n] is of a sample whose rows have different labels."""
    lowest = np.full(int(sample.max(initial=-1)) + 1, label.max(initial=0) + 1, np.int64)
    highest = np.full(len(lowest), -1, np.int64)
    np.minimum.at(lowest, sample, label)
    np.maximum.at(highest, sample, label)
    several: Mask = lowest != highest
    return several[sample]


def _number(samples: Ints) -> int:
    return len(np.unique(samples))


def _by_class(sample: Ints, label: Coded, mask: Mask, totals: Mapping[str, int]) -> str:
    """How many of the photos of each class are in a mask [n], the largest share first."""
    chosen = np.unique(_pair(label.codes[mask], sample[mask]), return_index=True)[1]
    inside = np.bincount(label.codes[mask][chosen], minlength=len(label)).tolist()
    counts = [(name, count) for name, count in zip(label.values, inside, strict=True) if count]
    counts.sort(key=lambda pair: (-pair[1] / totals[pair[0]], pair[0]))
    return some((f"{name} {count:,} of {totals[name]:,}" for name, count in counts), most=8)


def _examples(rows: pa.Table, sample: Ints, label: Coded, mask: Mask) -> str:
    """The first few samples of a mask with their place and labels."""
    told = []
    for number in np.unique(sample[mask])[:_EXAMPLES].tolist():
        members = np.flatnonzero(sample == number)
        labels = dict.fromkeys(label.values[code] for code in label.codes[members].tolist())
        ref, where = rows["ref"][int(members[0])].as_py(), place(rows, int(members[0]))
        told.append(f"{ref if where == ref else f'{ref} ({where})'}: {', '.join(labels)}")
    return "; ".join(told)
