"""What is told of an embedded generator: label retention by level, a contact sheet, the card."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from discl.core.interfaces import Generator, Photos, Request, Split, Tracker
from discl.core.levels import PHOTO
from discl.core.plain_files import parsed_json, plain_bytes
from discl.core.registry import bind
from discl.core.text import echo
from discl.files.disk import write_text
from discl.files.figure import Figure, Tile, save_figure
from discl.miniature import judge, scorer
from discl.miniature.card import model_card
from discl.miniature.generators import GENERATORS, EmbeddedGenerator
from discl.miniature.retention import Retention, by_captions, by_judge, retention
from discl.parts.scorers.open_clip import OpenClipScorer

ASSETS = Path(__file__).resolve().parents[1] / "assets"
CLIP = "cifar10_clip"
LEVELS = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, PHOTO)
BOTH = (0, 1, 3, 4, 7)  # classes whose images by both generators are shown one below the other


def measure(
    chosen: EmbeddedGenerator,
    dataset: Any,
    examiner: nn.Module | None,
    assets: Path,
    per_class: int,
    guidance: float | None,
    console: Tracker,
) -> list[Retention]:
    """Retention by level on val photos, the classifiers' accuracy on test, and a contact sheet.

    They are written beside the weights. Without `examiner` the scorer alone measures.
    """
    given = {} if guidance is None else {"text_guidance": guidance}
    generator = _generator(assets / chosen.folder, given)
    classifiers = {"clip": by_captions(OpenClipScorer(str(assets / CLIP)), dataset)}
    if examiner is not None:
        classifiers["judge"] = by_judge(examiner)
    test = dataset.split("test")
    val = dataset.split("val")
    levels = []
    started = time.monotonic()
    for done, level in enumerate(
        retention(dataset, val, generator, classifiers, LEVELS, per_class)
    ):
        levels.append(level)
        console.progress("measuring label retention", done + 1, len(LEVELS))
    trained = {"judge": judge.RECIPE, "scorer": scorer.RECIPE} if chosen.with_scorer else {}
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
        "seen": chosen.seen,
        "start": chosen.start,
        "levels": [asdict(level) for level in levels],
        "recipes": {
            name: asdict(recipe) for name, recipe in (trained | {"denoiser": chosen.recipe}).items()
        },
    }
    write_text(assets / chosen.report, json.dumps(report, indent=1) + "\n")
    write_text(assets / "README.md", model_card(reports_in(assets)))
    for level in levels:
        echo(
            f"level {level.level:3d}: "
            + ", ".join(f"{name} {share:.1%}" for name, share in level.overall.items())
        )
    echo(
        "accuracy on test photos: "
        + ", ".join(f"{name} {share:.1%}" for name, share in report["test_accuracy"].items())
    )
    echo(f"contact sheet: {contact_sheet(chosen, dataset, val, assets)}")
    return levels


def reports_in(assets: Path) -> dict[str, Any]:
    """What was measured of each embedded generator that `assets` holds, by its name."""
    return {
        name: parsed_json(plain_bytes(assets / embedded.report))
        for name, embedded in GENERATORS.items()
        if (assets / embedded.report).exists()
    }


def _generator(folder: Path, settings: dict[str, Any]) -> Any:
    return bind("generators", "img2img", {"checkpoint": str(folder), **settings}).build()


def contact_sheet(chosen: EmbeddedGenerator, dataset: Any, split: Split, assets: Path) -> Path:
    """A picture of one photo a class with the same noise at every level.

    It has a line a class. That of a generator that began with another's weights is for comparison:
    it has a line for each of the two, of the classes in `BOTH`.
    """
    labels = range(len(dataset.classes))
    rows = [int(np.flatnonzero(split.labels == label)[0]) for label in labels]
    photos = np.asarray(split.pixels[rows])
    shown = {
        name: _lines(dataset, _generator(assets / embedded.folder, {}), photos)
        for name, embedded in GENERATORS.items()
        if embedded.folder in (chosen.folder, chosen.autoencoder)
    }
    compared = len(shown) > 1
    pairs = [(label, name) for label in (BOTH if compared else labels) for name in shown]
    names = tuple(
        dataset.classes[label] + (f", {name}" if compared else "") for label, name in pairs
    )
    figure = Figure(
        heads=(*(f"{level} %" for level in LEVELS[:-1]), "photo"),
        names=names,
        rows=tuple(shown[name][label] for label, name in pairs),
        legend=(),
    )
    return save_figure(figure, assets / chosen.sheet)


def _lines(dataset: Any, generator: Generator, photos: Photos) -> list[tuple[Tile, ...]]:
    """One line a class, with an image of its photo [h, w, 3] at every level."""
    asked = [(label, level) for label in range(len(photos)) for level in LEVELS[:-1]]
    requests = [Request(level, dataset.prompts(label)[0], label) for label, level in asked]
    images = generator.make(requests, photos[[label for label, _ in asked]]).images
    by_class = images.reshape(len(photos), len(LEVELS) - 1, *photos.shape[1:])
    return [
        tuple(Tile(image) for image in (*line, photo))
        for line, photo in zip(by_class, photos, strict=True)
    ]
