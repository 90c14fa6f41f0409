"""Groups of photos that are held out of training, as out of distribution."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError, unknown
from discl.core.text import counted
from discl.parts.datasets.base.cutting import hashes_of, is_far
from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.manifest.columns import Coded, coded, replaced
from discl.parts.datasets.manifest.rows import Contents, Decision

UNSEEN = "ood/unseen"  # the split of the groups that are held out
_MOST_LEFT_OUT = 0.5  # of the photos, beside held-out groups


class RowPictures(NamedTuple):
    """The contents of the photos of rows."""

    digests: NDArray[np.bytes_]  # [n]; empty = there is none
    # [n]; else the reference is the number of a row in a table, and the digest is used as its name
    named: NDArray[np.bool_]

    def of(self, rows: NDArray[Any]) -> RowPictures:
        """Those of some rows, as a mask [n] or numbers [m]."""
        if rows.dtype != bool and np.array_equal(rows, np.arange(len(self.named))):
            return self
        return RowPictures(self.digests[rows], self.named[rows])


def with_held_out(
    contents: Contents, wanted: tuple[str, ...] | float, pictures: RowPictures | None
) -> tuple[Contents, RowPictures | None]:
    """Contents with the rows of some groups in the split `UNSEEN`, and their pictures.

    Raises UserError for a group that there is not, and where too little is left.
    """
    if not wanted:
        return contents, pictures
    groups = coded(contents.rows["group"])
    names = sorted(groups.values)
    chosen = share_of(names, wanted) if isinstance(wanted, float) else wanted
    held = np.zeros(len(contents.rows), bool)
    for name in chosen:
        held |= _rows_of(contents, name, groups)
    if held.all():
        raise UserError(
            f"dataset.ood_groups holds out every photo ({examples(chosen)}); leave some groups for"
            " train"
        )
    remarks = [
        f"held out as {UNSEEN}: {int(held.sum())} photo(s) of {len(chosen)} group(s)"
        f" ({', '.join(chosen) if len(chosen) <= 20 else examples(chosen)})"
    ]
    if isinstance(wanted, float) and is_far(int(held.sum()), wanted * len(held)):
        remarks.append(_far_off(groups, chosen, wanted, float(held.mean())))
    sequences = coded(contents.rows["sequence"])
    is_held = np.zeros(len(sequences) + 1, bool)  # the last is of photos without a sequence
    is_held[sequences.codes[held]] = True
    is_held[-1] = False
    torn = ~held & is_held[sequences.codes]
    if torn.sum() > _MOST_LEFT_OUT * (~held).sum():
        raise UserError(
            f"{int(torn.sum())} photos outside of dataset.ood_groups are of a sequence that has"
            " photos in them: the sequences' numbers seem to begin anew in each group; give a"
            " column with numbers that occur once, or write the group before each"
        )
    if torn.any():
        remarks.append(
            f"{int(torn.sum())} photo(s) left out, whose sequence has photos in a group that is"
            f" held out ({examples(contents.rows['ref'].filter(torn).to_pylist())})"
        )
    kept = with_split(contents, UNSEEN, held).rows.filter(~torn)
    decision = Decision(
        UNSEEN,
        f"{len(chosen)} of {len(names)} groups",
        "the hash of their names" if isinstance(wanted, float) else "dataset.ood_groups",
    )
    left = None if pictures is None else pictures.of(~torn)
    return contents.with_rows(kept, *remarks).decided(decision), left


def _far_off(groups: Coded, chosen: tuple[str, ...], share: float, held: float) -> str:
    """A sentence where a share of the groups has another share of the photos."""
    photos = dict(zip(groups.values, groups.counts, strict=True))
    wanted = share * len(groups.codes)
    nearest = min(sorted(photos), key=lambda name: abs(photos[name] - wanted))
    told = (
        f"dataset.ood_groups = {share:g} is a share of the groups, and holds out {held:.0%} of the"
        " photos, as groups differ in size; name groups to hold out others"
    )
    if len(chosen) > 1 or nearest in chosen:
        return told
    return (
        f'{told}, such as dataset.ood_groups=["{nearest}"] with {counted(photos[nearest], "photo")}'
        f" ({photos[nearest] / len(groups.codes):.0%})"
    )


def share_of(names: list[str], share: float) -> tuple[str, ...]:
    """A share of the groups, at least one and never all, by the hash of their names.

    Raises UserError where there are fewer than two.
    """
    if len(names) < 2:
        raise UserError(
            f"dataset.ood_groups = {share}: there are {len(names)} group(s) to choose from; it"
            " needs two or more, which dataset.group_column, group_level or groups gives"
        )
    count = min(len(names) - 1, max(1, round(share * len(names))))
    order = np.argsort(hashes_of(names))
    return tuple(sorted(names[place] for place in order[:count].tolist()))


def _rows_of(contents: Contents, name: str, groups: Coded) -> NDArray[np.bool_]:
    """The mask of the rows of a group; of a folder where no group has the name."""
    import pyarrow.compute as pc

    if name in groups.values:
        return np.equal(groups.codes, groups.values.index(name))
    folder = name.strip("/") + "/"
    refs = contents.rows["ref"]
    inside = pc.or_(pc.starts_with(refs, folder), pc.match_substring(refs, f"/{folder}"))
    if not pc.any(inside).as_py():
        if not groups.values:
            raise UserError(
                f"dataset.ood_groups names {name!r}, and no photo has a group; set"
                " dataset.group_column, group_level or groups"
            )
        raise unknown("group of the photos", name, groups.values)
    return np.asarray(inside)


def with_split(contents: Contents, split: str, mask: NDArray[np.bool_]) -> Contents:
    """Contents with some rows [n] in a split."""
    splits = coded(contents.rows["split"])
    values = [*splits.values, split]
    codes = np.where(mask, len(splits), splits.codes)
    column = Coded(splits.distinct, codes).column(values)
    return contents.with_rows(replaced(contents.rows, "split", column))
