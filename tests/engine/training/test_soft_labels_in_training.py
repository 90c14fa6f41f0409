"""Soft labels from the bank to the loss: in batches, beside mixing, in the probe, after a stop."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from discl.core.registry import bind
from discl.engine.soft_labels import SoftLabels
from discl.engine.training.batches import batches
from discl.engine.training.distributed import share
from discl.engine.training.loop import Fit
from discl.engine.training.optimisation import image_mixer, mix_images
from discl.engine.training.probe import probe_images
from discl.engine.training.sampler import plan_epoch
from discl.engine.training.state import flatten, unflatten
from tests.engine.training.test_loop import (
    CONFIG,
    HARD,
    LEVELS,
    NORMALISER,
    TARGETS,
    TRAINING_DATA,
    VIEW,
)
from tests.engine.training.test_loop import _network as network

# all 12 images of a level are of photos of class 2; of each photo one was to become 0, one 1
SOFT = SoftLabels({level: np.tile([0, 1], 6) for level in LEVELS[:2]}, power=0.5)
SOFT_DATA = replace(TRAINING_DATA, soft_labels=SOFT)
CUT = replace(CONFIG, crop=6, transform={"scale": [0.5, 1.0]})


def _labels(config: Any, data: Any) -> Any:
    plan = plan_epoch(VIEW, {0: 0.5, 50: 0.5}, data.images, TARGETS, True, np.random.default_rng(0))
    made = list(batches(plan, 0, data, config, (0,), share(), False))
    return plan, torch.cat([batch.labels for batch in made])


@pytest.mark.parametrize("config", [CONFIG, CUT])
def test_batches_have_the_labels_of_their_images(config: Any) -> None:
    plan, soft = _labels(config, SOFT_DATA)
    half = np.sqrt(0.5)
    expected = []
    for row, level, position in zip(*plan, strict=True):
        own, asked = np.eye(3)[TRAINING_DATA.train.labels[row]], np.eye(3)[position % 2]
        expected.append({100: own, 0: asked, 50: half * asked + (1 - half) * own}[int(level)])
    assert soft.dtype == torch.float32
    assert np.allclose(soft, np.array(expected), atol=1e-7)
    assert {0, 50, 100} == set(plan.level.tolist())
    _, whole = _labels(config, TRAINING_DATA)
    assert whole.tolist() == TRAINING_DATA.train.labels[plan.row].tolist()


@pytest.mark.parametrize("alphas", [{"mixup": 0.4}, {"cutmix": 0.4}])
def test_soft_labels_are_mixed_as_whole_ones_are(alphas: dict[str, float]) -> None:
    config = replace(CONFIG, **alphas)  # type: ignore[arg-type]
    mixer = image_mixer(config, 3)
    images = torch.rand(6, 3, 8, 8)
    labels = torch.tensor([0, 1, 2, 0, 1, 1])

    def mixed(given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        np.random.seed(4)  # noqa: NPY002 - timm draws from it
        return mix_images(mixer, config, images.clone(), given)

    whole_images, whole = mixed(labels)
    soft_images, soft = mixed(torch.eye(3)[labels])
    assert torch.equal(whole_images, soft_images)
    assert torch.allclose(whole, soft, atol=1e-6)
    halves = torch.full((6, 3), 0.5) * torch.tensor([1.0, 1.0, 0.0])
    assert torch.allclose(mixed(halves)[1], halves, atol=1e-6)


def test_a_probe_measures_the_classes_of_a_soft_label_by_their_shares() -> None:
    strategy = bind("strategies", "adaptive", {}).build()
    probe, whole = (probe_images(strategy, data, 0) for data in (SOFT_DATA, TRAINING_DATA))
    assert probe
    assert whole
    assert probe.labels[0].tolist() == [[1, 0, 0]] * len(probe.rows)  # the first image of each
    assert np.allclose(probe.labels[50], [[np.sqrt(0.5), 0, 1 - np.sqrt(0.5)]], atol=1e-7)
    assert whole.labels[0].tolist() == [2] * len(whole.rows)
    assert set(probe.rows.tolist()) <= set(HARD.tolist())


@pytest.mark.parametrize(
    ("strategy", "config"),
    [
        ("adaptive", replace(CONFIG, epochs=2, curriculum_epochs=2, mixup=0.4, accumulate=2)),
        ("static", replace(CUT, epochs=2, curriculum_epochs=1)),
    ],
)
def test_a_run_on_soft_labels_goes_on_to_the_same_end(strategy: str, config: Any) -> None:
    def fit(keep: Any = None) -> Fit:
        parts = bind("strategies", strategy, {}).build(), bind("losses", "ce", {}).build()
        preprocess = replace(NORMALISER, crop=config.crop)
        return Fit(
            network(), *parts, SOFT_DATA, config, TARGETS, preprocess, 0, torch.device("cpu"), keep
        )

    stops: list[Any] = []
    whole = fit(lambda state: stops.append(flatten(state())))
    losses = [report.loss for report in whole]
    again = fit()
    again.restore(unflatten(*stops[2]))
    list(again)
    assert [report.loss for report in again.history] == losses
    weights = again.eval_network.state_dict()
    assert all(
        torch.equal(value, weights[key]) for key, value in whole.eval_network.state_dict().items()
    )
