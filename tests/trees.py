"""Builds the folders that pages draw as trees, so that the drawing and what is tested are one."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

_PICTURES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF"}
_TABLES = (".parquet", ".arrow")
SPLIT_KINDS = ("gnu", "lion", "zebra")


def split_folders(root: Path, each: int, picture: Callable[[int], Image.Image]) -> Path:
    """`root` with train, val and test, and in them `each` pictures of each of `SPLIT_KINDS`."""
    number = 0
    for split in ("train", "val", "test"):
        for kind in SPLIT_KINDS:
            (root / split / kind).mkdir(parents=True)
            for name in range(each):
                picture(number).save(root / split / kind / f"{name}.png")
                number += 1
    return root


def is_tree(text: str) -> bool:
    """Whether a block of text draws a folder."""
    return bool(re.match(r"[^\s,]+/\n +\S", text))


def files_of(tree: str) -> Iterator[tuple[str, str]]:
    """(path, words behind a #) of the files of a tree, in its order.

    Each line is a folder that ends in a slash, its files behind two blanks, or files alone;
    `1.jpg, ... 9.jpg` are nine.
    """
    folders: list[tuple[int, str]] = []
    for line in tree.splitlines():
        drawn, _, words = line.partition("#")
        indent = len(line) - len(line.lstrip())
        first, *rest = re.split(r"  +", drawn.strip(), maxsplit=1)
        assert "/ " not in first, f"{line!r}: two blanks are before the files of a folder"
        files = [*rest] if first.endswith("/") else [first, *rest]
        while folders and folders[-1][0] >= indent:
            folders.pop()
        above = folders[-1][1] if folders else ""
        if first.endswith("/"):
            above = f"{above}{first}"
            folders.append((indent, above))
        for name in _names("  ".join(files)):
            yield above + name, words.strip()


def _names(files: str) -> Iterator[str]:
    before = ""
    for name in filter(None, re.split(r", *", files.strip())):
        if name.startswith("... "):
            yield from _between(before, name.removeprefix("... "))
        else:
            yield name
        before = name


def _between(first: str, last: str) -> Iterator[str]:
    """The names after `first` up to `last`, which differ by a number."""
    pattern = re.compile(r"(.*?)(\d+)(\D*)")
    start, stop = pattern.fullmatch(first), pattern.fullmatch(last)
    assert start, first
    assert stop, last
    for number in range(int(start[2]) + 1, int(stop[2]) + 1):
        yield f"{start[1]}{number:0{len(start[2])}d}{start[3]}"


def plant(tree: str, folder: Path) -> None:
    """Make the pictures and tables of a tree, and files of programs, which have words behind a #.

    What is in other files the page must say.
    """
    for name, words in files_of(tree):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        ending = path.suffix.lower()
        if ending in _PICTURES:
            picture(name).save(path, _PICTURES[ending])
        elif ending in _TABLES:
            _write_table(path, [word.strip() for word in words.split(",")])
        elif words:
            path.write_bytes(b"{}")


def picture(name: str) -> Image.Image:
    """A picture that no other name has."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))


def _write_table(path: Path, columns: list[str]) -> None:
    """Twelve pictures of two classes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def cell(number: int) -> Mapping[str, object]:
        content = io.BytesIO()
        picture(f"{path}{number}").save(content, "PNG")
        return {"bytes": content.getvalue(), "path": None}

    image, label = columns
    table = pa.table(
        {image: [cell(row) for row in range(12)], label: [f"class {row % 2}" for row in range(12)]}
    )
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
