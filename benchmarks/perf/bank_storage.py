"""What the bank costs to fill, keep and read, against the honest alternatives in the same run.

    python benchmarks/perf/bank_storage.py                # all three; minutes on two cores
    python benchmarks/perf/bank_storage.py growth --images 1000 --images 10000

Images come from `blend` (no weights), so that what is timed is the bank and not the denoiser.
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from _report import report

import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
from discl.core.registry import bind
from discl.engine.bank.bank import Bank
from discl.engine.bank.catalogue import MADE, ImageRecord
from discl.engine.bank.generate import ImageMaker, SourceImages
from discl.engine.bank.leases import CellGrid
from discl.files.photos import decode

LEVELS = (50, 60, 70, 80, 90)  # the paper's iWildCam levels, as its release generates them
VARIANTS = 8
SIZE = 32


def sources(count: int) -> SourceImages:
    photos = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    ids = tuple(f"photo-{i:07d}" for i in range(count))
    return SourceImages(
        ids,
        np.arange(count),
        np.arange(count) % 10,
        photos,
        tuple(map(str, range(10))),
        ((),) * 10,
        bind("prompts", "template", {}).build(),
    )


def fill(folder: Path, images: int) -> tuple[Bank, CellGrid, float]:
    """A full bank of about `images`, and the seconds it took."""
    made_from = sources(max(1, images // (len(LEVELS) * VARIANTS)))
    bank = Bank(folder, {"benchmark": "storage"})
    image_maker = ImageMaker(
        bank.id, bank.shards, made_from, bind("generators", "blend", {}).build(), None
    )
    wanted = CellGrid(made_from.ids, LEVELS, VARIANTS)
    started = time.perf_counter()
    bank.build(
        wanted,
        20,
        bind("executors", "local", {}).build(),
        lambda: image_maker,
        256,
        lambda *_: None,
    )
    return bank, wanted, time.perf_counter() - started


@click.group(invoke_without_command=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(__file__).with_suffix(".json"),
    show_default=True,
)
@click.pass_context
def main(context: click.Context, output: Path) -> None:
    """Measure; every result is printed and merged into --output."""
    context.obj = output
    if context.invoked_subcommand is None:
        for command in (growth, reading, switching):
            context.invoke(command)


# ---------------------------------------------------------------- growth


@main.command()
@click.option(
    "--images", multiple=True, type=int, default=(1_000, 10_000, 100_000), show_default=True
)
@click.pass_context
def growth(context: click.Context, images: tuple[int, ...]) -> None:
    """Time an image, bytes and memory as a bank grows; each size in a process of its own."""
    sizes = []
    for count in images:
        done = subprocess.run(
            [sys.executable, __file__, "one-bank", str(count)],
            capture_output=True,
            text=True,
            check=True,
        )
        sizes.append(json.loads(done.stdout))
    report(context.obj, "growth", sizes)


@main.command(hidden=True)
@click.argument("images", type=int)
def one_bank(images: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), 200)  # imports and first pages are not what grows
    start_mb = peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        bank, wanted, seconds = fill(Path(folder), images)
        started = time.perf_counter()
        assert next(bank.missing(wanted), None) is None  # noqa: S101
        looked_s = time.perf_counter() - started
        files = {path.name: path.stat().st_size for path in bank.folder.glob("catalogue.sqlite*")}
        measured = {
            "images": len(wanted),
            "ms_an_image": round(seconds / len(wanted) * 1e3, 3),
            "peak_mb_over_start": round(peak_mb() - start_mb, 1),
            "photos_mb": round(len(wanted.sources) * SIZE * SIZE * 3 / 2**20, 1),
            "catalogue_bytes_an_image": round(sum(files.values()) / len(wanted)),
            "nothing_missing_s": round(looked_s, 3),
        }
    click.echo(json.dumps(measured))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ---------------------------------------------------------------- reading


@main.command()
@click.option("--images", default=10_000, show_default=True)
@click.option("--batch", default=128, show_default=True)
@click.pass_context
def reading(context: click.Context, images: int, batch: int) -> None:
    """Images a second into a float training tensor: ours, one file an image with PIL, Hugging Face
    `datasets`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bank, wanted, _ = fill(folder / "bank", images)
        per_level = len(wanted) // len(LEVELS)
        files = one_file_an_image(bank, folder / "files")
        table = hugging_face(bank, folder / "table")
        bank.pixels(LEVELS[0])  # made once, at the first use of a level
        rates = {
            "bank": rate(lambda rows: np.asarray(bank.pixels(LEVELS[0])[rows]), per_level, batch),
            "one_file_an_image_pil": rate(
                lambda rows: np.stack([decode_file(files[row]) for row in rows]), per_level, batch
            ),
            "hugging_face_datasets": rate(
                lambda rows: np.stack([np.asarray(image) for image in table[rows]["image"]]),
                per_level,
                batch,
            ),
        }
    ours = rates["bank"]
    ratios = {
        f"times_{name}": round(ours / value, 1) for name, value in rates.items() if name != "bank"
    }
    report(
        context.obj,
        "reading",
        {"images_a_second": {k: round(v) for k, v in rates.items()}, **ratios},
    )


def rate(read: Any, rows: int, batch: int) -> float:
    """Best of three passes in random order, each batch ending as a normalised float tensor."""
    import torch

    best = 0.0
    for turn in range(3):
        order = np.random.default_rng(turn).permutation(rows)
        started = time.perf_counter()
        for start in range(0, rows, batch):
            torch.from_numpy(read(order[start : start + batch])).permute(0, 3, 1, 2).float().div_(
                255
            ).sub_(0.5)
        best = max(best, rows / (time.perf_counter() - started))
    return best


def one_file_an_image(bank: Bank, folder: Path) -> list[Path]:
    """One level as PNG files, the way a folder of generated images is kept."""
    from PIL import Image

    folder.mkdir()
    files = []
    for row, data in bank.encoded(LEVELS[0]):
        files.append(folder / f"{row.key}.png")
        Image.fromarray(decode(data)).save(files[-1])
    return files


def decode_file(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


def hugging_face(bank: Bank, folder: Path) -> Any:
    """The same level and bytes as a `datasets` table with an Image column."""
    import datasets

    rows = [{"image": {"bytes": data, "path": None}} for _, data in bank.encoded(LEVELS[0])]
    made = datasets.Dataset.from_list(rows, features=datasets.Features({"image": datasets.Image()}))
    made.save_to_disk(str(folder))
    return datasets.load_from_disk(str(folder))


# ---------------------------------------------------------------- switching levels


@main.command()
@click.option("--rows", default=600_000, show_default=True)
@click.pass_context
def switching(context: click.Context, rows: int) -> None:
    """Milliseconds to change the level that is trained on, against re-reading a table of all rows,
    as the official loaders do.
    """
    per_level = rows // len(LEVELS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bank = Bank(folder / "bank", {"benchmark": "switching"})
        for number, level in enumerate(LEVELS):
            bank.catalogue.add(f"{number:032x}", (row_of(level, i) for i in range(per_level)))
            path, _ = bank.map_path(level)
            path.parent.mkdir(exist_ok=True)
            np.lib.format.open_memmap(path, "w+", np.uint8, (per_level, 8, 8, 3)).flush()
        table = folder / "table.csv"
        with table.open("w", newline="") as opened:
            csv.writer(opened).writerows(
                (f"images/{level}/{i}.jpg", i % 10, level)
                for level in LEVELS
                for i in range(per_level)
            )
        opening = [timed(lambda level=level: bank.pixels(level)) for level in LEVELS]  # type: ignore[misc]
        ours = [
            timed(lambda level=level: bank.pixels(level)[:64].sum())
            for _ in range(5)
            for level in LEVELS
        ]  # type: ignore[misc]
        theirs = [timed(lambda level=level: read_table(table, level)) for level in LEVELS[:3]]  # type: ignore[misc]
    measured = {
        "rows": per_level * len(LEVELS),
        "first_opening_ms": round(1e3 * float(np.median(opening)), 1),
        "switch_ms": round(1e3 * float(np.median(ours)), 3),
        "worst_switch_ms": round(1e3 * max(ours), 3),
        "re_reading_the_table_ms": round(1e3 * float(np.median(theirs)), 1),
    }
    report(context.obj, "switching", measured)


def row_of(level: int, number: int) -> ImageRecord:
    return ImageRecord(
        f"photo-{number // VARIANTS:07d}",
        level,
        number % VARIANTS,
        f"{number:032x}",
        0,
        "a photo of a thing",
        "a photo of a thing",
        number,
        5,
        0.3,
        0.8,
        MADE,
        "",
        number * 100,
        100,
        f"{number:064x}",
    )


def read_table(table: Path, level: int) -> list[list[str]]:
    with table.open(newline="") as opened:
        return [row for row in csv.reader(opened) if row[2] == str(level)]


def timed(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
