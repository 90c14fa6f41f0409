"""Losses against their definitions in a few lines, and against each other where they must agree."""

import math
from typing import Any

import pytest
import torch

from discl.config.load import load
from discl.core.errors import UserError
from discl.core.registry import bind
from discl.engine.training.prior import check_prior

OF_LOGITS = (
    "balanced_softmax",
    "cb_focal",
    "ce",
    "focal",
    "ldam_drw",
    "logit_adjusted",
    "seesaw",
)
WEIGHTED = ("ldam_drw",)  # losses that are means weighted by class
COUNTS = torch.tensor([100.0, 10.0, 1.0])
LOGITS = torch.tensor([[2.0, 1.0, -1.0], [0.5, 0.0, 0.25]])
LABELS = torch.tensor([1, 2])
IMAGES = torch.zeros(2, 3, 4, 4)


class Given:
    """A network with a cosine head whose logits are given."""

    def __init__(self, logits: torch.Tensor, cosine_scale: float = 1.0) -> None:
        self.logits = logits
        self.cosine_scale = cosine_scale

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits


def _loss(
    name: str,
    labels: torch.Tensor = LABELS,
    counts: torch.Tensor = COUNTS,
    progress: float = 0.0,
    **parameters: Any,
) -> torch.Tensor:
    logits = LOGITS.clone().requires_grad_()
    value: torch.Tensor = bind("losses", name, parameters).build()(
        Given(logits), IMAGES, labels, counts, progress
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


@pytest.mark.parametrize("name", [name for name in OF_LOGITS if name not in WEIGHTED])
def test_a_mixed_image_costs_the_mean_of_its_classes(name: str) -> None:
    mixed = torch.tensor([[0.25, 0.75, 0.0], [0.25, 0.0, 0.75]])
    expected = 0.25 * _plain(name, torch.tensor([0, 0])) + 0.75 * _plain(name, LABELS)
    assert _plain(name, mixed) == pytest.approx(expected, rel=1e-5)


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


def _ldam_by_definition(
    logits: torch.Tensor, labels: torch.Tensor, counts: list[int], scale: float, late: bool
) -> torch.Tensor:
    """Cao et al. 2019, equations 10 and 13, and their deferred weights; labels [b, c] as shares."""
    margins = [0.5 * (n / min(counts)) ** -0.25 for n in counts]
    weights = [(1 - 0.9999) / (1 - 0.9999**n) if late else 1.0 for n in counts]
    total = logits.new_zeros(())
    norm = 0.0
    for row, row_shares in zip(logits, labels.tolist(), strict=True):
        for y, share in enumerate(row_shares):
            others = torch.cat([row[:y], row[y + 1 :]])
            lowered = row[y] - scale * margins[y]
            term = (lowered - torch.cat([lowered[None], others]).logsumexp(0)).neg()
            total = total + share * weights[y] * term
            norm += share * weights[y]
    return total / norm


@pytest.mark.parametrize("kind", ["whole", "mixed"])
@pytest.mark.parametrize("progress", [0.79, 0.8])
def test_ldam_and_its_gradient_are_those_of_the_definition(kind: str, progress: float) -> None:
    rng = torch.Generator().manual_seed(7)
    loss = bind("losses", "ldam_drw", {}).build()
    for _ in range(25):  # with the four settings, 100 cases
        classes = int(torch.randint(2, 6, (), generator=rng))
        counts = torch.randint(1, 500, (classes,), generator=rng)
        cosines = torch.rand(4, classes, generator=rng) * 2 - 1
        whole = torch.randint(classes, (4,), generator=rng)
        labels = torch.nn.functional.one_hot(whole, classes).float()
        if kind == "mixed":
            labels = 0.3 * labels + 0.7 * labels.flip(0)
        ours = (30 * cosines).requires_grad_()
        given = labels if kind == "mixed" else whole
        value = loss(Given(ours, 30.0), IMAGES, given, counts.float(), progress)
        value.backward()
        theirs = (30 * cosines.double()).requires_grad_()
        expected = _ldam_by_definition(theirs, labels, counts.tolist(), 30.0, progress >= 0.8)
        expected.backward()
        assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-5, abs=1e-6)
        assert ours.grad is not None
        assert theirs.grad is not None
        assert (ours.grad - theirs.grad).abs().max() < 1e-6


def test_a_photo_that_ldam_has_learnt_costs_nothing_and_one_it_has_not_has_a_gradient() -> None:
    loss = bind("losses", "ldam_drw", {}).build()
    sure = Given(30 * torch.tensor([[1.0, -1.0, -1.0]]), 30.0)
    assert float(loss(sure, IMAGES, torch.tensor([0]), COUNTS, 0.0)) < 1e-10
    wrong = (30 * torch.tensor([[-1.0, 1.0, -1.0]])).requires_grad_()
    loss(Given(wrong, 30.0), IMAGES, torch.tensor([0]), COUNTS, 0.0).backward()
    assert wrong.grad is not None
    assert wrong.grad.tolist()[0] == pytest.approx([-1.0, 1.0, 0.0], abs=1e-4)


def test_ldam_without_cosines_is_refused() -> None:
    loss = bind("losses", "ldam_drw", {}).build()
    with pytest.raises(UserError, match="lowers cosines by a margin"):
        loss(torch.nn.Linear(1, 3), torch.zeros(2, 1), LABELS, COUNTS, 0.0)
    with pytest.raises(UserError, match=r"not defined on backbone.head = 'linear'; set"):
        load("cifar10_lt", settings=["loss.name=ldam_drw"])
    assert load("cifar10_lt", settings=["loss.name=ldam_drw", "backbone.head=cosine"])


def test_a_wrapped_network_s_cosines_are_found() -> None:
    class Wrapped:
        def __init__(self, module: Any) -> None:
            self.module = module

        def __call__(self, images: torch.Tensor) -> Any:
            return self.module(images)

    loss = bind("losses", "ldam_drw", {}).build()
    inner = Given(LOGITS, 30.0)
    assert loss(Wrapped(inner), IMAGES, LABELS, COUNTS, 0.0) == loss(
        inner, IMAGES, LABELS, COUNTS, 0.0
    )


def _cb_focal_by_definition(
    row: list[float], y: int, counts: list[int], gamma: float, beta: float
) -> float:
    """Cui et al. 2019, equations 12 and 13."""
    weights = [(1 - beta) / (1 - beta**n) for n in counts]
    total = 0.0
    for i, z in enumerate(row):
        p = 1 / (1 + math.exp(-z if i == y else z))
        total -= (1 - p) ** gamma * math.log(p)
    return total * weights[y] * len(counts) / sum(weights)


def test_class_balanced_focal_is_its_definition() -> None:
    expected = [
        _cb_focal_by_definition(row, y, [100, 10, 1], 0.7, 0.99)
        for row, y in zip(LOGITS.tolist(), LABELS.tolist(), strict=True)
    ]
    assert _plain("cb_focal", gamma=0.7, beta=0.99) == pytest.approx(sum(expected) / 2, rel=1e-5)


def _seesaw_by_definition(row: list[float], i: int, counts: list[int], p: float, q: float) -> float:
    """Wang et al. 2021, equations 4 to 8."""
    chances = [math.exp(z) / sum(map(math.exp, row)) for z in row]
    below = math.exp(row[i])
    for j, z in enumerate(row):
        if j != i:
            spared = (counts[j] / counts[i]) ** p if counts[i] > counts[j] else 1.0
            back = (chances[j] / chances[i]) ** q if chances[j] > chances[i] else 1.0
            below += spared * back * math.exp(z)
    return -math.log(math.exp(row[i]) / below)


def test_seesaw_is_its_definition() -> None:
    for labels in ([0, 2], [1, 1], [2, 0]):
        expected = [
            _seesaw_by_definition(row, y, [100, 10, 1], 0.8, 2.0)
            for row, y in zip(LOGITS.tolist(), labels, strict=True)
        ]
        assert _plain("seesaw", torch.tensor(labels)) == pytest.approx(sum(expected) / 2, rel=1e-5)
    assert _plain("seesaw", p=0.0, q=0.0) == pytest.approx(_plain("ce"), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "parameters", "corrects"),
    [
        ("ce", {}, False),
        ("focal", {}, False),
        ("flyp", {}, False),
        ("balanced_softmax", {}, True),
        ("logit_adjusted", {}, True),
        ("logit_adjusted", {"tau": 0.0}, False),
        ("ldam_drw", {}, True),
        ("ldam_drw", {"defer": 1.0}, False),
        ("cb_focal", {}, True),
        ("cb_focal", {"beta": 0.0}, False),
        ("seesaw", {}, True),
        ("seesaw", {"p": 0.0}, False),
    ],
)
def test_a_loss_says_whether_it_corrects_the_prior(
    name: str, parameters: dict[str, float], corrects: bool
) -> None:
    loss = bind("losses", name, parameters).build()
    assert getattr(loss, "corrects_prior", False) == corrects
    check_prior(loss)


def test_a_loss_that_claims_the_prior_without_counts_is_refused() -> None:
    loss = bind("losses", "ce", {}).build()
    loss.corrects_prior = True
    with pytest.raises(UserError, match="CrossEntropy says that it corrects the prior"):
        check_prior(loss)


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
            Given(logits),
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
        ("ldam_drw", {"defer": 1.5}, "defer = 1.5"),
        ("ldam_drw", {"beta": 1.0}, "beta = 1"),
        ("cb_focal", {"gamma": -1.0}, "gamma = -1"),
        ("cb_focal", {"beta": 1.0}, "beta = 1"),
        ("seesaw", {"p": -1.0}, "p = -1"),
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


def test_label_smoothing_is_torchs_and_spreads_a_mixed_label_as_well() -> None:
    smoothing = 0.1
    expected = torch.nn.functional.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing)
    assert _plain("ce", smoothing=smoothing) == float(expected)
    mixed = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.4, 0.6]])
    spread = mixed * (1 - smoothing) + smoothing / 3
    by_hand = -(spread * LOGITS.log_softmax(1)).sum(1).mean()
    assert _plain("ce", mixed, smoothing=smoothing) == pytest.approx(float(by_hand), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in OF_LOGITS if name != "ce"])
def test_a_loss_without_label_smoothing_refuses_it(name: str) -> None:
    with pytest.raises(UserError, match="smoothing"):
        bind("losses", name, {"smoothing": 0.1})
