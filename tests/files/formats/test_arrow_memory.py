"""Arrow's memory read and written without pandas."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from discl.files.formats.arrow_memory import integers, of_bytes, of_integers, truths


def test_columns_of_numbers_keep_their_nulls_in_slices_and_chunks() -> None:
    column = pa.chunked_array([[1, None, 3], [], [4, 5]], pa.int32())
    assert integers(column).tolist() == [1, -1, 3, 4, 5]
    assert integers(column.slice(1, 3)).tolist() == [-1, 3, 4]
    assert integers(pa.array([7], pa.int8())).tolist() == [7]
    assert integers(pa.chunked_array([], pa.int64())).tolist() == []


def test_truth_values_keep_their_place_in_slices() -> None:
    values = pc.greater(pa.array(range(20)), pa.array([9] * 20))
    assert truths(values).tolist() == [number > 9 for number in range(20)]
    assert truths(values[7:12]).tolist() == [False, False, False, True, True]
    assert truths(values[:0]).tolist() == []


def test_what_is_written_is_what_arrow_makes() -> None:
    numbers = np.array([3, -1, 2**60])
    assert of_integers(numbers).equals(pa.array(numbers))
    for values in ([b"ab", b"", b"\0c"], []):
        assert of_bytes(values).equals(pa.array(values, pa.binary()))
