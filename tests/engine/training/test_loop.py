from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from discl.core.errors import UserError
from discl.core.interfaces import EpochReport, Split
from discl.core.registry import bind
from discl.engine.evaluation.predict import Normaliser, predict
from discl.engine.level_images import LevelImages
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.loop import Fit
from discl.engine.training.probe import probe_images
from discl.engine.training.sampler import SamplerView, Targets
from tests.metrics import DEFAULT

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], [40, 20, 6])


def _photos(labels: Any) -> Any:
    """Three classes that differ in colour."""
    base = np.eye(3)[labels][:, None, None, :] * 150 + 50
    return (base + RNG.normal(0, 20, (len(labels), 8, 8, 3))).clip(0, 255).astype(np.uint8)


def _split(labels: Any, prefix: str) -> Split:
    return Split(
        np.array([f"{prefix}{i}" for i in range(len(labels))]),
        labels,
        np.zeros(len(labels), np.int64),
        _photos(labels),
    )


TRAIN, VAL = _split(LABELS, "train"), _split(np.repeat([0, 1, 2], 10), "val")
VIEW = SamplerView(LABELS, np.bincount(LABELS)[LABELS] < 10)
HARD = np.flatnonzero(VIEW.hard)
LEVELS = (0, 50, 100)
TRAINING_DATA = TrainingData(
    TRAIN,
    VIEW,
    3,
    LEVELS,
    {
        level: LevelImages(np.repeat(HARD, 2), np.tile([0, 1], 6), np.arange(12))
        for level in (0, 50)
    },
    {level: _photos(np.full(12, 2)) for level in (0, 50)},
    VAL,
    metrics=DEFAULT,
)
CONFIG = TrainConfig(
    epochs=5,
    curriculum_epochs=3,
    batch=16,
    lr=3e-3,
    weight_decay=0.0,
    optimiser="adamw",
    warmup_epochs=0,
    random_translate=1,
    hflip=True,
    evaluate_every=2,
)
TARGETS = Targets(64, 1 / 3, 20)
NORMALISER = Normaliser((0.5,) * 3, (0.25,) * 3)


def _network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


def _fit(
    name: str,
    config: TrainConfig = CONFIG,
    network: nn.Module | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> list[EpochReport]:
    strategy, loss = (
        bind("strategies", name, dict(parameters or {})).build(),
        bind("losses", "ce", {}).build(),
    )
    return list(
        Fit(
            network or _network(),
            strategy,
            loss,
            TRAINING_DATA,
            config,
            TARGETS,
            NORMALISER,
            0,
            torch.device("cpu"),
        )
    )


@pytest.mark.parametrize(
    "name",
    [
        "static",
        "adaptive",
        "real_only",
        "real_rebalanced",
        "all_levels",
        "text_only",
        "random",
        "reverse",
        "fixed",
    ],
)
def test_every_strategy_gets_the_same_number_of_steps(name: str) -> None:
    assert [report.steps for report in _fit(name)] == [4] * 5


def test_a_mix_that_is_none_names_the_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    static = type(bind("strategies", "static", {}).build())
    monkeypatch.setattr(static, "mix", lambda self, context: {0: 0.7, 100: 0.7})
    with pytest.raises(UserError, match=f"strategy {static.__name__} in epoch 0: mix .* sum to 1"):
        _fit("static")


def test_the_last_epochs_see_photos_only() -> None:
    reports = _fit("text_only")
    assert [set(report.seen) for report in reports] == [{0, 100}] * 3 + [{100}] * 2
    # 40, 20 and 6 photos: medium, medium, few; a third of the epoch is the tail's
    assert [report.seen_by_group["few"] for report in reports[:3]] == [21] * 3
    assert all(sum(report.seen_by_group.values()) == 64 for report in reports)
    assert [report.real_phase for report in reports] == [False] * 3 + [True] * 2


def test_static_goes_from_low_to_high() -> None:
    assert [report.mix for report in _fit("static")[:3]] == [{0: 1.0}, {50: 1.0}, {100: 1.0}]


def test_adaptive_measures_every_level_and_takes_the_largest_gain() -> None:
    for report in _fit("adaptive", parameters={"trim": False})[:3]:
        assert set(report.gains) == set(LEVELS)
        assert set(report.mix) == {
            max(report.gains, key=lambda level: (report.gains[level], -level))
        }


def test_measuring_moves_no_batch_statistics() -> None:
    network = _network().train()
    probe = probe_images(bind("strategies", "adaptive", {}).build(), TRAINING_DATA, 0)
    assert probe is not None
    before = {key: value.clone() for key, value in network.state_dict().items()}
    probe.true_class_probabilities(network, NORMALISER, torch.device("cpu"))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert network.training


def test_val_is_looked_at_as_often_as_asked_and_at_the_end() -> None:
    assert [bool(report.values) for report in _fit("real_only")] == [False, True, False, True, True]


def test_the_same_seed_trains_the_same_network() -> None:
    networks = [_network(), _network()]
    for network in networks:
        _fit("static", network=network)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            networks[0].state_dict().values(), networks[1].state_dict().values(), strict=True
        )
    )


def test_it_learns_what_can_be_learnt() -> None:
    reports = _fit("static", replace(CONFIG, epochs=12, curriculum_epochs=8, evaluate_every=12))
    assert reports[-1].values["val/macro_acc"] > 0.9


def test_a_loss_that_is_not_finite_stops_with_a_way_out() -> None:
    with pytest.raises(UserError, match=r"loss became .* lower train.lr"):
        _fit("real_only", replace(CONFIG, lr=1e30, optimiser="sgd"))


def test_an_epoch_smaller_than_a_batch_is_refused() -> None:
    with pytest.raises(UserError, match="larger than an epoch"):
        _fit("real_only", replace(CONFIG, batch=100))


def test_an_unknown_optimiser_is_named() -> None:
    with pytest.raises(UserError, match="sgdd"):
        _fit("real_only", replace(CONFIG, optimiser="sgdd"))


def test_predictions_cover_every_photo_in_order() -> None:
    saved = predict(_network(), {"val": VAL}, NORMALISER, torch.device("cpu"))
    assert saved["val/logits"].shape == (30, 3)
    assert saved["val/logits"].dtype == np.float32
    assert saved["val/labels"].dtype == np.int64
    assert saved["val/ids"].tolist() == VAL.ids.tolist()


def test_the_report_says_of_how_many_photos_the_gains_are() -> None:
    reports = list(_fit("adaptive"))
    assert [report.probe_photos for report in reports] == [1, 1, 1, None, None]  # 20 % of 6
    assert {report.probe_photos for report in _fit("static")} == {None}


class _Headed(nn.Sequential):
    """A network that names its classifier, as timm's do."""

    def get_classifier(self) -> nn.Module:
        return self[-1]


def _weights(network: nn.Module) -> dict[str, Any]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_head_only_epochs_are_a_linear_probe_of_the_features_as_they_are() -> None:
    network = _Headed(*_network())
    first = _weights(network)
    config = replace(CONFIG, head_only_epochs=2, weight_decay=0.1, grad_clip=1.0, evaluate_every=1)
    fit = Fit(
        network,
        bind("strategies", "real_only", {}).build(),
        bind("losses", "ce", {}).build(),
        TRAINING_DATA,
        config,
        TARGETS,
        NORMALISER,
        0,
        torch.device("cpu"),
    )
    after = [_weights(network) for _ in fit]
    trunk = [name for name in first if not name.startswith("5.")]
    # statistics of norms too
    assert all(torch.equal(after[1][name], first[name]) for name in trunk)
    assert not torch.equal(after[1]["5.weight"], first["5.weight"])
    assert not any(torch.equal(after[-1][name], first[name]) for name in first)


def test_head_only_epochs_need_a_classifier() -> None:
    with pytest.raises(UserError, match=r"no single layer .* train\.head_only_epochs = 0"):
        _fit("real_only", replace(CONFIG, head_only_epochs=1))


def test_the_last_look_at_val_is_kept_for_its_predictions() -> None:
    parts = bind("strategies", "static", {}).build(), bind("losses", "ce", {}).build()
    config, device = replace(CONFIG, epochs=2, curriculum_epochs=1), torch.device("cpu")
    fit = Fit(_network(), *parts, TRAINING_DATA, config, TARGETS, NORMALISER, 0, device)
    list(fit)
    splits = {"val": VAL, "test": VAL}
    saved = predict(
        fit.eval_network, splits, NORMALISER, device, known={"val": fit.val_logits, "test": None}
    )
    assert saved["val/logits"] is fit.val_logits
    assert np.array_equal(saved["test/logits"], saved["val/logits"])
