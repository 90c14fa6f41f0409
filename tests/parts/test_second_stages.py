"""Second stages against their definitions (Kang et al. 2020) in a few lines."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import TrainedFeatures
from discl.core.registry import bind
from discl.parts.backbones.base.heads import CosineLinear

COUNTS = (90, 30, 10)
LABELS = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS))
CENTRES = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, -0.5], [-0.5, 0.5, 1.0]])


def _features(seed: int, labels: Tensor = LABELS) -> Tensor:
    noise = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed))
    return CENTRES[labels] + 0.8 * noise


FEATURES = _features(0)


def _classifier() -> nn.Linear:
    classifier = nn.Linear(3, 3)
    with torch.no_grad():
        classifier.weight.copy_(CENTRES * torch.tensor([2.0, 1.0, 0.3])[:, None])
        classifier.bias.copy_(torch.tensor([1.0, 0.5, -0.5]))
    return classifier


def _trained(
    classifier: nn.Module | None = None, score: Callable[[nn.Module], float] = lambda _: 0.0
) -> TrainedFeatures:
    counts = torch.tensor(COUNTS, dtype=torch.float32)
    return TrainedFeatures(classifier or _classifier(), FEATURES, LABELS, counts, score, 32, 1)


def _applied(name: str, trained: TrainedFeatures, **parameters: Any) -> Any:
    return bind("second_stages", name, parameters).build().apply(trained)


def _balanced(logits: Tensor) -> Tensor:
    """Cross-entropy where every class counts alike, whatever its photos."""
    each = cross_entropy(logits, LABELS, reduction="none")
    return torch.stack([each[label == LABELS].mean() for label in range(3)]).mean()


def _minimised(parameters: list[Tensor], loss: Callable[[], Tensor]) -> None:
    optimiser = torch.optim.LBFGS(parameters, max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)


def test_crt_is_the_balanced_optimum_from_new_weights() -> None:
    outcome = _applied("crt", _trained(), epochs=150, weight_decay=0.01)
    weight = torch.zeros(3, 3, requires_grad=True)
    bias = torch.zeros(3, requires_grad=True)
    _minimised(
        [weight, bias],
        lambda: (
            _balanced(FEATURES @ weight.T + bias)
            + 0.005 * (weight.square().sum() + bias.square().sum())
        ),
    )
    with torch.no_grad():
        ours = outcome.classifier(FEATURES).softmax(1)
        theirs = (FEATURES @ weight.T + bias).softmax(1)
    assert (ours - theirs).abs().mean() < 0.01
    assert (outcome.epochs, outcome.steps) == (150, 150 * 5)  # 130 photos, 32 a step


def test_crt_keeps_the_kind_of_head_and_none_of_its_weights() -> None:
    head = CosineLinear(CENTRES, 16.0)
    found = _applied("crt", _trained(head), epochs=1).classifier
    assert isinstance(found, CosineLinear)
    assert found.cosine_scale == 16.0
    other = CosineLinear(-CENTRES, 16.0)
    again = _applied("crt", _trained(other), epochs=1).classifier
    assert torch.equal(found.weight, again.weight)


def test_lws_finds_the_balanced_optimum_of_a_factor_for_each_class() -> None:
    before = _classifier()
    scaled = _applied("lws", _trained(), epochs=150).classifier
    factors = torch.ones(3, requires_grad=True)
    fixed = before(FEATURES).detach()
    _minimised([factors], lambda: _balanced(factors * fixed))
    with torch.no_grad():
        ours, theirs = (each.softmax(1) for each in (scaled(FEATURES), factors * fixed))
        assert (ours - theirs).abs().mean() < 0.01
        assert torch.allclose(scaled(FEATURES), scaled.factors * fixed)


@pytest.mark.parametrize("tau", [0.0, 0.4, 1.0])
def test_tau_norm_divides_each_class_s_weights_by_their_length(tau: float) -> None:
    found = _applied("tau_norm", _trained(), taus=[tau]).classifier
    for row, old in zip(found.weight, _classifier().weight, strict=True):
        assert torch.allclose(row, old / sum(w**2 for w in old.tolist()) ** (tau / 2))
    assert not found.bias.any()


def test_val_chooses_tau_and_the_smallest_of_equals() -> None:
    def score(classifier: Any) -> float:
        return -abs(float(classifier.weight[0].detach().norm()) - 1.0)  # best where lengths are 1

    lengths = [
        float(_applied("tau_norm", _trained(score=each)).classifier.weight[0].detach().norm())
        for each in (score, lambda _: 0.0)
    ]
    assert lengths == pytest.approx([1.0, float(_classifier().weight[0].detach().norm())])


def test_ncm_takes_the_class_whose_mean_has_the_largest_cosine() -> None:
    found = _applied("ncm", _trained()).classifier
    for row in _features(1)[::13]:
        cosines = []
        for label in range(3):
            mean = torch.stack([f for f, y in zip(FEATURES, LABELS, strict=True) if y == label])
            cosines.append(float(normalize(row, dim=0) @ normalize(mean.mean(0), dim=0)))
        assert found(row[None])[0].tolist() == pytest.approx(cosines, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("crt", {"epochs": 0}, "second_stage.epochs = 0"),
        ("lws", {"lr": 0.0}, "lr = 0"),
        ("tau_norm", {"taus": []}, r"second_stage.taus = \[\]"),
        ("tau_norm", {"taus": [-0.1]}, r"taus = \[-0.1\]"),
    ],
)
def test_settings_out_of_range_of_a_stage_are_refused(
    name: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        bind("second_stages", name, parameters).build()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["second_stage.name=crt", "backbone.name=open_clip"], "second stage 'crt' is not defined"),
        (["second_stage.name=tau_norm", "backbone.head=cosine"], "set backbone.head = 'linear'"),
        (["second_stage.name=ncm", "select.wise_ft_alphas=[0.5]"], "leave one out"),
        (["second_stage.name=crtt"], "did you mean 'crt'"),
    ],
)
def test_a_stage_that_does_not_fit_is_refused_when_the_benchmark_is_read(
    settings: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load("cifar10_lt", settings=settings)
