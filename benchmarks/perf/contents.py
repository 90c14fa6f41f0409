"""What it costs that the identity of own photos holds their bytes.

    python benchmarks/perf/contents.py first      # reading 1,000 photos, beside decoding them
    python benchmarks/perf/contents.py second     # a second command on 100,000 unchanged photos
    python benchmarks/perf/contents.py prepare    # all of it; also runs at older versions

Photos are JPEGs of 1280 x 960 and 500 kB in class folders, in the page cache; training size is 224.
Results go to benchmarks/perf/contents.json. `share_of_decoding` is the processor time of reading
contents over that of decoding; the start of the process is included in `second`.
"""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from _report import report  # noqa: E402

from discl.parts.datasets.folder import Folder  # noqa: E402

OUTPUT = Path(__file__).with_suffix(".json")
SIDE = 224
CLASSES = 20
SPLITS = ("train", "train", "train", "val", "test")
IDENTITY = """
import sys
from discl.parts.datasets.folder import Folder
print(Folder(root=sys.argv[1]).identity())
"""


@click.group()
def main() -> None:
    """What it costs that the identity of own photos holds their bytes."""


@main.command()
@click.option("--photos", default=1000)
def first(photos: int) -> None:
    """Reading the contents of photos, beside decoding them."""
    with photos_in_folders(photos) as root:
        folder = Folder(root=str(root), side=SIDE)
        folder.listing("train")
        reading = processor_seconds(folder.identity)
        decoding = processor_seconds(lambda: folder.prepare(silent))
    report(
        OUTPUT,
        f"first, {photos} photos",
        {
            "reading_processor_seconds": round(reading, 2),
            "decoding_processor_seconds": round(decoding, 2),
            "share_of_decoding": round(reading / decoding, 3),
        },
    )


@main.command()
@click.option("--photos", default=100_000)
def second(photos: int) -> None:
    """A second command on unchanged photos, the start of its process included."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "photos"
        os.environ["DISCL_DATA"] = str(Path(scratch) / "data")
        for number in range(photos):
            if number < 200:
                (root / f"class {number:03d}").mkdir(parents=True)
            name = root / f"class {number % 200:03d}" / f"{number:06d}.jpg"
            name.write_bytes(b"photo %d" % number)
        time.sleep(3)  # what is written this moment is read again
        command = [sys.executable, "-c", IDENTITY, str(root)]
        looks = [of_process(command) for _ in range(4)]
    best = min(looks[1:])
    report(
        OUTPUT,
        f"second, {photos} photos",
        {
            "first_processor_seconds": round(looks[0][0], 2),
            "second_processor_seconds": round(best[0], 2),
            "second_seconds": round(best[1], 2),
        },
    )


@main.command()
@click.option("--photos", default=1000)
@click.option("--name", default="prepare", help="Of the result, such as a commit.")
def prepare(photos: int, name: str) -> None:
    """All of the preparation: listing, reading contents and decoding."""
    with photos_in_folders(photos) as root:
        folder = Folder(root=str(root), side=SIDE)
        seconds = processor_seconds(lambda: folder.prepare(silent))
    speed = {"images_per_processor_second": round(photos / seconds, 1)}
    report(OUTPUT, f"{name}, {photos} photos", speed)


@contextmanager
def photos_in_folders(count: int) -> Iterator[Path]:
    """A folder of class folders; data go beside it."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["DISCL_DATA"] = str(Path(scratch) / "data")
        root = Path(scratch) / "photos"
        scenes = [scene(seed) for seed in range(4)]
        rng = np.random.default_rng(0)
        for number in range(count):
            # splits are given, so that contents are not read before they are measured
            split = SPLITS[number % len(SPLITS)]
            folder = root / split / f"class {number // len(SPLITS) % CLASSES:02d}"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.roll(scenes[number % 4], rng.integers(0, 960, 2), (0, 1))
            encoded = io.BytesIO()
            Image.fromarray(pixels).save(encoded, "JPEG", quality=85)
            (folder / f"{number:05d}.jpg").write_bytes(encoded.getvalue())
        time.sleep(3)
        yield root


def scene(seed: int) -> np.ndarray:
    """Pixels [960, 1280, 3] whose spectrum falls as that of photos."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(960)[:, None], np.fft.fftfreq(1280))
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(rng.normal(size=(3, 960, 1280))) / frequency**1.1
    waves = np.fft.ifft2(spectrum).real.transpose(1, 2, 0)
    return (128 + 50 * waves / waves.std()).clip(0, 255).astype(np.uint8)


def of_process(command: list[str]) -> tuple[float, float]:
    """(processor seconds, seconds) of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, seconds


def processor_seconds(work: Callable[[], object]) -> float:
    """Of one process, so that others on the machine do not count."""
    os.environ["DISCL_WORKERS"] = "1"
    began = time.process_time()
    work()
    return time.process_time() - began


def silent(what: str, done: int, total: int) -> None:
    pass


if __name__ == "__main__":
    main()
