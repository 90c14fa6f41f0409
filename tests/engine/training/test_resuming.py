"""A run that is stopped goes on exactly: to the last bit, wherever it was stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from discl.core.interfaces import EpochReport
from discl.core.registry import bind
from discl.engine.training import distributed
from discl.engine.training.config import TrainConfig
from discl.engine.training.distributed import Share
from discl.engine.training.loop import Fit
from discl.engine.training.state import flatten, unflatten
from discl.files import checkpoints
from tests.engine.training.test_loop import CONFIG, NORMALISER, TARGETS, TRAINING_DATA

PLAIN = replace(CONFIG, epochs=4, curriculum_epochs=3)
RICH = replace(
    PLAIN,
    ema=0.9,
    mixup=0.4,
    cutmix=0.4,
    grad_clip=1.0,
    warmup_steps=3,
    accumulate=2,
    optimiser="sgd",
)
FAST = replace(
    PLAIN,
    random_resized_crop=(0.35, 1.0),
    color_jitter=0.4,
    side=4,
    mixup=0.2,
    optimiser="nmuon",
    optimiser_arguments={"ns_steps": 3, "fallback_list": ["6.*"], "fallback_lr_scale": 0.2},
    precision="bfloat16",
    eval_precision="bfloat16",
    schedule="poly",
)
CUT = replace(PLAIN, crop=6, transform={"scale": [0.5, 1.0], "auto_augment": "rand-m5"})


def _fit(strategy: str, config: TrainConfig, keep: Any = None) -> Fit:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(8, 3),
    )
    parts = bind("strategies", strategy, {}).build(), bind("losses", "ce", {}).build()
    preprocess = replace(NORMALISER, crop=config.crop, side=config.side)
    return Fit(
        network, *parts, TRAINING_DATA, config, TARGETS, preprocess, 0, torch.device("cpu"), keep
    )


def _end(fit: Fit) -> tuple[list[EpochReport], dict[str, Any]]:
    list(fit)
    return [replace(report, seconds=0.0) for report in fit.history], fit.eval_network.state_dict()


@pytest.mark.parametrize(
    ("strategy", "config"),
    [("adaptive", PLAIN), ("adaptive", FAST), ("random", RICH), ("static", CUT)],
)
def test_a_run_goes_on_from_any_step_to_the_same_end(
    strategy: str, config: TrainConfig, tmp_path: Path
) -> None:
    stops: list[tuple[Any, Any]] = []
    history, weights = _end(_fit(strategy, config, lambda state: stops.append(flatten(state()))))
    assert (
        len(stops) > config.epochs * 4 - 4
    )  # after every step but those of bursts, and after every epoch
    for number in np.random.default_rng(5).permutation(len(stops))[:5]:
        checkpoints.save(tmp_path, int(number), *stops[number])
        stored = checkpoints.newest(tmp_path)
        assert stored
        torch.rand(7)  # what else draws from the global generator must not matter
        again = _fit(strategy, config)
        again.restore(unflatten(*stored))
        history_again, weights_again = _end(again)
        assert history_again == history
        assert all(torch.equal(weights[key], weights_again[key]) for key in weights)
        checkpoints.clear(tmp_path)


def test_reading_processes_change_no_bit() -> None:
    _, alone = _end(_fit("static", CUT))
    _, helped = _end(_fit("static", replace(CUT, workers=1)))
    assert all(torch.equal(alone[key], helped[key]) for key in alone)


def test_training_leaves_the_global_chance_alone() -> None:
    torch.manual_seed(9)
    expected = torch.rand(1)
    fit = _fit("static", PLAIN)
    torch.manual_seed(9)
    list(fit)
    assert torch.equal(torch.rand(1), expected)


def test_a_damaged_checkpoint_is_passed_over_and_old_ones_go(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        checkpoints.save(
            tmp_path, number, *flatten({"number": number, "weights": torch.full((3,), number)})
        )
    assert len(list(tmp_path.iterdir())) == checkpoints.KEPT
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-5])
    found = checkpoints.newest(tmp_path)
    assert found
    assert unflatten(*found)["number"] == 2


def test_a_state_comes_back_as_it_was() -> None:
    state = {"a": [1, (2.5, None)], 3: {"weights": torch.arange(3), "name": "x"}, "flag": True}
    back = unflatten(*flatten(state))
    assert torch.equal(back[3].pop("weights"), state[3].pop("weights"))  # type: ignore[attr-defined, index]
    assert back == state
    with pytest.raises(TypeError, match="state.a is a set"):
        flatten({"a": {1}})


def test_a_checkpoint_of_another_format_is_passed_over_and_left(tmp_path: Path) -> None:
    other = checkpoints.save(tmp_path, 40, *flatten({"number": 40}))
    other = other.rename(tmp_path / f"{40:09d}.safetensors")  # as version 0.1 named them
    assert checkpoints.newest(tmp_path) is None
    for number in (1, 2, 3):
        checkpoints.save(tmp_path, number, *flatten({"number": number}))
    newest = checkpoints.newest(tmp_path)
    assert newest
    assert unflatten(*newest)["number"] == 3
    assert other.exists()


class Drawing(nn.Module):
    """Draws a number in each step of training."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(192, 3)
        self.drawn = list[float]()

    def forward(self, images: torch.Tensor) -> Any:
        if self.training:
            self.drawn.append(float(torch.rand(())))
        return self.linear(images.flatten(1))


def _drawn(rank: int, monkeypatch: pytest.MonkeyPatch, state: Any = None) -> tuple[Any, Any]:
    """What a rank of two draws in an epoch, and its states."""
    monkeypatch.setattr(distributed, "share", lambda: Share(rank, 2))
    monkeypatch.setattr(distributed, "parallel", lambda network, _: network)
    parts = bind("strategies", "static", {}).build(), bind("losses", "ce", {}).build()
    states: list[Any] = []
    network, device = Drawing(), torch.device("cpu")
    config = replace(PLAIN, evaluate_every=4)
    fit = Fit(
        network,
        *parts,
        TRAINING_DATA,
        config,
        TARGETS,
        NORMALISER,
        0,
        device,
        lambda now: states.append(flatten(now())),
    )
    if state:
        fit.restore(unflatten(*state))
    next(iter(fit))
    return network.drawn, states


def test_each_process_draws_its_own_and_goes_on_by_the_checkpoint_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, states = _drawn(0, monkeypatch)
    second, _ = _drawn(1, monkeypatch)
    assert len(set(first + second)) == 2 * len(first) == 8
    again, _ = _drawn(1, monkeypatch, states[1])  # the first process's, after two steps
    assert again == second[2:]
