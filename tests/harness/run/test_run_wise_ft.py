"""WiSE-FT at the end of a run: val chooses, and the run's own answers stay what they were."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import Split
from discl.core.registry import bind
from discl.engine.evaluation.predict import predict
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.loop import Fit
from discl.engine.training.sampler import SamplerView, Targets
from discl.harness.run.wise_ft import wise_predictions
from tests.metrics import DEFAULT


def _split(count: int) -> Split:
    """Two classes as plain features."""
    labels = np.arange(count) % 2
    features: Any = (
        np.random.default_rng(count).normal(0, 1, (count, 4)) + labels[:, None]
    ).astype(np.float32)
    return Split(np.arange(count).astype(str), labels, np.zeros(count, np.int64), features)


def _network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(4, 2)


def _unchanged(features: torch.Tensor) -> torch.Tensor:
    return features


@pytest.fixture
def fit() -> Fit:
    train, val = _split(64), _split(200)
    training_data = TrainingData(
        train,
        SamplerView(train.labels, np.bincount(train.labels)[train.labels] < 10),
        2,
        (100,),
        {},
        {},
        val,
        metrics=DEFAULT,
    )
    config = TrainConfig(
        epochs=2,
        curriculum_epochs=0,
        batch=16,
        lr=0.1,
        weight_decay=0.0,
        optimiser="adamw",
        warmup_epochs=0,
        random_translate=0,
        hflip=False,
        evaluate_every=2,
    )
    strategy, loss = bind("strategies", "real_only", {}).build(), bind("losses", "ce", {}).build()
    trained = Fit(
        _network(3),
        strategy,
        loss,
        training_data,
        config,
        Targets(64, 0.0, 1),
        _unchanged,
        3,
        torch.device("cpu"),
    )
    list(trained)
    return trained


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_the_ends_are_the_first_and_the_trained_network(fit: Fit, end: float) -> None:
    splits = {"test": _split(50)}
    alpha, predictions = wise_predictions(fit, _network(3), [end], "val/macro_acc", splits)
    expected = predict(
        fit.eval_network if end else _network(3), splits, _unchanged, torch.device("cpu")
    )
    assert alpha == end
    assert predictions.keys() == {"test/wise_logits"}
    assert np.array_equal(predictions["test/wise_logits"], expected["test/logits"])


def test_val_alone_chooses_and_the_run_s_own_weights_stay(fit: Fit) -> None:
    before = {key: value.clone() for key, value in fit.eval_network.state_dict().items()}
    alphas = [0.0, 0.3, 0.6, 1.0]
    accuracy = {}
    for alpha in alphas:
        _, predictions = wise_predictions(
            fit, _network(3), [alpha], "val/macro_f1", {"val": fit.training_data.val}
        )
        accuracy[alpha] = (
            predictions["val/wise_logits"].argmax(1) == fit.training_data.val.labels
        ).mean()
    best, _ = wise_predictions(fit, _network(3), alphas, "val/acc", {})
    assert accuracy[best] == max(accuracy.values()) > accuracy[0.0]
    assert all(
        torch.equal(before[key], value) for key, value in fit.eval_network.state_dict().items()
    )


def test_a_share_outside_of_0_to_1_is_named() -> None:
    with pytest.raises(UserError, match=r"select.wise_ft_alphas.0 = 1.5"):
        load("cifar10_lt", settings=["select.wise_ft_alphas=[1.5]"])
