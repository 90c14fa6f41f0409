"""Learning rates and averages against torch's schedulers and the papers' formulas."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, PolynomialLR, StepLR

from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.errors import UserError
from discl.engine.training.config import TrainConfig
from discl.engine.training.optimisation import optimiser_and_schedule, weight_average
from tests.engine.training.test_loop import CONFIG

STEPS = 19  # an epoch
SHORT = replace(CONFIG, epochs=30, lr=0.1, optimiser="sgd")


def _rates(config: TrainConfig) -> list[float]:
    """The learning rate of every step."""
    optimiser, schedule = optimiser_and_schedule(nn.Linear(2, 2), config, STEPS)
    rates = []
    for step in range(config.epochs * STEPS):
        schedule.step_update(step)
        rates.append(optimiser.param_groups[0]["lr"])
    return rates


def _rates_of_torch(make: Any, steps: int) -> list[float]:
    optimiser = SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    schedule: LRScheduler = make(optimiser)
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(
    ("settings", "make"),
    [
        (
            {"schedule": "multistep"},
            lambda optimiser: MultiStepLR(optimiser, [15 * STEPS, round(22.5 * STEPS)]),
        ),
        (
            {"schedule": "multistep", "milestones": (24, 27), "decay_rate": 0.01},
            lambda optimiser: MultiStepLR(optimiser, [24 * STEPS, 27 * STEPS], 0.01),
        ),
        ({"schedule": "step"}, lambda optimiser: StepLR(optimiser, 9 * STEPS)),
        (
            {"schedule": "step", "decay_every": 10, "decay_rate": 0.5},
            lambda optimiser: StepLR(optimiser, 10 * STEPS, 0.5),
        ),
        ({"schedule": "poly"}, lambda optimiser: PolynomialLR(optimiser, 30 * STEPS)),
        (
            {"schedule": "poly", "poly_power": 0.9},
            lambda optimiser: PolynomialLR(optimiser, 30 * STEPS, power=0.9),
        ),
    ],
)
def test_rates_are_those_of_torch(settings: dict[str, Any], make: Any) -> None:
    rates = _rates(replace(SHORT, **settings))
    assert rates == pytest.approx(_rates_of_torch(make, 30 * STEPS), rel=1e-9)


@pytest.mark.parametrize("epochs", [2, 7, 30, 200])
def test_a_schedule_is_as_long_as_its_run(epochs: int) -> None:
    def last(schedule: str) -> float:
        return _rates(replace(SHORT, epochs=epochs, schedule=schedule))[-1]

    assert last("multistep") == pytest.approx(0.1 * 0.1**2)
    assert last("step") == pytest.approx(0.1 * 0.1**3)
    assert last("poly") == pytest.approx(0.1 / (epochs * STEPS))  # the step after it has 0
    assert last("cosine") < 0.1 * 2 / (epochs * STEPS)


def test_the_warm_up_and_the_cosine_of_flyp_are_in_the_preset() -> None:
    train = load("iwildcam", "paper").train
    steps, warmup = 709, 500  # steps of an epoch, of the warm-up
    run = train.epochs * steps
    config = TrainConfig(**train.model_dump(exclude={"checkpoint_seconds", "start"}))
    optimiser, schedule = optimiser_and_schedule(nn.Linear(2, 2), config, steps)
    for step in (0, 1, 250, 499, 500, 501, 3000, run // 2, run - 1):
        schedule.step_update(step)
        if step < warmup:
            expected = (step + 1) / warmup
        else:
            expected = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (run - warmup)))
        assert optimiser.param_groups[0]["lr"] / 1e-5 == pytest.approx(expected, abs=1 / warmup)
        if step in (0, *range(warmup, run)):
            assert optimiser.param_groups[0]["lr"] / 1e-5 == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["iwildcam", "imagenet_lt"])
def test_the_papers_recipes_decay_biases_and_norms(name: str) -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))

    def decays(settings: list[str]) -> set[float]:
        train = load(name, "paper", settings).train
        config = TrainConfig(**train.model_dump(exclude={"checkpoint_seconds", "start"}))
        optimiser, _ = optimiser_and_schedule(network, config, 1000)
        return {group["weight_decay"] for group in optimiser.param_groups}

    assert decays([]) == {load(name, "paper").train.weight_decay}
    assert decays(["train.decay_norms=false"]) == {load(name, "paper").train.weight_decay, 0.0}


def test_an_average_follows_from_its_first_steps_on() -> None:
    network = nn.Linear(1, 1, bias=False)

    def averaged(config: TrainConfig) -> float:
        """The average of a weight that is 1 at the first step and 0 at the 569 after it."""
        average = weight_average(network, config)
        for step in range(1, 571):
            nn.init.constant_(network.weight, float(step == 1))
            average.update(network, step=step)
        return float(average.module.weight.detach())

    # in these lines: 1 - (1 + t) ** (-2/3), at most 0.999
    share = 1.0
    for t in range(1, 570):
        share *= min(0.999, 1 - (1 + t) ** (-2 / 3))
    assert averaged(replace(SHORT, ema=0.999)) == pytest.approx(share, rel=1e-3)
    assert share < 1e-6
    assert averaged(replace(SHORT, ema=0.999, ema_warmup=False)) == pytest.approx(0.999**569)
    assert 0.56 < 0.999**569 < 0.57  # of the first step's weights


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"warmup_epochs": 16}, r"train.warmup_epochs = 16 is longer than half the run \(30 ep"),
        ({"warmup_steps": 286}, r"train.warmup_steps = 286 .*30 (epochs )?of 19 steps.* to 285 or"),
        ({"schedule": "multistep", "milestones": (15, 30)}, r"\[15, 30\]: outside the run"),
        ({"schedule": "multistep", "milestones": (0.5, 1.2)}, r"\[0.5, 1.2\]: outside the run"),
        ({"schedule": "multistep", "milestones": (20, 0.5)}, "do not ascend"),
        ({"schedule": "multistep", "milestones": ()}, "name one"),
        ({"schedule": "step", "decay_every": 30}, "train.decay_every = 30: outside the run"),
    ],
)
def test_what_lies_outside_the_run_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        _rates(replace(SHORT, **settings))
    given = [f"train.{key}={str(value).replace('(', '[')}" for key, value in settings.items()]
    given = [setting.replace(")", "]").replace(",]", "]") for setting in given]
    if "warmup_steps" in settings:
        given.append("sampling.images=1216")  # 19 steps of 64
    given += ["train.epochs=30", "train.curriculum_epochs=25", "train.batch=64"]
    with pytest.raises(UserError, match=says.split(r" \(30")[0]):
        load("cifar10_lt", "paper", given)


def test_out_of_fold_models_too_short_for_the_warm_up_are_refused() -> None:
    rule = ["hard_rule.name=low_confidence", "hard_rule.fraction=0.1", "hard_rule.epochs=3"]
    with pytest.raises(UserError, match=r"half the run \(hard_rule.epochs = 3\)"):
        load("cifar10_lt", settings=rule)


def _identity(*settings: str) -> dict[str, Any]:
    length = ["train.epochs=30", "train.curriculum_epochs=25"]
    one = ["strategies=['static']", "seeds=[0]"]
    chosen = load("cifar10_lt", "paper", [*one, *length, *settings])
    (experiment,) = experiments(chosen)
    train: dict[str, Any] = experiment.identity()["train"]
    return train


def test_what_a_schedule_reads_is_in_the_identity_and_nothing_else_new() -> None:
    plain = _identity()
    assert plain.keys() == {
        "batch", "curriculum_epochs", "epochs", "evaluate_every", "hflip", "lr", "optimiser",
        "random_translate", "warmup_epochs", "weight_decay",
    }  # fmt: skip
    multistep = _identity("train.schedule='multistep'")
    assert multistep["milestones"] == [15, 22.5]
    assert multistep["decay_rate"] == 0.1
    assert multistep == _identity("train.schedule='multistep'", "train.milestones=[15, 0.75]")
    assert _identity("train.schedule='step'")["decay_every"] == 9
    assert _identity("train.schedule='poly'")["poly_power"] == 1
    assert _identity("train.ema=0.9")["ema_warmup"] is True


def test_an_average_without_warm_up_decays_alike_from_the_first_step() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = weight_average(network, replace(SHORT, ema=0.5, ema_warmup=False))
    values = [1.0, 0.0, 4.0]
    for step, value in enumerate(values, 1):
        torch.nn.init.constant_(network.weight, value)
        average.update(network, step=step)
    assert float(average.module.weight.detach()) == 0.5 * (0.5 * 1.0 + 0.5 * 0.0) + 0.5 * 4.0


def _stepped(precision: str, **arguments: Any) -> nn.Module:
    """A small network after three steps of Muon."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 4, 6))
    config = replace(
        CONFIG,
        epochs=1,
        lr=0.1,
        schedule="constant",
        optimiser="muon",
        optimiser_arguments=arguments,
        precision=precision,
    )
    optimiser, _ = optimiser_and_schedule(network, config, STEPS)
    images = torch.randn(5, 3, 4, 4)
    for _ in range(3):
        optimiser.zero_grad()
        network(images).square().mean().backward()
        optimiser.step()
    return network


def _distance(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def test_muon_computes_in_the_precision_of_training() -> None:
    exact, rounded = _stepped("float32"), _stepped("bfloat16")
    assert 0 < _distance(exact, rounded) < 0.02
    assert _distance(rounded, _stepped("bfloat16")) == 0  # what came before leaves no trace
    assert _distance(exact, _stepped("float32", ns_steps=3)) > 1e-3


def test_the_rest_of_a_network_has_a_rate_of_its_own() -> None:
    at_start = _stepped("float32", fallback_list=["2.*"], fallback_lr_scale=0.0)
    torch.manual_seed(0)
    drawn = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 4, 6))
    assert torch.equal(at_start[2].weight, drawn[2].weight)
    assert torch.equal(at_start[0].bias, drawn[0].bias)
    assert not torch.equal(at_start[0].weight, drawn[0].weight)


def test_an_argument_that_the_optimiser_does_not_take_is_a_sentence() -> None:
    config = replace(SHORT, optimiser_arguments={"ns_steps": 3})
    with pytest.raises(UserError, match=r"timm's 'sgd' does not take them.*optimiser_arguments = "):
        optimiser_and_schedule(nn.Linear(2, 2), config, STEPS)
