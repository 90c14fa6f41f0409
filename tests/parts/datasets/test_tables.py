"""Pictures inside Parquet and Arrow files: columns, splits, configurations, paths."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from discl.core.errors import UserError
from discl.parts.datasets.manifest.layouts.lists import PhotoLists, unused_lists
from discl.parts.datasets.manifest.layouts.tables import TableFiles
from discl.parts.datasets.manifest.rows import Contents, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
CLASSES = {"names": ["gnu", "lion"], "_type": "ClassLabel"}


def pictures(count: int, start: int = 0) -> pa.Array:
    return pa.array([{"bytes": b"%d" % (start + i), "path": None} for i in range(count)], PICTURE)


def table(columns: dict[str, Any], **types: Any) -> pa.Table:
    """A table as `datasets` writes it; the types of columns beside it."""
    found = pa.table(columns)
    features = {"image": {"_type": "Image"}, **types}
    about = json.dumps({"info": {"features": features}})
    return found.replace_schema_metadata({"huggingface": about})


def write(path: Path, content: pa.Table, groups: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(content, path, row_group_size=groups)
        return path
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, content.schema) as stream:
        for batch in content.to_batches(max_chunksize=groups):
            stream.write_batch(batch)
    return path


def read(root: Path, **options: str) -> Contents:
    tree = FileTree(root)
    given = ReadOptions(**options)  # type: ignore[arg-type]
    assert TableFiles().recognises(tree, given)
    return TableFiles().contents(tree, given)


def column(contents: Contents, name: str) -> list[Any]:
    found: list[Any] = contents.rows[name].to_pylist()
    return found


def contents_of(root: Path, contents: Contents) -> list[bytes | None]:
    return [TableFiles().read(root, ref) for ref in column(contents, "ref")]


@pytest.mark.parametrize(
    "names",
    [
        (
            "data/train-00000-of-00002.parquet",
            "data/train-00001-of-00002.parquet",
            "data/val.parquet",
        ),
        ("train/0000.parquet", "train/0001.parquet", "validation/0000.parquet"),
        (
            "a/0.0.0/ab12/beans-train-00000-of-00002.arrow",
            "a/0.0.0/ab12/beans-train-00001-of-00002.arrow",
            "a/0.0.0/ab12/beans-validation.arrow",
        ),
    ],
)
def test_files_of_splits_are_told_by_their_names(tmp_path: Path, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        columns = {"image": pictures(3, 10 * number), "label": [0, 1, -1]}
        write(tmp_path / name, table(columns, label=CLASSES))
    contents = read(tmp_path)
    assert column(contents, "label") == ["gnu", "lion", None] * 3
    assert column(contents, "split") == ["train"] * 6 + ["val"] * 3
    assert contents.names == ("gnu", "lion")
    assert contents_of(tmp_path, contents)[2:5] == [b"2", b"10", b"11"]
    place = TableFiles().place(column(contents, "ref")[1])
    assert place is not None
    assert place[:3] == (names[0], "image", 1)
    cells = TableFiles().cells(tmp_path, names[0], "image")
    assert list(cells) == [b"0", b"1", b"2"]


def test_a_folder_that_was_saved_has_the_splits_it_says(tmp_path: Path) -> None:
    for name in ("train", "night"):
        columns = {"img": pictures(2), "y": ["a", "b"]}
        write(tmp_path / name / "data-00000-of-00001.arrow", pa.table(columns))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "night"]}')
    write(tmp_path / "train" / "cache-77aa.arrow", pa.table({"img": pictures(9), "y": ["a"] * 9}))
    contents = read(tmp_path)
    assert sorted(column(contents, "split")) == ["night", "night", "train", "train"]


def test_columns_of_any_name_and_kind(tmp_path: Path) -> None:
    columns = {
        "id": [10, 11, 12, 13],
        "jpg": pa.array([b"0", b"1", b"2", b"3"], pa.large_binary()),
        "objects": [[{"bbox": [0.0, 1.0]}]] * 4,
        "embedding": [[0.5, 1.5]] * 4,
        "species": pa.array(["gnu", "lion", "gnu", "gnu"]).dictionary_encode(),
        "site": ["A", "A", "B", None],
        "burst": [1.0, 1.0, 2.0, None],
        "split": [0, 1, 1, 0],
    }
    splits = {"names": ["train", "test"], "_type": "ClassLabel"}
    write(tmp_path / "all.parquet", table(columns, split=splits))
    contents = read(tmp_path)
    assert column(contents, "label") == ["gnu", "lion", "gnu", "gnu"]
    assert column(contents, "split") == ["train", "test", "test", "train"]
    assert column(contents, "group") == ["A", "A", "B", None]
    assert column(contents, "sequence") == ["1", "1", "2", None]
    assert contents_of(tmp_path, contents) == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("kind", ["List", "Sequence"])
def test_lists_of_classes_are_rows_of_their_own(tmp_path: Path, kind: str) -> None:
    columns = {"image": pictures(3), "labels": [[0], [1, 0], []]}
    listed = {"feature": CLASSES, "_type": kind}
    write(tmp_path / "train.parquet", table(columns, labels=listed))
    contents = read(tmp_path)
    assert column(contents, "label") == ["gnu", "lion", "gnu", None]
    assert column(contents, "row") == [1, 2, 2, 3]


def test_several_configurations_are_asked_about(tmp_path: Path) -> None:
    for name in ("full", "small"):
        write(tmp_path / name / "train.parquet", pa.table({"image": pictures(2), "y": ["a", "b"]}))
    with pytest.raises(UserError, match=r"several configurations \(full, small\); set dataset.con"):
        read(tmp_path)
    with pytest.raises(UserError, match=r"dataset.configuration = 'tiny': .* has full, small"):
        read(tmp_path, configuration="tiny")
    assert set(column(read(tmp_path, configuration="small"), "source")) == {"small/train.parquet"}


def test_paths_without_pictures_are_read_while_they_hold(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for path in (root / "photos" / "a.jpg", elsewhere / "b.jpg"):
        path.parent.mkdir(parents=True)
        path.write_bytes(path.name.encode())
    paths = ["photos/a.jpg", str(elsewhere / "b.jpg"), None]
    cells = [{"bytes": None, "path": path} for path in paths]
    cells[2]["bytes"] = b"c"
    columns = {"image": pa.array(cells, PICTURE), "label": ["x", "y", "y"]}
    write(root / "train.parquet", pa.table(columns))
    contents = read(root)
    assert column(contents, "ref")[0] == "photos/a.jpg"
    others = [TableFiles().read(root, ref) for ref in column(contents, "ref")]
    assert others == [None, b"b.jpg", b"c"]  # None = it is a file
    (elsewhere / "b.jpg").unlink()
    with pytest.raises(UserError, match=r"holds no picture, and .*b.jpg is not there"):
        TableFiles().read(root, column(contents, "ref")[1])


def test_paths_that_hold_no_more_are_refused_by_name(tmp_path: Path) -> None:
    cells = [{"bytes": None, "path": f"/no/{i}.jpg"} for i in range(3)]
    columns = {"image": pa.array(cells, PICTURE), "label": ["x", "y", "y"]}
    write(tmp_path / "train.parquet", pa.table(columns))
    with pytest.raises(
        UserError, match=r"train.parquet holds paths and no pictures, such as /no/0"
    ):
        read(tmp_path)


def test_tables_without_pictures_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "embeddings.parquet", pa.table({"id": [1, 2], "emb": [0.1, 0.2]}))
    assert not TableFiles().recognises(FileTree(tmp_path), ReadOptions())
    write(tmp_path / "data" / "train.parquet", pa.table({"image": pictures(2), "y": ["a", "b"]}))
    assert read(tmp_path).remarks == ("embeddings.parquet not used: no pictures in it",)


def test_a_damaged_table_is_refused_unless_pictures_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match=r"x.parquet cannot be read"):
        TableFiles().recognises(FileTree(tmp_path), ReadOptions())
    (tmp_path / "a.jpg").write_bytes(b"photo")
    tree = FileTree(tmp_path)
    assert not TableFiles().recognises(tree, ReadOptions())
    assert "x.parquet is not used" in unused_lists(tree, ReadOptions(), [])[0]


@pytest.mark.parametrize(
    ("columns", "types", "options", "says"),
    [
        ({"a": [0, 1], "b": [1, 0]}, {"a": CLASSES, "b": CLASSES}, {}, r"the label \(a, b\); set"),
        ({"left": pictures(2)}, {"left": {"_type": "Image"}}, {"image_column": "x"}, r"'x': t"),
        ({"label": [0, 1]}, {}, {"group_column": "camra"}, r"'camra': t.parquet has the columns i"),
        ({"number": [0.5, 1.5]}, {}, {}, r"which of them is the class\? set dataset.label_column"),
    ],
)
def test_what_is_not_clear_is_asked(
    tmp_path: Path,
    columns: dict[str, Any],
    types: dict[str, Any],
    options: dict[str, str],
    says: str,
) -> None:
    write(tmp_path / "t.parquet", table({"image": pictures(2), "n": [1, 1], **columns}, **types))
    with pytest.raises(UserError, match=says):
        read(tmp_path, **options)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_shards_of_paths_are_lists_of_photos(tmp_path: Path, ending: str) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(4):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(b"photo")
    for shard in (0, 1):
        paths = [f"photos/{2 * shard + number}.jpg" for number in (0, 1)]
        columns = {"path": paths, "kind": [0, -1]}
        write(tmp_path / f"train-0000{shard}-of-00002.{ending}", table(columns, kind=CLASSES))
    assert not TableFiles().recognises(FileTree(tmp_path), ReadOptions())
    contents = PhotoLists().contents(FileTree(tmp_path), ReadOptions())
    assert column(contents, "ref") == [f"photos/{number}.jpg" for number in range(4)]
    assert column(contents, "label") == ["gnu", None, "gnu", None]
    assert column(contents, "split") == ["train"] * 4
