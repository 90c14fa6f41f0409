"""A run that is killed goes on from its last checkpoint, and its result says nothing of it."""

import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from discl.config.benchmark import Benchmark
from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import EpochReport
from discl.core.result import Result
from discl.harness.run.checkpointing import BestEpoch, Checkpointer
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep
from tests import processes

TINY = [
    "generator.name=blend",
    "bank.variants=1",
    "levels=[0,50,100]",
    "sampling.images=128",
    "train.epochs=4",
    "train.curriculum_epochs=3",
    "train.evaluate_every=1",
    "train.batch=32",
    "trackers=[]",
    "strategies=['adaptive']",
    "train.checkpoint_seconds=0",
]
LEARNERS = {
    "resnet": [
        "backbone.stem_stride=4",
        "backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8]}",
        "train.ema=0.8",
    ],
    "flyp": [
        "backbone.name=open_clip",
        "loss.name=flyp",
        "backbone.templates=['a {name}', 'one {name}']",
        "train.lr=1e-4",
        "select.wise_ft_alphas=[0.0, 0.5, 1.0]",
    ],
}


def _train(settings: list[str]) -> None:
    list(sweep(load("cifar100_lt", settings=settings), Store(), CompositeTracker.of([])))


def _result(spec: Benchmark) -> Result:
    (result,) = sweep(spec, Store(), CompositeTracker.of([]))
    return result


@pytest.mark.parametrize("learner", ["resnet", pytest.param("flyp", marks=pytest.mark.slow)])
def test_a_run_killed_at_a_random_step_ends_as_if_it_had_not_been(
    learner: str,
    tmp_path: Path,
    cifar100_photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    rng: np.random.Generator,
) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))
    settings = [*TINY, *LEARNERS[learner], f"dataset.root={cifar100_photos}"]
    spec = load("cifar100_lt", settings=settings)
    (experiment,) = experiments(spec)
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "uninterrupted"))
    uninterrupted = _result(spec)
    shutil.copytree(tmp_path / "uninterrupted" / "banks", tmp_path / "killed" / "banks")

    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "killed"))
    left = Store().checkpoints(experiment.id())
    at = int(rng.integers(1, 9))  # of 16 steps
    child = processes.begin(_train, settings, log=tmp_path / "log")
    while child.poll() is None and not any(
        int(path.name.partition(".")[0]) >= at for path in left.glob("[0-9]*.safetensors")
    ):
        time.sleep(0.005)
    child.kill()
    assert child.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert Store().find(experiment.id()) is None, (
        f"the run was over before it could be killed at step {at}"
    )
    again = _result(spec)
    assert again.attempt == 1
    assert not left.exists()
    events = (Store().folder(again) / "events.jsonl").read_text()
    # all epochs are recorded, though an earlier attempt trained some of them
    assert events.count('"epoch"') >= 4

    def answer(result: Result) -> Result:
        return replace(
            result,
            attempt=0,
            cost={**result.cost, "seconds": 0.0, "images_generated": 0.0},
            provenance={},
        )

    assert answer(again) == answer(uninterrupted), f"killed at step {at}"


def _report(epoch: int, **values: float) -> EpochReport:
    return EpochReport(epoch, {100: 1.0}, {100: 1}, 1, 0.1, 0.1, values)


@pytest.mark.parametrize(("lower_is_better", "chosen"), [(False, 1), (True, 3)])
def test_the_best_epoch_is_the_first_with_the_best_value_and_survives_a_checkpoint(
    lower_is_better: bool, chosen: int
) -> None:
    best = BestEpoch("val/acc", lower_is_better)
    for epoch, value in enumerate([0.2, 0.5, 0.5, 0.1, 0.1]):
        weights = {"w": torch.full((2,), float(epoch))}
        logits = np.full((2, 3), value, np.float32)
        best.consider(_report(epoch, **{"val/acc": value}), weights, logits)
        best.consider(_report(epoch), weights)  # an epoch that was not measured
        weights["w"].fill_(-1.0)  # training goes on in place
    restored = BestEpoch("val/acc", lower_is_better)
    restored.restore(best.state())
    assert restored == best
    assert best.val_logits is not None
    assert float(best.val_logits[0, 0]) == np.float32(best.value)
    assert (restored.epoch, restored.weights["w"].tolist()) == (chosen, [chosen, chosen])
    with pytest.raises(UserError, match="'val/acc' is not measured; choose one of val/macro_f1"):
        best.consider(_report(5, **{"val/macro_f1": 0.1}), {})


def test_a_checkpoint_is_written_when_it_is_due_and_keeps_the_time_spent(tmp_path: Path) -> None:
    state = {"step": 3}
    rare = Checkpointer(tmp_path / "rare", 3600.0, BestEpoch("val/acc"), time.monotonic())
    rare.on_step(lambda: state)
    assert rare.last() is None
    started = time.monotonic() - 50
    every = Checkpointer(tmp_path / "every", 0.0, BestEpoch("val/acc"), started)
    every.on_step(lambda: {"step": 2})
    every.on_step(lambda: state)
    resumed = Checkpointer(tmp_path / "every", 0.0, BestEpoch("val/acc"), time.monotonic())
    last = resumed.last()
    assert last is not None
    assert last["training"] == state
    resumed.restore(last)
    assert resumed.number == 2
    assert 50 <= resumed.spent_s < 80
    resumed.clear()
    assert resumed.last() is None
