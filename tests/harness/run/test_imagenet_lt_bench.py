"""A dataset of files through the whole path: lists, decoded photos, bank, training, predictions,
metrics.
"""

from pathlib import Path

import numpy as np
import pytest

from discl.config.load import load
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep
from tests.make_mini import make
from tests.mini.imagenet_lt import SYNSETS, TEST

TINY = [
    "bank.variants=1",
    "hard_rule.max_class_images=3",
    "sampling.images=64",
    "sampling.tail_share=0.75",
    "train.epochs=2",
    "train.curriculum_epochs=1",
    "train.evaluate_every=1",
    "levels=[10,100]",
    "trackers=[]",
    "strategies=['static','real_only']",
    "generator.steps=6",
    "backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8], stem_type='deep', stem_width=8}",
]


def test_imagenet_lt_in_miniature_gives_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make("imagenet_lt", tmp_path / "mini", images=130)
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))
    spec = load("imagenet_lt", settings=[*TINY, f"dataset.root={root}"])
    static, real = list(sweep(spec, Store(), CompositeTracker.of([])))
    assert static.seen.keys() == {10, 100}
    assert real.cost["images_generated"] == 0 < static.cost["images_generated"]
    assert len(static.classes) == len(static.counts) == 1000
    assert sum(np.array(static.counts) > 0) == len(SYNSETS)
    saved = Store().predictions(Store().folder(static))
    assert saved["test/logits"].shape == (len(SYNSETS) * TEST, 1000)
    assert 0 <= static.metrics["test/macro_acc"] <= 1
    # images are made from the originals at the generator's size, whatever training sees
    larger = load("imagenet_lt", settings=[*TINY, f"dataset.root={root}", "dataset.side=40"])
    assert Bench(larger).bank_id == Bench(spec).bank_id
    sized = [
        load(
            "imagenet_lt",
            settings=[*TINY, f"dataset.root={root}", "bank.size=[24,40]", f"dataset.side={side}"],
        )
        for side in (32, 40)
    ]
    assert Bench(sized[0]).bank_id == Bench(sized[1]).bank_id != Bench(spec).bank_id
