"""Splits of a manifest: those that are given stay, missing ones are cut from train."""

from __future__ import annotations

import numpy as np

from discl.parts.datasets.base.long_tail import cut
from discl.parts.datasets.manifest.rows import Contents


def assigned(contents: Contents, share: float) -> Contents:
    """Contents with a split in every row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = contents.rows
    splits = np.array(pc.fill_null(rows["split"], "train").to_pylist(), object)
    present = set(splits.tolist())
    missing = ["val"] if "id_test" in present else ["val", "test"]
    missing = [name for name in missing if name not in present]
    remarks = list[str]()
    if missing and "train" in present:
        refs = np.array(rows["ref"].to_pylist(), np.str_)
        labels = np.array(pc.dictionary_encode(rows["label"]).combine_chunks().indices)
        for name in missing:
            train = np.flatnonzero(splits == "train")
            splits[train[cut(refs[train], labels[train], share)]] = name
        remarks.append(
            f"cut from train: {' and '.join(missing)}, {share:.0%} of each class, by the hash of"
            " the names"
        )
    column = rows.schema.get_field_index("split")
    return contents.with_rows(
        rows.set_column(column, "split", pa.array(splits.tolist(), pa.string())), *remarks
    )
