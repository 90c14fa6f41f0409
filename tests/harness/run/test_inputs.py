"""Frozen features: embedded once, kept by what they were made of, trained on like photos."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from discl.config.benchmark import Benchmark
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import Task
from discl.engine.evaluation.predict import Normaliser
from discl.engine.training.config import TrainConfig
from discl.engine.training.optimisation import optimiser_and_schedule
from discl.files.disk import home
from discl.harness.leaderboard.table import board
from discl.harness.run.assembly import Bench
from discl.harness.run.inputs import FeatureInputs, ImageInputs
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep
from discl.parts.backbones.base.heads import feature_head

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


def _head_after_a_step(arguments: dict[str, Any]) -> tuple[Any, Any]:
    """A head on frozen features as it was drawn, and after a step of the benchmark's recipe.

    `arguments` are those of the optimiser.
    """
    train = load("cifar10_lt").train.model_dump(exclude={"checkpoint_seconds", "start"})
    given = {**train["optimiser_arguments"], **arguments}
    config = TrainConfig(
        **{**train, "schedule": "constant", "warmup_epochs": 0, "optimiser_arguments": given}
    )
    backbone = SimpleNamespace(mean=(0.5,) * 3, std=(0.25,) * 3)
    photos = ImageInputs(
        SimpleNamespace(), backbone, Task(("a", "b"), ((), ()), 32), config, lambda level: level
    )
    assert photos.train_config is config  # whole networks are trained by the recipe as it stands
    head = feature_head(4, 2, 8, 0)
    drawn = [parameter.detach().clone() for parameter in head.parameters()]
    optimiser, _ = optimiser_and_schedule(
        head, FeatureInputs(photos, {}, {}, lambda level: ("", 0)).train_config, 10
    )
    head(torch.randn(6, 4)).square().mean().backward()
    optimiser.step()
    return drawn, list(head.parameters())


def test_a_frozen_networks_head_is_left_to_the_fallback_under_any_name() -> None:
    """`fc.*` is the head's name in the whole network; by itself its layers have numbers."""
    drawn, stepped = _head_after_a_step({"fallback_lr_scale": 0.0})
    assert all(torch.equal(before, after) for before, after in zip(drawn, stepped, strict=True))
    drawn, stepped = _head_after_a_step({"fallback_lr_scale": 0.0, "fallback_list": []})
    assert not torch.equal(drawn[0], stepped[0])


def test_a_head_of_another_name_is_left_to_the_fallback_in_a_whole_network() -> None:
    arguments = {"fallback_list": ["layer1.*", "fc.*"], "ns_steps": 3}
    train = load("cifar10_lt").train.model_dump(exclude={"checkpoint_seconds", "start"})
    config = TrainConfig(**{**train, "optimiser_arguments": arguments})
    backbone = SimpleNamespace(mean=(0.5,) * 3, std=(0.25,) * 3, head_modules=("head", "head_dist"))
    photos = ImageInputs(
        SimpleNamespace(), backbone, Task(("a", "b"), ((), ()), 32), config, lambda level: level
    )
    assert photos.train_config.optimiser_arguments == {
        "fallback_list": ["layer1.*", "head.*", "head_dist.*"],
        "ns_steps": 3,
    }
