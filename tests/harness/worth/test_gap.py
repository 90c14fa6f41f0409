"""The gap curve of a bank whose images are brighter, the lower their level."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import Generated, Request, Split
from discl.harness.bank.quality.gap_chart import draw_gap, gap_markup
from discl.harness.bank.quality.gap_curve import (
    Interval,
    gap_definitions,
    gap_json,
    gap_sentences,
    interval_text,
)
from discl.harness.run.assembly import Bench
from discl.harness.worth.gap import GapMeasurement, GapSettings
from discl.harness.worth.price import minutes_text
from tests.banks import InlineExecutor


class Colours:
    """Scorer: the mean colour of a picture, as a unit vector."""

    version = 1

    def identity(self) -> dict[str, Any]:
        return {}

    def embed_images(self, images: Any) -> Any:
        return images.mean((1, 2), dtype=np.float32) + 1

    def embed_texts(self, texts: Sequence[str]) -> Any:
        return np.ones((len(texts), 3), np.float32)


class Wrong:
    """Generator: level 50 is the photo; at level 0 red and blue change places."""

    version, steps = 1, 10

    def identity(self) -> dict[str, Any]:
        return {}

    def make(self, requests: Sequence[Request], photos: Any) -> Generated:
        images = photos.copy()
        for i, request in enumerate(requests):
            if request.level == 0:
                images[i] = photos[i][..., ::-1]
        return Generated(images, {})


class Reds:
    """Two hard classes, red and blue, and one that is plenty."""

    version = 1
    classes = ("red", "blue", "grey")
    splits = ("train", "val", "test")
    counts = {"train": (6, 6, 20), "val": (12, 12, 4), "test": (1, 1, 1)}  # noqa: RUF012

    def identity(self) -> dict[str, Any]:
        return {}

    def prompts(self, label: int) -> tuple[str, ...]:
        return (self.classes[label],)

    def split(self, name: str) -> Split:
        labels = np.repeat([0, 1, 2], self.counts[name])
        rng = np.random.default_rng([len(labels)])
        colours = np.array([[200, 60, 60], [60, 60, 200], [120, 120, 120]])[labels]
        noise = rng.normal(0, 15, (len(labels), 16, 16, 3))
        pixels = (colours[:, None, None, :] + noise).clip(0, 255).astype(np.uint8)
        ids = np.array([f"{name}{i}" for i in range(len(labels))])
        return Split(ids, labels, np.zeros_like(labels), pixels)


def _bench(*settings: str, fill: Sequence[int] = (0, 50)) -> Any:
    usual = [
        "generator.name=blend",
        "levels=[0,50,100]",
        "hard_rule.max_class_images=10",
        "bank.variants=2",
        "train.epochs=4",
        "train.curriculum_epochs=3",
        "train.warmup_epochs=1",
        "train.batch=8",
        "backbone.arguments={ layers = [1, 1, 1, 1], channels = [8, 8, 8, 8], stem_width = 8 }",
    ]
    bench: Any = Bench(load("cifar10_lt", settings=[*usual, *settings]))
    bench.dataset, bench.scorer, bench.generator = Reds(), Colours(), Wrong()
    if fill:
        bench.fill(fill, lambda *_: None, InlineExecutor())
    return bench


SETTINGS = GapSettings(seeds=(0, 1), steps=16)


def test_the_gap_curve_tells_images_that_mislead_from_images_like_photos(tmp_path: Any) -> None:
    bench = _bench()
    measurement = GapMeasurement(bench, SETTINGS)
    assert measurement.todo() == 8  # two levels, hard and other photos, each with two seeds
    curve = measurement.curve(lambda *_: None)
    text, half, hard, other = curve.rows
    assert (curve.classes, curve.left_out, curve.chance) == (("red", "blue"), (), 0.5)
    assert curve.pictures == (6, 6)  # half of val, though there are twelve images
    assert [row.level for row in curve.rows] == [0, 50, 100, None]
    assert text.accuracy.mean < 0.2 < 0.8 < half.accuracy.mean
    assert other.accuracy.mean > 0.8
    assert text.gap is not None
    assert text.gap.mean > 0.6
    assert other.gap is None
    assert text.distance is not None
    assert text.distance_error is not None
    assert text.distance > 5 * text.distance_error
    assert hard.distance is not None
    assert hard.distance == pytest.approx(half.distance, abs=0.05)

    # nothing is trained again, and one more level or seed trains only its own
    again = GapMeasurement(_bench(fill=()), SETTINGS)
    assert again.todo() == 0
    assert again.curve(lambda *_: None) == curve
    assert GapMeasurement(_bench(fill=()), SETTINGS._replace(seeds=(0, 1, 2))).todo() == 4

    # a damaged file is told and measured again
    kept = sorted((bench.bank.folder / "cache").glob("gap-*.json"))
    before = kept[0].read_bytes()
    kept[0].write_bytes(before.replace(b'"accuracy": ', b'"accuracy": 1'))
    assert GapMeasurement(_bench(fill=()), SETTINGS).curve(lambda *_: None) == curve
    assert kept[0].read_bytes() == before

    assert {f"gap.{key}" for key in gap_json(curve)} <= {*gap_definitions()}
    assert "2 classes from 6 pictures" in gap_sentences(curve)[0]
    assert "images of level 0" in gap_markup(curve)
    assert draw_gap(curve, tmp_path / "gap.svg").stat().st_size > 1000


def test_one_class_with_images_makes_no_curve() -> None:
    class Few(Reds):
        counts = {**Reds.counts, "val": (12, 2, 4)}  # noqa: RUF012

    bench = _bench()
    bench.dataset = Few()
    with pytest.raises(UserError, match="1 of 2 hard classes"):
        GapMeasurement(bench, SETTINGS)


def test_a_bank_without_images_makes_no_curve() -> None:
    with pytest.raises(UserError, match="0 of 0 hard classes"):
        GapMeasurement(_bench(fill=()), SETTINGS)


def test_a_price_that_is_not_known_is_said_so() -> None:
    assert minutes_text(4.21) == "about 4.2 minutes"
    assert "not known" in minutes_text(math.nan)


def test_an_interval_is_written_in_percent() -> None:
    assert interval_text(Interval(0.341, 0.0123)) == "34.1 ± 1.2"
    assert interval_text(Interval(0.341, None)) == "34.1"
    assert interval_text(None) == "–"
