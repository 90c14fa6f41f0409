"""A run that is killed goes on from its last checkpoint, and its result says nothing of it."""

import os
import signal
import subprocess
import sys
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
from tests.make_mini import make

TINY = [
    "generator.name=blend",
    "bank.variants=1",
    "levels=[0,50,100]",
    "sampling.images=128",
    "train.epochs=6",
    "train.curriculum_epochs=4",
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
CHILD = """
import sys
from discl.config.load import load
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep
list(sweep(load("cifar100_lt", settings=sys.argv[1:]), Store(), CompositeTracker.of([])))
"""


def _result(spec: Benchmark) -> Result:
    (result,) = sweep(spec, Store(), CompositeTracker.of([]))
    return result


@pytest.mark.parametrize("learner", sorted(LEARNERS))
def test_a_run_killed_at_a_random_step_ends_as_if_it_had_not_been(
    learner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    root = make(
        "cifar100_lt", tmp_path / "mini", images=600
    )  # CLIP would look at the 10,000 test photos of cifar10_lt for minutes
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))
    settings = [*TINY, *LEARNERS[learner], f"dataset.root={root}"]
    spec = load("cifar100_lt", settings=settings)
    (experiment,) = experiments(spec)
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "whole"))
    whole = _result(spec)

    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "killed"))
    left = Store().checkpoints(experiment.id())
    at = int(rng.integers(1, 12))
    child = subprocess.Popen([sys.executable, "-c", CHILD, *settings], env=os.environ)
    while child.poll() is None and not any(
        int(path.stem) >= at for path in left.glob("[0-9]*.safetensors")
    ):
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert Store().find(experiment.id()) is None, (
        f"the run was over before it could be killed at step {at}"
    )
    again = _result(spec)
    assert again.attempt == 1
    assert not left.exists()
    events = (Store().folder(again) / "events.jsonl").read_text()
    assert (
        events.count('"epoch"') >= 6
    )  # the record is whole, though an earlier attempt did a part of it

    def told(result: Result) -> Result:
        return replace(
            result,
            attempt=0,
            cost={**result.cost, "seconds": 0.0, "images_generated": 0.0},
            provenance={},
        )

    assert told(again) == told(whole), f"killed at step {at}"
