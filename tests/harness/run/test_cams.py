"""The benchmark of virtual camera traps, small, from hard photos to the board."""

from pathlib import Path

import numpy as np
import pytest

from discl.config.load import load
from discl.harness.leaderboard.publish import publish
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep

TINY = [
    "generator.name=blend",
    "generator.noise=5.0",
    "dataset.largest=40",
    "dataset.smallest=8",
    "dataset.test_photos=100",
    "hard_rule.epochs=1",
    "hard_rule.folds=2",
    "hard_rule.fraction=0.2",
    "bank.variants=1",
    "train.epochs=2",
    "train.curriculum_epochs=1",
    "train.warmup_epochs=0",
    "train.evaluate_every=2",
    "train.batch=32",
    "backbone.stem_stride=4",
    "backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8]}",
    "strategies=['adaptive','real_rebalanced']",
    "trackers=[]",
    "metrics.min_group_size=5",
]


def test_hard_photos_of_any_class_are_learnt_from_and_cameras_scored_apart(tmp_path: Path) -> None:
    spec = load("cifar10_cams", settings=TINY)
    store = Store()
    adaptive, rebalanced = sweep(spec, store, CompositeTracker.of([]))
    bench = Bench(spec)
    # a fifth of the photos is hard, and every hard one comes with three synthetic images
    hard, photos = int(bench.sampler_view.hard.sum()), len(bench.train)
    assert hard == round(0.2 * photos)
    assert len(np.unique(bench.train.labels[bench.sampler_view.hard])) > 1
    shares = bench.targets.tail_share
    assert isinstance(shares, dict)
    assert sum(shares.values()) == pytest.approx(4 * hard / (4 * hard + photos - hard))
    for result in (adaptive, rebalanced):
        assert {
            "id_test/macro_f1",
            "ood/cameras/macro_f1",
            "id_test/worst_group_acc",
            "ood/cameras/worst_group_acc",
        } <= set(result.metrics)
        assert not any(key.startswith("test/") for key in result.metrics)
    assert adaptive.cost["steps"] == rebalanced.cost["steps"]
    assert set(rebalanced.seen) == {100}
    publish(spec, store, tmp_path)
    assert "id_test" in (tmp_path / "cifar10_cams.md").read_text("utf-8")
