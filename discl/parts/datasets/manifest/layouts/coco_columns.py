"""The images, annotations and categories of a COCO JSON as columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.parts.datasets.manifest.lists.json_records import Record, read_records, read_value
from discl.parts.datasets.manifest.rows import ReadOptions
from discl.parts.datasets.manifest.usual_names import (
    CAPTION_COLUMNS,
    GROUP_COLUMNS,
    SEQUENCE_COLUMNS,
    SPLIT_COLUMNS,
    plain_name,
)

if TYPE_CHECKING:
    import pyarrow as pa

FILE_FIELDS = ("file_name", "filename", "file", "path")


class Category(NamedTuple):
    """A class of a COCO JSON."""

    number: str  # its id, as text
    name: str


class Boxes(NamedTuple):
    """Boxes [b] as they are written: x, y, width, height; NaN for what is no box."""

    annotation: NDArray[np.int64]  # [b] counted from 0
    relative: NDArray[np.bool_]  # [b] whether they are written as shares of the photo
    values: NDArray[np.float64]  # [b, 4]


@dataclass(frozen=True)
class CocoFile:
    """What a COCO JSON lists."""

    # id, file (text), width, height (float), corrupt; and group, sequence, split, caption where
    # there is a field of them
    images: pa.Table
    annotations: pa.Table  # image, category (text), of_sequence (whether it is of a whole one)
    boxes: Boxes
    categories: tuple[Category, ...]  # in the order of their numbers
    fields: Mapping[str, str]  # what a field of images holds -> its name; where there is one


def read_coco(path: Path, name: str, options: ReadOptions) -> CocoFile:
    """Read a COCO JSON in one pass for each of its arrays, in bounded memory for each record.

    Raises UserError, with the file and the record, where it cannot be read.
    """
    import pyarrow as pa

    fields = _Fields(name, options)
    images = read_records(path, name, "images", fields.images)
    if not images:
        raise UserError(f"{name} lists no image; complete it, or remove it from the folder")
    # in one piece each, as later steps need them: they would copy the pieces
    table = pa.concat_tables(images, promote_options="default").unify_dictionaries()
    table = table.combine_chunks()
    del images
    pa.default_memory_pool().release_unused()
    annotations = read_records(path, name, "annotations", _annotations) or [_annotations([], 1)]
    fields.check()
    return CocoFile(
        table,
        pa.concat_tables([table for table, _ in annotations]).unify_dictionaries(),
        Boxes(
            *(
                np.concatenate(parts)
                for parts in zip(*(boxes for _, boxes in annotations), strict=True)
            )
        ),
        _categories(path, name, options),
        fields.found,
    )


class _Fields:
    """Finds the fields of images by usual names; `found` is complete when all images were seen."""

    def __init__(self, name: str, options: ReadOptions) -> None:
        self.name = name
        self.found: dict[str, str] = {}
        self._asked = {
            "file": (options.image_column, "image_column", FILE_FIELDS),
            "group": (options.group_column, "group_column", ("location", *GROUP_COLUMNS)),
            "sequence": (options.sequence_column, "sequence_column", SEQUENCE_COLUMNS),
            "split": (options.split_column, "split_column", SPLIT_COLUMNS),
            "caption": (options.caption_column, "caption_column", CAPTION_COLUMNS),
        }
        self._seen: dict[str, None] = {}

    def images(self, records: list[Record], first: int) -> pa.Table:
        import pyarrow as pa

        for record in [*records[:1000], records[-1]]:
            self._seen.update(dict.fromkeys(record))
        self._find()
        columns: dict[str, Any] = {"id": texts(_values(records, "id"))}
        for what, field in self.found.items():
            columns[what] = texts(_values(records, field))
        if "group" in columns:
            columns["group"] = columns["group"].dictionary_encode()
        for what in ("width", "height"):
            columns[what] = floats(_values(records, what))
        columns["corrupt"] = pa.array([record.get("corrupt") is True for record in records])
        return pa.table(columns)

    def check(self) -> None:
        """Raise UserError where the user names a field that no image has."""
        for what, (asked, setting, usual) in self._asked.items():
            if asked and what not in self.found:
                raise UserError(
                    f"dataset.{setting} = {asked!r} is no field of the images of {self.name}; they"
                    f" have {', '.join(self._seen)}"
                )
            if what == "file" and what not in self.found:
                raise UserError(
                    f"the images of {self.name} have no {usual[0]}; set dataset.{setting} to the"
                    f" field with their paths: {', '.join(self._seen)}"
                )

    def _find(self) -> None:
        by_plain_name = {plain_name(field): field for field in reversed(self._seen)}
        for what, (asked, _, usual) in self._asked.items():
            names = [asked] if asked else [by_plain_name.get(name, "") for name in usual]
            if field := next((name for name in names if name in self._seen), ""):
                self.found.setdefault(what, field)


def _annotations(records: list[Record], first: int) -> tuple[pa.Table, Boxes]:
    import pyarrow as pa

    table = pa.table(
        {
            "image": texts(_values(records, "image_id")),
            "category": texts(_values(records, "category_id")),
            "of_sequence": pa.array(
                [record.get("sequence_level_annotation") is True for record in records], pa.bool_()
            ),
        }
    )
    relative = [place for place, record in enumerate(records) if record.get("bbox_relative")]
    absolute = [
        place
        for place, record in enumerate(records)
        if record.get("bbox") and not record.get("bbox_relative")
    ]
    values = [_box(records[place]["bbox_relative"]) for place in relative]
    values += [_box(records[place]["bbox"]) for place in absolute]
    return table, Boxes(
        np.array([*relative, *absolute], np.int64) + first - 1,
        np.arange(len(values)) < len(relative),
        np.array(values, np.float64).reshape(-1, 4),
    )


def _categories(path: Path, name: str, options: ReadOptions) -> tuple[Category, ...]:
    records = read_value(path, name, "categories")
    if isinstance(records, Mapping):  # some write them by their id
        records = [
            value if isinstance(value, Mapping) else {"id": key, "name": value}
            for key, value in records.items()
        ]
    if not isinstance(records, list) or not all(isinstance(one, Mapping) for one in records):
        records = []
    field = options.label_column or "name"
    if records and not any(field in record for record in records):
        known = dict.fromkeys(key for record in records for key in record)
        setting = f"dataset.label_column = {field!r}" if options.label_column else repr(field)
        raise UserError(
            f"{setting} is no field of the categories of {name}; they have {', '.join(known)}"
        )
    found: dict[str, Category] = {}
    for place, record in enumerate(records, 1):
        number = as_text(record.get("id"))
        written = as_text(record.get(field)) or as_text(record.get("name"))
        if number is None:
            raise UserError(f"category {place} of {name} has no id; give it one")
        label = " ".join((written or "").split())
        if not label:
            raise UserError(f"category {number} of {name} has no name; give it one")
        if number in found and found[number].name != label:
            raise UserError(
                f"{name} has two categories with id {number}, {found[number].name!r} and {label!r};"
                " correct one"
            )
        found[number] = Category(number, label)
    return tuple(sorted(found.values(), key=_by_number))


def _by_number(category: Category) -> tuple[bool, int]:
    """Numbers by their value; the others stay in their order."""
    is_number = category.number.isdecimal()
    return not is_number, int(category.number) if is_number else 0


def _values(records: list[Record], field: str) -> list[Any]:
    """A field of each record; None where it has none."""
    try:
        return list(map(itemgetter(field), records))
    except KeyError:
        return [record.get(field) for record in records]


# -- columns of values that may have any type


def texts(values: Sequence[Any]) -> pa.Array:
    """Values as text; a whole number is written without a point, what is no value is null."""
    import pyarrow as pa

    kinds = set(map(type, values))
    if kinds <= {str, type(None)}:
        return pa.array(values, pa.string())
    if kinds <= {int, type(None)}:
        try:
            return pa.array(values, pa.int64()).cast(pa.string())
        except (OverflowError, pa.ArrowInvalid):
            pass  # longer than 64 bits
    return pa.array([as_text(value) for value in values], pa.string())


def as_text(value: Any) -> str | None:
    """A value as text, None for none."""
    if value is None or value != value:
        return None
    number = None if isinstance(value, str | bool | int) else _number(value)
    return str(int(number)) if number is not None and number.is_integer() else str(value)


def floats(values: Sequence[Any]) -> pa.Array:
    """Values as numbers; null where there is none."""
    import pyarrow as pa

    if set(map(type, values)) <= {int, float, type(None)}:
        return pa.array(values, pa.float32(), from_pandas=True)
    return pa.array([_number(value) for value in values], pa.float32(), from_pandas=True)


def _box(value: Any) -> list[float]:
    if isinstance(value, list | tuple):
        numbers = [_number(part) for part in value[:4]]
        if len(numbers) == 4 and None not in numbers:
            return [float(number) for number in numbers if number is not None]
    return [math.nan] * 4


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
