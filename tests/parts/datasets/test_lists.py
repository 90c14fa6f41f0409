"""Lists beside photos: what is read of them, and what is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from discl.core.errors import UserError
from discl.parts.datasets.manifest.layouts.lists import PhotoLists, unused_lists
from discl.parts.datasets.manifest.rows import Contents, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree

PHOTOS = ("images/a1.jpg", "images/a2.jpg", "images/b1.jpg", "images/b2.jpg")
TABLE = "file_name,label\na1.jpg,lion\na2.jpg,lion\nb1.jpg,gnu\nb2.jpg,gnu\n"
ANSWER = [("images/a1.jpg", "lion"), ("images/a2.jpg", "lion")]
ANSWER += [("images/b1.jpg", "gnu"), ("images/b2.jpg", "gnu")]


def folder(root: Path, photos: Sequence[str] = PHOTOS, **lists: str | bytes) -> Path:
    """A folder with photos and lists; `labels__csv` is labels.csv."""
    for photo in photos:
        (root / photo).parent.mkdir(parents=True, exist_ok=True)
        (root / photo).write_bytes(b"a photo")
    for name, text in lists.items():
        data = text.encode() if isinstance(text, str) else text
        path = root / name.replace("__", ".").replace("_in_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def read(root: Path, **options: str) -> Contents:
    tree = FileTree(root)
    given = ReadOptions(**options)  # type: ignore[arg-type]
    assert PhotoLists().recognises(tree, given)
    return PhotoLists().contents(tree, given)


def column(contents: Contents, name: str) -> list[object]:
    return contents.rows[name].to_pylist()


def answer(contents: Contents) -> list[tuple[object, object]]:
    return list(zip(column(contents, "ref"), column(contents, "label"), strict=True))


@pytest.mark.parametrize(
    "lists",
    [
        {"labels__csv": TABLE},
        {"labels__csv": TABLE.replace(",", ";")},
        {"labels__tsv": TABLE.replace(",", "\t")},
        {"labels__csv": TABLE.replace(",", "|")},
        {"labels__csv": "\ufeff" + TABLE.replace("file_name,label", "File Name,Label ")},
        {"labels__csv": TABLE.encode("utf-16")},
        {"labels__csv": TABLE.encode("utf-16-le")},
        {"labels__csv": "sep=;\r\n" + TABLE.replace(",", ";").replace("\n", "\r\n")},
        {"labels__csv": TABLE.replace(",", ",,").replace("\n", ",\n") + ",,,\n\n"},
        {"labels__csv": TABLE.partition("\n")[2]},  # no header
        {"labels__csv": TABLE.replace(",", ", ")},
        {"labels__csv": TABLE.replace(".jpg", "")},  # names without ending
        {"labels__csv": '"file_name","label"\n' + TABLE.partition("\n")[2]},
        {"labels__csv": TABLE.replace("a1.jpg", "C:\\photos\\images\\a1.jpg")},
        {"meta_in_labels__csv": TABLE},
        {"labels__json": json.dumps([{"x": ref, "y": name} for ref, name in ANSWER])},
        {"labels__json": json.dumps(dict(ANSWER))},
        {
            "labels__jsonl": "\n".join(
                json.dumps({"image": ref, "species": name}) for ref, name in ANSWER
            )
        },
    ],
)
def test_a_list_is_read_however_it_is_written(
    tmp_path: Path, lists: dict[str, str | bytes]
) -> None:
    assert answer(read(folder(tmp_path, **lists))) == ANSWER


def test_latin_names_are_read_with_a_remark(tmp_path: Path) -> None:
    contents = read(folder(tmp_path, labels__csv=TABLE.replace("gnu", "löwe").encode("cp1252")))
    assert set(column(contents, "label")) == {"lion", "löwe"}
    assert "labels.csv is no UTF-8 and is read as Latin-1" in contents.remarks[0]


def test_parquet_lists_are_read_as_csv_is(tmp_path: Path) -> None:
    folder(tmp_path)
    refs, labels = zip(*ANSWER, strict=True)
    table = pa.table({"path": refs, "y": labels, "width": [0.5] * 4, "seq": [7.0, None, 8, 8]})
    pq.write_table(table, tmp_path / "metadata.parquet")
    contents = read(tmp_path)
    assert answer(contents) == ANSWER
    assert column(contents, "sequence") == ["7", None, "8", "8"]


def test_roles_of_columns_are_found_and_told(tmp_path: Path) -> None:
    header = "image_id,path,identity,species,camera,seq_id,split,caption\n"
    lines = [
        f"{i},{ref},{name}{i % 2},{name},S{i % 2},q{i // 2},{split},a {name}\n"
        for i, ((ref, name), split) in enumerate(
            zip(ANSWER, ("train", "Training", "valid", "test"), strict=True)
        )
    ]
    contents = read(folder(tmp_path, metadata__csv=header + "".join(lines)))
    assert column(contents, "label") == ["lion", "lion", "gnu", "gnu"]
    assert column(contents, "split") == ["train", "train", "val", "test"]
    assert column(contents, "group") == ["S0", "S1", "S0", "S1"]
    assert column(contents, "sequence") == ["q0", "q0", "q1", "q1"]
    assert column(contents, "caption")[0] == "a lion"
    assert column(contents, "row") == [1, 2, 3, 4]
    decisions = {made.what: (made.choice, made.why) for made in contents.decisions}
    assert decisions["label"] == (
        "column species of metadata.csv",
        "a usual name; identity could be it, too",
    )
    by_hand = read(tmp_path, label_column="Identity", split_column="split")
    assert column(by_hand, "label")[0] == "lion0"
    assert by_hand.decisions[1].why == "dataset.label_column"


def test_columns_are_found_by_what_their_cells_hold(tmp_path: Path) -> None:
    rows = ["shot,animal kind,weight,part"]
    rows += [
        f"{ref},{name},{i}.5,{split}"
        for i, ((ref, name), split) in enumerate(
            zip(ANSWER, ("train", "train", "train", "test"), strict=True)
        )
    ]
    contents = read(folder(tmp_path, things__csv="\n".join(rows)))
    assert answer(contents) == ANSWER
    assert column(contents, "split") == ["train", "train", "train", "test"]


def test_yes_and_no_say_the_split(tmp_path: Path) -> None:
    text = "fname,label,is_valid\na1.jpg,x,False\na2.jpg,y,True\nb1.jpg,x,False\nb2.jpg,y,False\n"
    contents = read(folder(tmp_path, train_log__csv=text))
    assert column(contents, "split") == ["train", "val", "train", "train"]


def test_numbered_folds_are_no_splits(tmp_path: Path) -> None:
    text = "file,label,fold\n" + "".join(f"{ref},{n},{i}\n" for i, (ref, n) in enumerate(ANSWER))
    contents = read(folder(tmp_path, labels__csv=text))
    assert column(contents, "split") == [None] * 4
    assert "column fold of labels.csv holds no split's name (0, 1, 2, 3)" in contents.remarks[0]


def test_columns_of_0_and_1_are_classes(tmp_path: Path) -> None:
    text = "image_id,healthy,rust,scab\na1,1,0,0\na2,0,1,1\nb1,0,0,1\nb2,0,1,0\n"
    contents = read(folder(tmp_path, train__csv=text))
    assert answer(contents) == [
        ("images/a1.jpg", "healthy"),
        ("images/a2.jpg", "rust"),
        ("images/a2.jpg", "scab"),
        ("images/b1.jpg", "scab"),
        ("images/b2.jpg", "rust"),
    ]
    assert column(contents, "row") == [1, 2, 2, 3, 4]


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (['["lion", "gnu"]', "lion", "gnu", "gnu"], ["lion", "gnu", "lion", "gnu", "gnu"]),
        (["['lion']", "[]", "gnu", "NA"], ["lion", None, "gnu", "NA"]),
        (["lion;gnu", "lion", "gnu", "gnu"], ["lion", "gnu", "lion", "gnu", "gnu"]),
        (["lion|hare", "lion", "gnu", "gnu"], ["lion", "hare", "lion", "gnu", "gnu"]),
        (["lion, young", "lion", "gnu", "gnu"], ["lion, young", "lion", "gnu", "gnu"]),
    ],
)
def test_several_classes_in_a_cell_are_rows_where_that_is_certain(
    tmp_path: Path, cells: list[str], labels: list[str | None]
) -> None:
    table = pa.table({"path": [ref for ref, _ in ANSWER], "label": cells})
    pq.write_table(table, folder(tmp_path) / "labels.parquet")
    assert column(read(tmp_path), "label") == labels


NUMBERED = "path,y\na1.jpg,{0}\na2.jpg,{0}\nb1.jpg,{1}\n"


@pytest.mark.parametrize(
    "lists",
    [
        {"labels__csv": "path,label,class_name\na1.jpg,2,lion\na2.jpg,2,lion\nb1.jpg,0,gnu\n"},
        {"labels__csv": NUMBERED.format(2, 0), "classes__txt": "gnu\ncow\nlion"},
        {"labels__csv": NUMBERED.format(3, 1), "names__txt": "gnu\ncow\nlion"},
        {"labels__csv": NUMBERED.format(7, 2), "classes__csv": "y,name\n2,gnu\n7,lion"},
        {"a__csv": NUMBERED.format(7, 2), "categories__csv": "id,y,name\n2,7,lion\n7,2,gnu"},
        {"labels__csv": NUMBERED.format("7.0", "02"), "classes__txt": "2 gnu\n7 lion"},
    ],
)
def test_numbers_of_classes_get_names(tmp_path: Path, lists: dict[str, str]) -> None:
    contents = read(folder(tmp_path, PHOTOS[:3], **lists))
    assert column(contents, "label") == ["lion", "lion", "gnu"]
    assert contents.names is not None
    assert [name for name in contents.names if name != "cow"] == ["gnu", "lion"]


@pytest.mark.parametrize("content", ["0", "null", '["a"]', "{}", '{"a.jpg": {"b": 1}}'])
def test_json_of_another_kind_is_refused_by_name(tmp_path: Path, content: str) -> None:
    with pytest.raises(UserError, match=r"labels.json is neither a JSON array of objects nor an"):
        read(folder(tmp_path, labels__json=content), table="labels.json")


@pytest.mark.parametrize("name", ["labels__csv", "classes__csv"])
def test_a_list_of_photos_names_no_classes(tmp_path: Path, name: str) -> None:
    contents = read(folder(tmp_path, PHOTOS[:3], **{name: NUMBERED.format(7, 2)}))
    assert column(contents, "label") == ["7", "7", "2"]
    contents = read(folder(tmp_path, PHOTOS[:3], **{name: "path,y\na1.jpg,0\nb1.jpg,1\n"}))
    assert column(contents, "label") == ["0", "1"]


def test_a_list_for_each_split_in_its_folder_or_in_its_name(tmp_path: Path) -> None:
    photos = ["train/1.jpg", "train/2.jpg", "test/1.jpg"]
    one = "file_name,label\n1.jpg,x\n2.jpg,y\n"
    folder(tmp_path / "a", photos, train_in_metadata__csv=one)
    folder(tmp_path / "a", photos, test_in_metadata__csv="file_name,label\n1.jpg,y\n")
    folder(tmp_path / "b", photos, train__csv=one.replace(".jpg", ""))
    folder(tmp_path / "b", photos, test__csv="file_name\n1\n")
    folder(tmp_path / "b", photos, sample_submission__csv="file_name,label\n1,x\n")
    wanted = [("train/1.jpg", "train"), ("train/2.jpg", "train"), ("test/1.jpg", "test")]
    for name in ("a", "b"):
        contents = read(tmp_path / name)
        pairs = zip(column(contents, "ref"), column(contents, "split"), strict=True)
        assert sorted(pairs) == sorted(wanted)
    assert sorted(column(contents, "label"), key=str) == [None, "x", "y"]  # test has no labels


def test_paths_below_splits_folders_say_the_split(tmp_path: Path) -> None:
    photos = [f"{split}/{name}/0.jpg" for split in ("train", "test") for name in ("gnu", "test")]
    rows = "".join(f"./{photo},{photo.split('/')[1]}\n" for photo in photos)
    contents = read(folder(tmp_path, photos, metadata__csv=f"file_name,label\n{rows}"))
    assert column(contents, "split") == [None] * 4  # test is a class here
    rows = rows.replace(",test", ",lion")
    contents = read(folder(tmp_path, photos, metadata__csv=f"file_name,label\n{rows}"))
    assert column(contents, "split") == ["train", "train", "test", "test"]


def test_text_lists_of_paths_alone_give_the_splits_of_a_list(tmp_path: Path) -> None:
    texts = {"train_val_list__txt": "a1.jpg\na2.jpg\nb1.jpg\n", "test_list__txt": "b2.jpg\n"}
    contents = read(folder(tmp_path, labels__csv=TABLE, **texts))
    assert column(contents, "split") == ["train", "train", "train", "test"]
    (tmp_path / "test_list.txt").write_text("a1.jpg\n")
    with pytest.raises(UserError, match=r"images/a1.jpg stands in test_list.txt and in train_val"):
        read(tmp_path)


def test_equal_names_in_the_folders_of_splits_are_told_apart_by_the_split(tmp_path: Path) -> None:
    photos = ["train_images/1.jpg", "train_images/2.jpg", "test_images/1.jpg"]
    text = "name,label,split\n1,x,train\n2,y,train\n1,y,test\n"
    contents = read(folder(tmp_path, photos, labels__csv=text))
    assert column(contents, "ref") == photos


def test_corners_of_boxes_become_shares_of_the_photo(tmp_path: Path) -> None:
    text = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    text += "a1.jpg,100,50,lion,25,0,75,25\na1.jpg,100,50,gnu,90,10,120,30\na2.jpg,100,50,gnu,,,,\n"
    contents = read(folder(tmp_path, labels__csv=text))
    boxes = column(contents, "box")
    assert boxes[0] == [0.25, 0.0, 0.5, 0.5]
    assert boxes[1] == pytest.approx([0.9, 0.2, 0.1, 0.4])
    assert boxes[2] is None
    without = text.replace("width,height", "w,h")
    contents = read(folder(tmp_path, labels__csv=without))
    assert column(contents, "box") == [None] * 3
    assert "columns xmin, ymin, xmax, ymax hold boxes in pixels" in contents.remarks[0]


def test_photos_that_are_not_there_and_photos_without_a_row_are_told(tmp_path: Path) -> None:
    text = TABLE.replace("b2.jpg", "b9.jpg") + ",gnu\n"
    contents = read(folder(tmp_path, labels__csv=text))
    assert column(contents, "ref")[-1] == "b9.jpg"
    assert contents.remarks == (
        "labels.csv: 3 rows found by another spelling or folder ('a1.jpg' in row 1 is"
        " images/a1.jpg)",
        "labels.csv: 1 row without a photo in column file_name left out (row 5)",
        "labels.csv: 1 row of photos that are not there ('b9.jpg' in row 4)",
        "1 picture that no list names (images/b2.jpg): not used",
    )


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (TABLE + "../x.jpg,lion\n", {}, r"labels.csv, column file_name: '../x.jpg' in row 5 does"),
        (TABLE + "http://a.b/c.jpg,lion\n", {}, r"'http://a.b/c.jpg' in row 5 is an address"),
        (TABLE + "a1.jpg,li,on\n", {}, r"labels.csv, row 5, has 3 of 2 columns .*needs quotes"),
        (TABLE + "a1.j", {}, r"labels.csv, row 5, has 1 of 2 columns \('a1.j'\): the file is cut"),
        (TABLE, {"label_column": "species"}, r"'species': labels.csv has the columns file_name, l"),
        (TABLE, {"table": "other.csv"}, r"dataset.table = 'other.csv' is not there; lists in"),
        ("path,label\n", {"table": "labels.csv"}, r"labels.csv lists no photo: it has a header"),
        (
            "path,split,label\na1.jpg,train,x\na2.jpg,night,y\n",
            {},
            r"column split, holds 'night' in 1 row: no name of a split; .*dataset.ood",
        ),
        (
            "path,label,name\na1.jpg,3,lion\na2.jpg,3,lion\nb1.jpg,3,zebra\n"
            + "b2.jpg,1,gnu\n" * 20,
            {},
            r"names class 3 of column label 'lion' in row 1 and 'zebra' in row 3",
        ),
        (
            "path,a kind,b kind\na1.jpg,x,u\na2.jpg,x,u\nb1.jpg,y,v\nb2.jpg,y,v\n",
            {},
            r"which of them is the class \(a kind or b kind\)\? set dataset.label_column",
        ),
    ],
)
def test_what_is_wrong_is_a_sentence(
    tmp_path: Path, text: str, options: dict[str, str], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        read(folder(tmp_path, labels__csv=text), **options)


def test_two_lists_of_the_same_photos_are_asked_about(tmp_path: Path) -> None:
    root = folder(tmp_path, labels__csv=TABLE, old__csv=TABLE.replace("gnu", "cow"))
    with pytest.raises(UserError, match=r"labels.csv and old.csv all list photos"):
        read(root)
    assert "cow" in column(read(root, table="old.csv"), "label")


def test_a_named_column_chooses_among_lists(tmp_path: Path) -> None:
    sharp = TABLE.replace("label", "kind of blur").replace("gnu", "none")
    root = folder(tmp_path, labels__csv=TABLE, sharp__csv=sharp, rain__csv="day,rain\n1,2\n")
    assert answer(read(root, label_column="label")) == ANSWER


def test_a_list_may_lie_elsewhere(tmp_path: Path) -> None:
    root = folder(tmp_path / "photos")
    folder(tmp_path / "test", [], labels__csv=TABLE)
    contents = read(root, table=str(tmp_path / "test" / "labels.csv"))
    assert answer(contents) == ANSWER
    assert column(contents, "split") == [None] * 4


def test_lists_that_name_no_photo_are_passed_over_and_told(tmp_path: Path) -> None:
    photos = ["gnu/1.jpg", "gnu/2.jpg", "lion/1.jpg", "lion/2.jpg"]
    root = folder(
        tmp_path,
        photos,
        weather__csv="day,rain\n1,0.5\n",
        links__csv="url,label\nhttp://a.b/1.jpg,gnu\n",
        blurred__csv="file,label\ngnu/1.jpg,fog\n",
        notes__csv=b"\x00\x01\x02",
        labels__xlsx=b"PK",
        people__csv="photo,taken by\n" + "".join(f"{photo},Ada\n" for photo in photos),
        other__csv="file,label\nc.JPG,lion\n",
    )
    tree = FileTree(root)
    assert not PhotoLists().recognises(tree, ReadOptions())
    assert unused_lists(tree, ReadOptions(), []) == [
        "blurred.csv is not used: the photos have their classes from elsewhere; dataset.table ="
        " 'blurred.csv' reads it",
        "links.csv is not used: column url holds addresses; download the photos first",
        "notes.csv is not used: notes.csv is no text; give a list as CSV, TSV, JSONL or Parquet",
        "other.csv is not used: none of its cells names a picture, such as 'c.JPG' (columns file,"
        " label)",
        "people.csv is not used: the folders are the classes; dataset.label_column = 'taken by'"
        " takes them from it",
        "weather.csv is not used: none of its cells names a picture (columns day, rain)",
        "labels.xlsx is not used: save it as CSV, unpacked, to be read",
    ]


def test_rows_in_another_order_give_the_same_photos(tmp_path: Path) -> None:
    lines = TABLE.splitlines()
    one = read(folder(tmp_path / "one", labels__csv=TABLE))
    other = read(folder(tmp_path / "other", labels__csv="\n".join([lines[0], *lines[:0:-1]])))
    assert sorted(answer(one)) == sorted(answer(other))
