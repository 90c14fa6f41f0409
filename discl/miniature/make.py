"""`make generator`: trains scorer, judge and denoiser on the pool, saves and measures them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import nn

from discl.core.interfaces import Generator, Request, Split, Tracker
from discl.core.levels import PHOTO
from discl.core.registry import bind
from discl.core.text import echo
from discl.files.disk import home, replaced_folder, write_text
from discl.files.figure import Figure, Tile, save_figure
from discl.files.weights import TRAINING_DATA
from discl.miniature import autoencoder, denoiser, judge, scorer
from discl.miniature.card import model_card
from discl.miniature.retention import Retention, by_captions, by_judge, retention
from discl.miniature.training import Recipe, StepReport
from discl.miniature.words import build_tokenizer
from discl.parts.scorers.open_clip import OpenClipScorer

ASSETS = Path(__file__).resolve().parents[1] / "assets"
DIFFUSION = "cifar10_diffusion"
CLIP = "cifar10_clip"
LEVELS = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, PHOTO)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    help="Checkpoints and logs; default $DISCL_HOME/miniature. A second start resumes.",
)
@click.option(
    "--assets", type=click.Path(path_type=Path), default=ASSETS, help="Where the weights go."
)
@click.option("--threads", default=2, help="CPU threads.")
@click.option("--per-class", default=20, help="Photos a class that retention is measured on.")
@click.option(
    "--guidance",
    type=float,
    help="Text guidance that retention is measured at; default: the generator's own.",
)
@click.option(
    "--measure-only", is_flag=True, help="Train nothing; measure the weights in --assets."
)
def main(
    work: Path | None,
    assets: Path,
    threads: int,
    per_class: int,
    guidance: float | None,
    measure_only: bool,
) -> None:
    """Train the embedded generator and scorer on the pool of CIFAR-10 (25,000 photos); measure."""
    torch.set_num_threads(threads)
    work = work or home() / "miniature"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    console: Tracker = bind("trackers", "console", {}).build()
    dataset = bind("datasets", "cifar10_lt", {}).build()
    dataset.prepare(console.progress)
    pool = dataset.split("pool")
    classes = list(dataset.classes)
    tokenizer = build_tokenizer(classes)

    examiner = judge.build(len(classes)).to(device)
    _follow(
        "judge",
        judge.RECIPE,
        judge.fit(examiner, pool.pixels, pool.labels, judge.RECIPE, work / "judge", device),
        console,
    )
    if not measure_only:
        _train_scorer(tokenizer, pool, classes, work / "scorer", assets / CLIP, device, console)
        _train_generator(
            tokenizer, pool, classes, work / "denoiser", assets / DIFFUSION, device, console
        )
    measure(dataset, pool, examiner.cpu(), assets, per_class, guidance, console)


def _train_scorer(
    tokenizer: Any,
    pool: Split,
    classes: list[str],
    work: Path,
    target: Path,
    device: torch.device,
    console: Tracker,
) -> None:
    torch.manual_seed(scorer.RECIPE.seed)
    clip = scorer.build(tokenizer).to(device)
    reports = scorer.fit(
        clip, tokenizer, pool.pixels, pool.labels, classes, scorer.RECIPE, work, device
    )
    _follow("scorer", scorer.RECIPE, reports, console)
    scorer.save(clip.cpu(), tokenizer, target, torch.float16)


def _train_generator(
    tokenizer: Any,
    pool: Split,
    classes: list[str],
    work: Path,
    target: Path,
    device: torch.device,
    console: Tracker,
) -> None:
    torch.manual_seed(denoiser.RECIPE.seed)
    vae = autoencoder.fit(pool.pixels)
    networks = denoiser.build(tokenizer, vae.config["latent_channels"]).to(device)
    reports = denoiser.fit(
        networks, tokenizer, vae, pool.pixels, pool.labels, classes, denoiser.RECIPE, work, device
    )
    _follow("denoiser", denoiser.RECIPE, reports, console)
    record = training_record(len(pool.labels) // len(classes))
    ship(denoiser.assemble(networks.cpu(), tokenizer, vae), target, record)


def _follow(name: str, recipe: Recipe, reports: Iterator[StepReport], console: Tracker) -> None:
    for report in reports:
        console.progress(f"training the {name}", report.step, recipe.steps)


def training_record(per_class: int) -> str:
    """The text of `training_data.toml`, which says what the generator was trained on."""
    return (
        "# What these weights were trained on, in words. discl reads it from the checkpoint's\n"
        '# folder and says so beside results; without such a file it says "unknown".\n'
        f'seen = "{per_class:,} labelled photos of every class of CIFAR-10,'
        ' tail classes included"\n'
    )


def ship(pipeline: Any, folder: Path, record: str) -> None:
    """Write a pipeline as float16 safetensors with its training record, in place of an older one.

    Whatever happens meanwhile, the folder holds the older one or this one, whole.
    """
    with replaced_folder(folder) as new:
        pipeline.to(torch.float16).save_pretrained(new, safe_serialization=True)
        (new / TRAINING_DATA).write_text(record, "utf-8")


def measure(
    dataset: Any,
    pool: Split,
    examiner: nn.Module,
    assets: Path,
    per_class: int,
    guidance: float | None,
    console: Tracker,
) -> list[Retention]:
    """Retention by level on val photos, the classifiers' accuracy on test, and a contact sheet.

    They are written beside the weights.
    """
    chosen = {} if guidance is None else {"text_guidance": guidance}
    generator = bind(
        "generators", "img2img", {"checkpoint": str(assets / DIFFUSION), **chosen}
    ).build()
    classifiers = {
        "clip": by_captions(OpenClipScorer(str(assets / CLIP)), dataset),
        "judge": by_judge(examiner),
    }
    test = dataset.split("test")
    val = dataset.split("val")
    levels = []
    started = time.monotonic()
    for done, level in enumerate(
        retention(dataset, val, generator, classifiers, LEVELS, per_class)
    ):
        levels.append(level)
        console.progress("measuring label retention", done + 1, len(LEVELS))
    report: dict[str, Any] = {
        "test_accuracy": {
            name: float((classify(test.pixels) == test.labels).mean())
            for name, classify in classifiers.items()
        },
        "text_guidance": generator.text_guidance,
        "steps": generator.steps,
        "photos": "val",
        "classes": list(dataset.classes),
        "minutes": (time.monotonic() - started) / 60,
        "levels": [asdict(level) for level in levels],
        "recipes": {
            name: asdict(part.RECIPE)
            for name, part in (("judge", judge), ("scorer", scorer), ("denoiser", denoiser))
        },
    }
    write_text(assets / "retention.json", json.dumps(report, indent=1) + "\n")
    write_text(assets / "README.md", model_card(report))
    for level in levels:
        echo(
            f"level {level.level:3d}: "
            + ", ".join(f"{name} {share:.1%}" for name, share in level.overall.items())
        )
    echo(
        "accuracy on test photos: "
        + ", ".join(f"{name} {share:.1%}" for name, share in report["test_accuracy"].items())
    )
    echo(f"contact sheet: {contact_sheet(dataset, val, generator, assets / 'spectrum.png')}")
    return levels


def contact_sheet(dataset: Any, split: Split, generator: Generator, path: Path) -> Path:
    """A picture with a row for each class: the same photo and noise at every level."""
    rows = [int(np.flatnonzero(split.labels == label)[0]) for label in range(len(dataset.classes))]
    photos = np.asarray(split.pixels[rows])
    columns = []
    for level in LEVELS[:-1]:
        requests = [Request(level, dataset.prompts(label)[0], label) for label in range(len(rows))]
        columns.append(generator.make(requests, photos).images)
    columns.append(photos)
    lines = [tuple(Tile(column[row]) for column in columns) for row in range(len(rows))]
    heads = (*(f"{level} %" for level in LEVELS[:-1]), "photo")
    figure = Figure(heads=heads, names=tuple(dataset.classes), rows=tuple(lines), legend=())
    return save_figure(figure, path)


if __name__ == "__main__":
    main()
