"""What a second look at a folder of photos costs, and cutting the splits of a million rows.

    python benchmarks/perf/manifests.py

The folder has 100 classes of a thousand photos each. Every look is in a process of its own, whose
imports count. The rows are in bursts of three at 700 cameras. Results go to
benchmarks/perf/manifests.json.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from _report import report  # noqa: E402

OUTPUT = Path(__file__).with_suffix(".json")


@click.command()
@click.option("--photos", default=100_000, help="Photos in the folder.")
@click.option("--rows", default=1_000_000, help="Rows to cut.")
def main(photos: int, rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISCL_DATA"] = f"{folder}/data"
        root = Path(folder) / "photos"
        write(root, photos)
        found = {
            "first look": alone(look, str(root)),
            "second look": alone(look, str(root)),
        }
    report(OUTPUT, f"a folder of {photos:,} photos", found)
    report(OUTPUT, f"splits of {rows:,} rows", alone(cut, rows))


def write(root: Path, photos: int) -> None:
    """Class folders of photos that differ in a few bytes behind the picture."""
    first = root / "class_000" / "000000.jpg"
    first.parent.mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)).save(first)
    picture = first.read_bytes()
    for number in range(photos):
        folder = root / f"class_{number // 1000:03d}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:06d}.jpg").write_bytes(picture + str(number).encode())


def look(root: str) -> str:
    from discl.parts.datasets.folder import Folder

    return str(Folder(root=root).identity()["photos"])


def cut(count: int) -> str:
    import pyarrow as pa

    from discl.parts.datasets.manifest.held_out import RowPictures
    from discl.parts.datasets.manifest.rows import Contents, row_schema
    from discl.parts.datasets.manifest.splits import SplitRule, assigned

    number = np.arange(count)
    classes = np.random.default_rng(0).zipf(1.6, count) % 60
    columns = {
        "ref": [f"B{i // 1500:04d}/IMG_{i:07d}.JPG" for i in number.tolist()],
        "label": [f"class {label}" for label in classes.tolist()],
        "group": [f"B{i // 1500:04d}" for i in number.tolist()],
        "sequence": [f"s{i // 3:08d}" for i in number.tolist()],
    }
    schema = row_schema()
    columns = {field.name: columns.get(field.name, [None] * count) for field in schema}
    contents = Contents(pa.table(columns, schema=schema))
    pictures = RowPictures(number.astype("S32"), np.ones(count, bool))
    began = time.perf_counter(), time.process_time()
    assigned(contents, SplitRule(), pictures)
    took = time.perf_counter() - began[0], time.process_time() - began[1]
    return f"{took[0]:.1f} s by the clock, {took[1]:.1f} s of the processor without making the rows"


def alone(measured: Callable[[Any], str], argument: Any) -> dict[str, Any]:
    """What a function takes in a new process, imports counted."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (measured, argument))


def _measured(measured: Callable[[Any], str], argument: Any) -> dict[str, Any]:
    began = time.perf_counter(), time.process_time()
    answer = measured(argument)
    return {
        "answer": answer,
        "seconds": round(time.perf_counter() - began[0], 2),
        "processor_seconds": round(time.process_time() - began[1], 2),
    }


if __name__ == "__main__":
    main()
