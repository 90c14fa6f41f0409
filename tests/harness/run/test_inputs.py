"""Frozen features: embedded once, kept by what they were made of, trained on like photos."""

from pathlib import Path

import numpy as np
import pytest
import torch

from discl.config.benchmark import Benchmark
from discl.config.load import load
from discl.core.errors import UserError
from discl.engine.evaluation.predict import Normaliser
from discl.files.disk import home
from discl.harness.leaderboard.table import board
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep

TINY = [
    "generator.name=blend",
    "dataset.largest=40",
    "dataset.smallest=4",
    "dataset.ood_photos=10",
    "bank.variants=1",
    "train.epochs=3",
    "train.warmup_epochs=1",
    "levels=[0,50,100]",
    "train.curriculum_epochs=2",
    "train.evaluate_every=3",
    "train.batch=32",
    "trackers=[]",
    "backbone.model=test_resnet",
    "backbone.arguments={}",
    "backbone.stem_stride=4",
]


def _spec(*settings: str) -> Benchmark:
    return load("cifar10_lt", settings=[*TINY, "backbone.frozen=true", *settings])


def _small(photos: Path, *settings: str) -> Benchmark:
    """The same on 600 photos laid out as CIFAR-100's."""
    tiny = [setting for setting in TINY if not setting.startswith("dataset.")]
    frozen = ["backbone.frozen=true", f"dataset.root={photos}"]
    return load("cifar100_lt", settings=[*tiny, *frozen, *settings])


def _features() -> dict[str, float]:
    return {path.name: path.stat().st_mtime_ns for path in (home() / "features").rglob("*.npy")}


def test_a_trunk_sees_each_photo_and_image_once_whatever_is_trained_on_it(
    cifar100_photos: Path,
) -> None:
    spec = _small(cifar100_photos, "strategies=['static','real_only']", "seeds=[0,1]")
    results = list(sweep(spec, Store(), CompositeTracker.of([])))
    made = _features()
    assert len(made) == len(Bench(spec).dataset.splits) + len(
        [level for level in spec.levels if level != 100]
    )
    assert {len(result.class_recalls) for result in results} == {100}
    assert len({str(result.metrics) for result in results}) == 4  # strategies and seeds differ

    again = _small(
        cifar100_photos,
        "strategies=['reverse']",
        "loss.name=balanced_softmax",
        "train.epochs=2",
        "backbone.hidden=16",
    )
    (hidden,) = sweep(again, Store(), CompositeTracker.of([]))
    assert _features() == made
    with pytest.raises(UserError, match="cannot stand in one table"):
        board(spec, [*results, hidden])


@pytest.mark.parametrize("side", [0, 16])
def test_features_are_what_the_trunk_says_of_the_photos(
    side: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISCL_HOME", str(tmp_path))
    bench = Bench(_spec(f"train.side={side}"))
    backbone = bench.spec.part("backbones").build()
    photos = bench.dataset.split("ood/low_light-3")
    features = bench.inputs.split("ood/low_light-3")
    with torch.no_grad():
        trunk = backbone.trunk(bench.task, 0).eval()
        normalised = Normaliser(backbone.mean, backbone.std)(
            torch.from_numpy(np.array(photos.pixels))
        )
        expected = trunk(torch.nn.functional.avg_pool2d(normalised, 2) if side else normalised)
    assert np.allclose(features.pixels, expected, atol=1e-5)
    assert features.pixels.dtype == np.float32
    assert np.array_equal(features.ids, photos.ids)
