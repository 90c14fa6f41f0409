"""Two processes train what one would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from discl.core.errors import UserError
from discl.engine.training.distributed import Share

WORDS = ["run", "cifar10_lt", "--strategies", "adaptive", "--seeds", "0", "--trackers", ""]
TINY = [
    "generator.name=blend",
    "dataset.largest=40",
    "dataset.smallest=4",
    "dataset.ood_photos=10",
    "bank.variants=1",
    "train.epochs=3",
    "levels=[0,50,100]",
    "train.curriculum_epochs=2",
    "train.evaluate_every=1",
    "train.batch=32",
    "backbone.stem_stride=4",
    "train.lr=1e-3",
    # BatchNorm would see half a batch on CPUs
    'backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8], stem_type="deep", stem_width=4, norm_layer="layernorm2d"}',
]


def _logits(folder: Path, *starter: str) -> tuple[dict[str, np.ndarray], str]:  # type: ignore[type-arg]
    settings = [word for setting in TINY for word in ("--set", setting)]
    done = subprocess.run(
        [sys.executable, *starter, "-m", "discl.cli", *WORDS, *settings],
        env={**os.environ, "DISCL_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("runs/*/*/predictions.npz")
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files if name.endswith("logits")}, done.stdout


def test_two_processes_under_torchrun_train_what_one_does(tmp_path: Path) -> None:
    alone, _ = _logits(tmp_path / "one")
    both, said = _logits(
        tmp_path / "two", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"
    )
    assert json.loads(said)["metrics"]  # one of them speaks, once
    for name, logits in alone.items():
        assert np.allclose(logits, both[name], atol=2e-3), name


def test_every_row_is_somebodys_once() -> None:
    for count in (0, 1, 7, 8):
        rows = [np.arange(count)[Share(rank, 3).rows(count)] for rank in range(3)]
        assert np.concatenate(rows).tolist() == list(range(count))
    assert [Share(rank, 2).of(8) for rank in range(2)] == [slice(0, 4), slice(4, 8)]
    with pytest.raises(UserError, match="multiple of 3"):
        Share(0, 3).of(8)
