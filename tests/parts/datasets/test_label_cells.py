"""Cells with several labels become a row each, where they surely are several."""

from __future__ import annotations

import pyarrow as pa
import pytest

from discl.parts.datasets.manifest.lists.label_cells import with_single_labels


@pytest.mark.parametrize(
    ("labels", "read"),
    [
        (["zebra;gnu", "zebra"], ["zebra", "gnu", "zebra"]),  # gnu never stands alone
        (["zebra/gnu", "zebra"], ["zebra/gnu", "zebra"]),  # perhaps a name
        (["zebra/gnu", "zebra", "gnu"], ["zebra", "gnu", "zebra", "gnu"]),
        (["crane, bird", "crane, machine"], ["crane, bird", "crane, machine"]),
        (["sea lion", "sea", "lion"], ["sea lion", "sea", "lion"]),
        (["(3, 4)", "3"], ["3", "4", "3"]),
        (["[unclear]", "zebra"], ["[unclear]", "zebra"]),
        (["zebra|gnu", "gnu", "['zebra', 'gnu']"], ["zebra", "gnu", "gnu", "zebra", "gnu"]),
        (["N/A", "None", "zebra"], ["N/A", "None", "zebra"]),  # for those who clean to judge
    ],
)
def test_a_cell_is_several_labels_where_they_are_labels_elsewhere(
    labels: list[str], read: list[str]
) -> None:
    rows = pa.table({"label": labels})
    assert with_single_labels(rows, "labels.csv")[0]["label"].to_pylist() == read
