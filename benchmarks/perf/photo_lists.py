"""What reading a list of photos costs beside Python's own reader of CSV, and its memory.

    python benchmarks/perf/photo_lists.py

A metadata.csv like that of WILDS' iWildCam (path, split, class, camera, sequence), ten rows for
each of the photos that lie there. Processor seconds beside those of `csv.DictReader` into lists by
split, as lists were read before, whose photos were looked for afterwards. Results go to
benchmarks/perf/photo_lists.json.
"""

from __future__ import annotations

import csv
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from _report import report  # noqa: E402

from discl.parts.datasets.manifest.layouts.lists import PhotoLists  # noqa: E402
from discl.parts.datasets.manifest.rows import ReadOptions  # noqa: E402
from discl.parts.datasets.manifest.tree import FileTree  # noqa: E402

OUTPUT = Path(__file__).with_suffix(".json")
SPLITS = ("train", "train", "val", "test")


@click.command()
@click.option("--rows", default=(200_000, 1_000_000), multiple=True, help="Rows of a list.")
def main(rows: tuple[int, ...]) -> None:
    for count in rows:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write(root, count)
            report(OUTPUT, f"{count} rows", {**alone(listed, root), **alone(by_csv, root)})


def write(root: Path, rows: int) -> None:
    """A list of so many rows and a tenth as many photos."""
    (root / "train").mkdir()
    names = [f"train/{number:08d}.jpg" for number in range(rows // 10)]
    for name in names:
        (root / name).write_bytes(b"photo")
    with (root / "metadata.csv").open("w") as opened:
        opened.write("filename,split,y,location_remapped,seq_id\n")
        opened.writelines(
            f"{names[i // 10]},{SPLITS[i % 4]},{i % 182},{i % 300},seq{i // 3}\n"
            for i in range(rows)
        )


def listed(root: Path) -> dict[str, Any]:
    tree = FileTree(root)
    tree.lists  # noqa: B018 - walks the folder
    layout, options = PhotoLists(), ReadOptions(group_column="location_remapped")
    began = time.process_time()
    layout.recognises(tree, options)
    rows = layout.contents(tree, options).rows
    seconds = time.process_time() - began
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "processor_seconds": round(seconds, 2),
        "rows": rows.num_rows,
        "peak_megabytes": round(megabytes),
    }


def by_csv(root: Path) -> dict[str, Any]:
    splits: dict[str, tuple[list[str], list[str], list[str]]] = {}
    began = time.process_time()
    with (root / "metadata.csv").open(newline="") as opened:
        for row in csv.DictReader(opened):
            columns = splits.setdefault(row["split"], ([], [], []))
            columns[0].append(row["filename"])
            columns[1].append(row["y"])
            columns[2].append(row["location_remapped"])
    seconds = time.process_time() - began
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"csv_seconds": round(seconds, 2), "csv_peak_megabytes": round(megabytes)}


def alone(work: Any, root: Path) -> dict[str, Any]:
    """What `work` finds in a process of its own, whose memory is not that of others."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: dict[str, Any] = pool.apply(work, (root,))
        return found


if __name__ == "__main__":
    main()
