"""Listings of the splits of a manifest, as datasets give them to a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Ints, Listing
from discl.parts.datasets.manifest.store import Manifest


def listings_of(manifest: Manifest) -> dict[str, Listing]:
    """The listing of every split.

    A photo without a group has the number -1; where no photo has one, all have 0.
    """
    rows = manifest.rows
    refs = np.array(rows["ref"].to_pylist(), np.str_)
    labels = _codes(rows["label"], manifest.names)
    groups = _codes(rows["group"], manifest.groups) if manifest.groups else np.zeros_like(labels)
    splits = np.array(rows["split"].to_pylist(), np.str_)
    listings = {}
    for split in np.unique(splits).tolist():
        chosen = splits == split
        listings[split] = Listing(refs[chosen], labels[chosen], groups[chosen])
    return listings


def in_order(listings: Mapping[str, Listing]) -> dict[str, Listing]:
    """Train, val and test, then the other splits by name."""
    first = [name for name in ("train", "val", "test") if name in listings]
    return {name: listings[name] for name in [*first, *sorted(listings.keys() - set(first))]}


def _codes(column: Any, names: tuple[str, ...]) -> Ints:
    """The place of each value among the names, [n]; -1 where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(column, value_set=pa.array(names, pa.string()))
    codes: NDArray[np.int64] = pc.fill_null(places, -1).to_numpy().astype(np.int64)
    return codes
