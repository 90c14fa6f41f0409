"""A second stage sees the trained network's features, and the network stays as it is."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from discl.core.errors import UserError
from discl.core.interfaces import Split
from discl.core.registry import bind
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.loop import Fit
from discl.engine.training.sampler import SamplerView, Targets
from discl.harness.run.second_stage import check_classifier, staged
from discl.parts.backbones.base.heads import feature_head
from tests.metrics import DEFAULT

CONFIG = TrainConfig(
    epochs=2,
    curriculum_epochs=0,
    batch=8,
    lr=1e-2,
    weight_decay=0.0,
    optimiser="adamw",
    warmup_epochs=0,
    random_translate=0,
    hflip=False,
    evaluate_every=2,
)


def _split(counts: tuple[int, ...], seed: int) -> Split:
    labels = np.repeat(np.arange(3), counts)
    noise = np.random.default_rng(seed).normal(0, 0.3, (len(labels), 4))
    features: Any = (np.eye(3, 4)[labels] + noise).astype(np.float32)
    return Split(labels.astype(str), labels, np.zeros(len(labels), np.int64), features)


def _fit(network: nn.Module) -> Fit:
    train = _split((30, 12, 6), 0)
    data = TrainingData(
        train,
        SamplerView(train.labels, np.zeros(len(train.labels), bool)),
        3,
        (100,),
        {},
        {},
        _split((9, 9, 9), 1),
        metrics=DEFAULT,
    )
    parts = (bind("strategies", "real_only", {}).build(), bind("losses", "ce", {}).build())
    targets = Targets(48, 0.0, 1)
    device = torch.device("cpu")
    return Fit(network, *parts, data, CONFIG, targets, lambda rows: rows, 0, device)


def _stage(name: str) -> Any:
    return bind("second_stages", name, {}).build()


def test_a_stage_replaces_the_classifier_and_leaves_the_network() -> None:
    fit = _fit(feature_head(4, 3, 5, 0))
    list(fit)
    before = {name: value.clone() for name, value in fit.network.state_dict().items()}
    network, cost = staged(fit, _stage("ncm"), "val/macro_acc")
    rows = torch.from_numpy(np.array(fit.training_data.val.pixels))
    with torch.no_grad():
        trunk = fit.network.eval()[:-1]  # type: ignore[index]
        trained = trunk(torch.from_numpy(np.array(fit.training_data.train.pixels)))
        labels = torch.from_numpy(fit.training_data.train.labels)
        means = torch.stack([trained[labels == label].mean(0) for label in range(3)])
        expected = normalize(trunk(rows), dim=1) @ normalize(means, dim=1).T
        assert torch.allclose(network.eval()(rows), expected, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in fit.network.state_dict().items())
    assert cost == {"second_stage_epochs": 0, "second_stage_steps": 0}


def test_retraining_is_counted_and_no_stage_costs_nothing() -> None:
    fit = _fit(feature_head(4, 3, 0, 0))
    list(fit)
    _, cost = staged(fit, _stage("crt"), "val/macro_acc")
    assert cost == {"second_stage_epochs": 10, "second_stage_steps": 60}
    network, cost = staged(fit, _stage("none"), "val/macro_acc")
    assert network is fit.eval_network
    assert cost == {}


def test_a_network_without_a_last_layer_of_its_own_is_refused_before_training() -> None:
    fit = _fit(nn.Linear(4, 3))
    check_classifier(fit, _stage("none"))
    with pytest.raises(UserError, match="set backbone.head = 'linear' or 'cosine'"):
        check_classifier(fit, _stage("crt"))
