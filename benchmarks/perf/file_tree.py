"""What listing a folder of many photos costs, and the reading of its class folders.

    python benchmarks/perf/file_tree.py --photos 200000

Class folders of a thousand files of one byte each. `tree` walks them and tells kinds,
empty files and masks apart; `classes` is that and the class folders' rows; `rglob` is the honest
alternative, pathlib's walk with a test for files and endings, which tells nothing. Each runs in a
process of its own, after a first walk; seconds by the clock and of the processor. Results go to
benchmarks/perf/file_tree.json.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from _report import report  # noqa: E402

from discl.parts.datasets.manifest.layouts.class_folders import ClassFolders  # noqa: E402
from discl.parts.datasets.manifest.rows import ReadOptions  # noqa: E402
from discl.parts.datasets.manifest.tree import FileTree  # noqa: E402

OUTPUT = ROOT / "benchmarks" / "perf" / "file_tree.json"
IN_FOLDER = 1000


@click.command()
@click.option("--photos", default=1_000_000, help="Files that are made first.")
def main(photos: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, photos)
        alone(rglob, root)
        measured = {work.__name__: alone(work, root) for work in (rglob, tree, classes)}
        report(OUTPUT, f"a folder of {photos:,} photos", measured)


def write(root: Path, photos: int) -> None:
    for number in range(photos // IN_FOLDER):
        folder = root / f"class_{number:04d}"
        folder.mkdir()
        first = folder / "IMG_00000.jpg"
        first.write_bytes(b"x")
        for photo in range(1, IN_FOLDER):
            (folder / f"IMG_{photo:05d}.jpg").hardlink_to(first)


def rglob(root: Path) -> int:
    return sum(path.suffix.lower() == ".jpg" and path.is_file() for path in root.rglob("*"))


def tree(root: Path) -> int:
    return len(FileTree(root).pictures)


def classes(root: Path) -> int:
    return int(ClassFolders().contents(FileTree(root), ReadOptions()).rows.num_rows)


def alone(work: Callable[[Path], int], root: Path) -> dict[str, Any]:
    """Seconds and megabytes of some work in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (work, root))


def measured(work: Callable[[Path], int], root: Path) -> dict[str, Any]:
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    photos = work(root)
    seconds = time.perf_counter() - began_s
    of_processor = time.process_time() - began_cpu_s
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": round(seconds, 1),
        "processor_seconds": round(of_processor, 1),
        "megabytes": round(megabytes),
        "photos": photos,
    }


if __name__ == "__main__":
    main()
