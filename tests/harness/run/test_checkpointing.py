"""A run that is killed goes on from its last checkpoint, and its result says nothing of it."""

import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from discl.config.benchmark import Benchmark
from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.result import Result
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


@pytest.mark.parametrize("learner", sorted(LEARNERS))
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
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "whole"))
    whole = _result(spec)

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
    assert (
        events.count('"epoch"') >= 4
    )  # the record is whole, though an earlier attempt did a part of it

    def told(result: Result) -> Result:
        return replace(
            result,
            attempt=0,
            cost={**result.cost, "seconds": 0.0, "images_generated": 0.0},
            provenance={},
        )

    assert told(again) == told(whole), f"killed at step {at}"
