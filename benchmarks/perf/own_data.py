"""What reading a COCO Camera Traps JSON of millions of images costs, and its memory.

    python benchmarks/perf/own_data.py

The JSON is made up (cameras with a thousand images each, bursts of three, one annotation an image,
as Snapshot Serengeti has it), about 400 bytes an image, in no order. Its photos are not on the
disk: the tree of files is given the names, and each photo has a made-up digest of its contents.
`manifest` is all of it, reading the JSON and storing included; `stored` is what a later command
needs for it. Beside them, what `json.load` of the same file costs. Seconds by the clock and of the
processor, each in a process of its own. Results go to benchmarks/perf/own_data.json.

`--against PYTHON` also reads 200,000 lines of WILDS' metadata.csv with the discl of another Python,
in turn with this one.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from _report import report  # noqa: E402

from discl.parts.datasets.manifest.build import ManifestSettings, built  # noqa: E402
from discl.parts.datasets.manifest.held_out import RowPictures  # noqa: E402
from discl.parts.datasets.manifest.layouts.coco_camera_traps import CocoJson  # noqa: E402
from discl.parts.datasets.manifest.rows import ReadOptions  # noqa: E402
from discl.parts.datasets.manifest.store import Manifest, stored  # noqa: E402
from discl.parts.datasets.manifest.tree import FileTree  # noqa: E402

OUTPUT = Path(__file__).with_suffix(".json")
CLASSES = 50
TIMED = """
import sys, time
from pathlib import Path
from discl.parts.datasets.iwildcam import read_metadata
began = time.process_time()
read_metadata(Path(sys.argv[1]), 182)
print(time.process_time() - began)
"""


@click.command()
@click.option("--images", default=3_000_000, help="Images in the JSON; 0 = none is read.")
@click.option("--against", default="", help="A Python with another discl.")
def main(images: int, against: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if against:
            report(OUTPUT, "200,000 lines of WILDS' metadata", in_turn(Path(folder), against))
        if not images:
            return
        os.environ["DISCL_DATA"] = folder
        path = Path(folder) / "photos" / "annotations.json"
        path.parent.mkdir()
        write(path, images)
        report(
            OUTPUT,
            f"COCO Camera Traps, {images:,} images",
            {
                "megabytes_of_json": round(path.stat().st_size / 1e6),
                "listed": alone(listed, path, images),
                "manifest": alone(manifest, path, images),
                "stored": alone(again, path, images),
                "stored, with listings": alone(listings, path, images),
                "json.load": alone(loaded, path, images),
            },
        )


def name_of(image: int) -> str:
    return f"S1/B{image // 30_000:03d}/B{image // 1000:05d}/S1_R1_PICT{image:08d}.JPG"


def write(path: Path, images: int) -> None:
    """A COCO Camera Traps JSON, written piece by piece."""
    random = np.random.default_rng(0)
    with path.open("w") as opened:
        categories = [{"id": number, "name": f"species {number}"} for number in range(CLASSES)]
        opened.write(f'{{"info": {{"version": "2.1"}}, "categories": {json.dumps(categories)}')
        opened.write(', "images": [')
        for place, image in enumerate(random.permutation(images).tolist()):
            record = {
                "id": f"S1/B{image // 30_000:03d}/S1_R1_PICT{image:08d}",
                "file_name": name_of(image),
                "width": 2048,
                "height": 1536,
                "location": f"B{image // 1000:05d}",
                "seq_id": f"S1#B{image // 1000:05d}#1#{image // 3}",
                "seq_num_frames": 3,
                "frame_num": image % 3,
                "datetime": "2012-03-14 09:52:50",
            }
            opened.write((",\n" if place else "") + json.dumps(record))
        opened.write('], "annotations": [')
        for place, image in enumerate(random.permutation(images).tolist()):
            record = {
                "id": f"{image:08d}-7f3a-11ea",
                "image_id": f"S1/B{image // 30_000:03d}/S1_R1_PICT{image:08d}",
                "category_id": image // 3 % CLASSES,
                "sequence_level_annotation": True,
            }
            opened.write((",\n" if place else "") + json.dumps(record))
        opened.write("]}")


class NamedTree(FileTree):
    """A tree whose photos are names alone."""

    def __init__(self, root: Path, images: int) -> None:
        super().__init__(root)
        self._pictures = [f"images/{name_of(image)}" for image in range(images)]

    @property
    def pictures(self) -> list[str]:  # type: ignore[override]
        return self._pictures


def listed(path: Path, images: int) -> Any:
    tree = NamedTree(path.parent, images)
    yield
    assert CocoJson().recognises(tree, ReadOptions())  # noqa: S101
    yield CocoJson().contents(tree, ReadOptions()).rows.num_rows


def manifest(path: Path, images: int) -> Any:
    tree = NamedTree(path.parent, images)

    def pictures_of(layout: Any, refs: Sequence[str]) -> RowPictures:
        return RowPictures(np.arange(len(refs)).astype("S32"), np.ones(len(refs), bool))

    def make(found: FileTree) -> Manifest:
        return built(tree, ManifestSettings(), pictures_of, "")

    yield
    yield stored(path.parent, [], (), make, lambda manifest: manifest.pictures).rows.num_rows


def again(path: Path, images: int) -> Any:
    yield
    yield _again(path).rows.num_rows


def listings(path: Path, images: int) -> Any:
    yield
    yield sum(len(listing.refs) for listing in _again(path).listings.values())


def _again(path: Path) -> Manifest:
    def make(found: FileTree) -> Manifest:
        raise AssertionError("the manifest was not stored")

    return stored(path.parent, [], (), make, lambda manifest: manifest.pictures)


def loaded(path: Path, images: int) -> Any:
    yield
    with path.open() as opened:
        yield len(json.load(opened)["images"])


def in_turn(folder: Path, other: str) -> dict[str, Any]:
    """Median processor seconds of reading WILDS' list, with this discl and with another."""
    path = folder / "metadata.csv"
    with path.open("w") as opened:
        opened.write(",split,location_remapped,location,sequence_remapped,sequence,year,month,day,")
        opened.write("hour,minute,second,filename,y,datetime\n")
        splits = ("train", "train", "val", "test", "id_val", "id_test")
        opened.writelines(
            f"{line},{splits[line % 6]},{line % 323},{line % 551},{line // 3},seq{line // 3},2013,"
            f"6,5,6,7,8,{line:08x}-7d7a-11ea-8537-0242ac110002.jpg,{line % 182},"
            f"2013-06-05 06:07:08.000\n"
            for line in range(200_000)
        )
    seconds: dict[str, list[float]] = {"this": [], "other": []}
    pythons = [("this", sys.executable), ("other", other)]
    for _ in range(10):
        pythons.reverse()
        for name, python in pythons:
            ran = subprocess.run(
                [python, "-c", TIMED, str(path)],
                check=True,
                capture_output=True,
                text=True,
                cwd=Path(python).parents[2],
            )
            seconds[name].append(float(ran.stdout))
    return {name: round(statistics.median(times), 3) for name, times in seconds.items()}


def alone(measured: Callable[[Path, int], Any], path: Path, images: int) -> dict[str, Any]:
    """What a function measures in a new process; it begins at its first `yield`."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (measured, path, images))


def _measured(measured: Callable[[Path, int], Any], path: Path, images: int) -> dict[str, Any]:
    steps = measured(path, images)
    next(steps)
    began, began_processor = time.perf_counter(), time.process_time()
    rows = next(steps)
    return {
        "rows": rows,
        "seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(time.process_time() - began_processor, 1),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
