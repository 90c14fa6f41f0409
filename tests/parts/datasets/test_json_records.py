"""Long arrays of records are read from JSON files, whole or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from discl.core.errors import UserError
from discl.parts.datasets.manifest.lists.json_records import head, read_records, read_value


def _read(path: Path, array: str = "images", block: int = 1 << 20) -> list[dict[str, Any]]:
    chunks = read_records(path, path.name, array, lambda records, first: (first, records), block)
    assert [first for first, _ in chunks] == [
        1 + sum(len(records) for _, records in chunks[:at]) for at in range(len(chunks))
    ]
    return [record for _, records in chunks for record in records]


@pytest.mark.parametrize("block", [64, 200, 1 << 20])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("order", [("images", "annotations"), ("annotations", "images")])
def test_records_are_the_same_in_small_and_large_blocks(
    tmp_path: Path, block: int, indent: int | None, order: tuple[str, str]
) -> None:
    arrays = {
        "images": [
            {"id": n, "name": 'a }, {"images": [', "é": {"b": [1.5, None]}} for n in range(30)
        ],
        "annotations": [{"image_id": n, "boxes": [{"x": n}, {"x": [n, {}]}]} for n in range(30)],
    }
    path = tmp_path / "all.json"
    content = {"info": {"year": "2020"}, **{key: arrays[key] for key in order}, "categories": []}
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=False), "utf-8")
    for key in order:
        assert _read(path, key, block) == arrays[key]


@pytest.mark.parametrize("block", [103, 104, 115])
def test_no_record_is_read_twice_wherever_blocks_end(tmp_path: Path, block: int) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": [{"id": n} for n in range(10, 90)]}))
    read: list[int] = []
    read_records(path, "a.json", "images", lambda records, first: read.append(first), block)
    assert read == sorted(set(read))


@pytest.mark.parametrize("block", [64, 1 << 20])
@pytest.mark.parametrize("array", ["images", "annotations"])
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path, block: int, array: str) -> None:
    text = json.dumps({key: [{"id": n} for n in range(20)] for key in ("images", "annotations")})
    path = tmp_path / "cut.json"
    for end in range(12, len(text) - 1, 17):
        path.write_text(text[:end])
        if array == "images" and '"annotations": [' in text[:end]:
            continue  # whole, and what is cut is found where that is read
        with pytest.raises(UserError, match=r"cut\.json cannot be read as JSON .*get it again"):
            _read(path, array, block)


def test_where_a_file_is_cut_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text('{"images": [{"id": 1}, {"id": 2}, {"id"')
    with pytest.raises(UserError, match=r"\(after number 2 of images: premature EOF\)"):
        _read(path)


def test_what_python_writes_and_json_does_not_know_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    number = 12345678901234567890123
    path.write_bytes(
        b'\xef\xbb\xbf{"images": [{"id": %d, "location": NaN, "bbox": [1, -Infinity]}]}' % number
    )
    assert _read(path) == [{"id": number, "location": None, "bbox": [1, None]}]


def test_an_array_of_something_else_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"images": ["a.jpg", "b.jpg"]}')
    with pytest.raises(UserError, match=r"a\.json: images holds 'a\.jpg', which is no record"):
        _read(path)


def test_an_object_is_no_array(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"images": {"1.jpg": [{"id": 1}]}, "categories": {"1": "zebra"}}')
    assert _read(path) == []
    assert read_value(path, "a.json", "categories") == {"1": "zebra"}


def test_only_entries_at_the_top_of_a_file_count(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '{"old": {"images": [{"id": 1}], "categories": [1]}, "images": [{"id": 2}],'
        ' "categories": [3]}'
    )
    assert _read(path) == [{"id": 2}]
    assert read_value(path, "a.json", "categories") == [3]
    assert read_value(path, "a.json", "annotations") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"info": {}, "images": [{"id": 1}, {"id": 2}], "annotations": [', {"images": {"id": 1}}),
        ('{"images": [], "annotations": [{"id": 3}]}', {"images": {}, "annotations": {"id": 3}}),
        ('[{"images": [{"id": 1}]}]', {}),
        (
            '{"images": [{"id": NaN, "file_name": "1.jpg", "loc',
            {"images": {"id": None, "file_name": "1.jpg"}},
        ),
        ("not JSON", {}),
        ("", {}),
    ],
)
def test_the_beginning_of_a_file_says_what_its_records_are(
    tmp_path: Path, text: str, expected: dict[str, Any]
) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert head(path, ("images", "annotations")) == expected
