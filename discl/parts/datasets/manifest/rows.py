"""The rows of a manifest, and what was decided and noticed while they were read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("ref", "label", "split", "group", "sequence", "box", "caption", "source", "row")


class Decision(NamedTuple):
    """What was understood about a folder, for `discl data info`."""

    what: str  # such as "label", "split", "layout"
    choice: str  # such as "column species of labels.csv"
    why: str  # such as "a usual name", "dataset.label_column", "the only column with few values"


@dataclass(frozen=True)
class ReadOptions:
    """What the user says about the layout; "" = to be found."""

    table: str = ""  # the list to read, below the root: CSV, TSV, JSON, JSONL, Parquet or text
    image_column: str = ""
    label_column: str = ""
    split_column: str = ""
    group_column: str = ""
    sequence_column: str = ""
    caption_column: str = ""
    configuration: str = ""  # of a Hugging Face dataset with several
    group_level: int = 0  # class folders: the folder level that is the group, 1 = the topmost
    groups: str = ""  # a list that gives the groups only, and so is no list of photos
    ood: tuple[str, ...] = ()  # names of splits that hold photos from elsewhere
    name_pattern: str = ""  # what the names of photos say, such as {label}_{number}


@dataclass(frozen=True)
class Contents:
    """Rows of labelled photos with what was decided and noticed.

    `rows` has the columns of `ROW_SCHEMA`; several rows with one `ref` and `box` are several labels
    of one photo. Each step of reading returns new contents, with its own decisions and remarks at
    the end.
    """

    rows: pa.Table
    # class names in the order of their numbers, where the layout numbers them; labels are names
    names: tuple[str, ...] | None = None
    decisions: tuple[Decision, ...] = ()
    remarks: tuple[str, ...] = ()  # a sentence for each guess, dropped row and unused file
    # whether labels and groups are names, and boxes parts of photos, whatever they read as
    is_final: bool = False

    def with_rows(self, rows: pa.Table, *remarks: str) -> Contents:
        """These contents with other rows, and further remarks."""
        return replace(self, rows=rows, remarks=(*self.remarks, *remarks))

    def decided(self, *decisions: Decision) -> Contents:
        """These contents with further decisions."""
        return replace(self, decisions=(*self.decisions, *decisions))


@dataclass
class RowBuilder:
    """Collects rows column by column; columns that are never given stay empty.

    `add` takes one photo; `extend` whole columns of equal length. The labels, splits, groups and
    sequences are text or None; a box is (x, y, width, height) as shares of the photo.
    """

    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COLUMNS})

    def add(self, ref: str, label: str | None, **values: Any) -> None:
        self.extend([ref], label=[label], **{name: [value] for name, value in values.items()})

    def extend(self, refs: list[str], **values: list[Any]) -> None:
        for name, column in self.columns.items():
            given = refs if name == "ref" else values.get(name)
            column.extend(given if given is not None else [None] * len(refs))

    def table(self) -> pa.Table:
        import pyarrow as pa

        return pa.table(self.columns, schema=row_schema())


def row_schema() -> Any:
    """The Arrow schema of rows."""
    import pyarrow as pa

    return pa.schema(
        [
            ("ref", pa.string()),  # path below the root, as `tree.ref_of` writes it
            ("label", pa.string()),  # as written; null = none is given
            ("split", pa.string()),  # train, val, test, id_val, id_test, ood/NAME; null = not given
            ("group", pa.string()),  # camera, site, patient; null = not given
            ("sequence", pa.string()),  # burst; never straddles splits; null = not given
            ("box", pa.list_(pa.float32(), 4)),  # x, y, width, height as shares; null = all of it
            ("caption", pa.string()),
            ("source", pa.dictionary(pa.int32(), pa.string())),  # the file that lists the photo
            ("row", pa.int64()),  # in that file, counted as its readers do (1 = first photo)
        ]
    )
