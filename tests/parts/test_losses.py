"""Losses against numbers worked out by hand, and against each other where they must agree."""

import math
from typing import Any

import pytest
import torch

from discl.config.load import load
from discl.core.errors import UserError
from discl.core.registry import bind

OF_LOGITS = ("balanced_softmax", "ce", "focal", "ldam_drw", "logit_adjusted")
COUNTS = torch.tensor([100.0, 10.0, 1.0])
LOGITS = torch.tensor([[2.0, 1.0, -1.0], [0.5, 0.0, 0.25]])
LABELS = torch.tensor([1, 2])
IMAGES = torch.zeros(2, 3, 4, 4)


def _loss(
    name: str,
    labels: torch.Tensor = LABELS,
    counts: torch.Tensor = COUNTS,
    progress: float = 0.0,
    **parameters: Any,
) -> torch.Tensor:
    logits = LOGITS.clone().requires_grad_()
    value: torch.Tensor = bind("losses", name, parameters).build()(
        lambda images: logits, IMAGES, labels, counts, progress
    )
    return value


def _plain(name: str, *args: Any, **parameters: Any) -> float:
    return float(_loss(name, *args, **parameters).detach())


@pytest.mark.parametrize("name", OF_LOGITS)
def test_a_whole_class_as_a_share_is_the_same_as_its_label(name: str) -> None:
    for progress in (0.0, 0.9):
        mixed = torch.nn.functional.one_hot(LABELS, 3).float()
        assert _plain(name, mixed, progress=progress) == pytest.approx(
            _plain(name, LABELS, progress=progress), rel=1e-5
        )


@pytest.mark.parametrize("name", [name for name in OF_LOGITS if name != "ldam_drw"])
def test_a_mixed_image_costs_the_mean_of_its_classes(name: str) -> None:
    mixed = torch.tensor([[0.25, 0.75, 0.0], [0.25, 0.0, 0.75]])
    expected = 0.25 * _plain(name, torch.tensor([0, 0])) + 0.75 * _plain(name, LABELS)
    assert _plain(name, mixed) == pytest.approx(expected, rel=1e-5)


def test_a_mixed_image_costs_the_weighted_mean_of_its_classes_under_ldam() -> None:
    mixed = torch.tensor([[0.25, 0.75, 0.0], [0.25, 0.0, 0.75]])
    expected = 0.25 * _plain("ldam_drw", torch.tensor([0, 0])) + 0.75 * _plain("ldam_drw", LABELS)
    assert _plain("ldam_drw", mixed) == pytest.approx(
        expected, rel=1e-5
    )  # before the weights begin
    weights = [(1 - 0.9999) / (1 - 0.9999**n) for n in (100, 10, 1)]
    each = [
        float(
            -(row - torch.tensor([m if j == k else 0.0 for k in range(3)]))
            .log_softmax(0)[j]
            .detach()
        )
        for row in LOGITS
        for j, m in enumerate(_margins())
    ]
    shares = [0.25, 0.75, 0.0, 0.25, 0.0, 0.75]
    by_hand = sum(s * w * e for s, w, e in zip(shares, weights * 2, each, strict=True)) / sum(
        s * w for s, w in zip(shares, weights * 2, strict=True)
    )
    assert _plain("ldam_drw", mixed, progress=0.9) == pytest.approx(by_hand, rel=1e-4)


def _margins() -> list[float]:
    return [0.5 * n**-0.25 for n in (100, 10, 1)]


def test_focal_without_gamma_is_cross_entropy() -> None:
    assert _plain("focal", gamma=0.0) == pytest.approx(_plain("ce"), rel=1e-6)


def test_focal_by_hand() -> None:
    chances = [
        math.exp(1) / (math.exp(2) + math.exp(1) + math.exp(-1)),
        math.exp(0.25) / (math.exp(0.5) + 1 + math.exp(0.25)),
    ]
    assert _plain("focal", gamma=2.0) == pytest.approx(
        sum(-((1 - p) ** 2) * math.log(p) for p in chances) / 2, rel=1e-5
    )


def test_logit_adjustment_is_balanced_softmax_at_tau_1_and_cross_entropy_at_0() -> None:
    assert _plain("logit_adjusted") == pytest.approx(_plain("balanced_softmax"), rel=1e-5)
    assert _plain("logit_adjusted", tau=0.0) == pytest.approx(_plain("ce"), rel=1e-6)
    assert _plain("logit_adjusted", tau=2.0) != pytest.approx(_plain("balanced_softmax"), rel=1e-2)


def test_ldam_lowers_the_true_logit_by_the_margin_of_its_class() -> None:
    lowered = LOGITS.clone()
    lowered[0, 1] -= 0.5 * 10**-0.25
    lowered[1, 2] -= 0.5  # the rarest class has the whole margin
    assert _plain("ldam_drw") == pytest.approx(
        float(torch.nn.functional.cross_entropy(lowered, LABELS)), rel=1e-5
    )
    assert _plain("ldam_drw", scale=30.0) == pytest.approx(
        float(torch.nn.functional.cross_entropy(30 * lowered, LABELS)), rel=1e-5
    )
    assert _plain("ldam_drw", margin=0.0) == pytest.approx(_plain("ce"), rel=1e-5)


def test_ldam_weighs_classes_only_in_the_deferred_part() -> None:
    weights = torch.tensor([(1 - 0.9999) / (1 - 0.9999**n) for n in (100, 10, 1)])
    weighed = float(torch.nn.functional.cross_entropy(LOGITS, LABELS, weight=weights))
    early, late = (_plain("ldam_drw", progress=progress, margin=0.0) for progress in (0.79, 0.8))
    assert early == pytest.approx(_plain("ce"), rel=1e-5)
    assert late == pytest.approx(weighed, rel=1e-4)
    assert late != pytest.approx(early, rel=1e-2)


@pytest.mark.parametrize("name", OF_LOGITS)
def test_certainty_and_classes_without_a_photo_leave_the_gradient_finite(name: str) -> None:
    parameters = {"gamma": 0.5} if name == "focal" else {}
    for answer in (200.0, -200.0):
        logits = torch.tensor([[answer, 0.0, 0.0], [0.0, answer, 0.0]], requires_grad=True)
        loss = bind("losses", name, parameters).build()
        value = loss(
            lambda images, logits=logits: logits,
            IMAGES,
            torch.tensor([0, 1]),
            torch.tensor([7.0, 0.0, 0.0]),
            0.9,
        )
        value.backward()
        assert torch.isfinite(value)
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("logit_adjusted", {"tau": -1.0}, "tau = -1"),
        ("focal", {"gamma": -0.5}, "gamma = -0.5"),
        ("ldam_drw", {"margin": -1.0}, "margin = -1"),
        ("ldam_drw", {"scale": 0.0}, "scale = 0"),
        ("ldam_drw", {"defer": 1.5}, "defer = 1.5"),
        ("ldam_drw", {"beta": 1.0}, "beta = 1"),
    ],
)
def test_settings_out_of_range_are_refused(
    name: str, parameters: dict[str, float], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        bind("losses", name, parameters).build()


def test_a_loss_out_of_range_does_not_load() -> None:
    with pytest.raises(UserError, match="gamma = -1"):
        load("cifar10_lt", settings=["loss.name=focal", "loss.gamma=-1.0"])
