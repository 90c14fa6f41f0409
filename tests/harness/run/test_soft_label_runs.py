"""A benchmark with prompts of other classes, from its images to its results."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from discl.core.errors import UserError
from discl.engine.bank.exchange import export_bank, import_bank
from discl.harness.run.assembly import Bench
from discl.harness.worth.gap import GapMeasurement
from tests.starts import cold, made

DIFFMIX = (
    "prompts.name=diffmix",
    "prompts.targets=['apple', 'bicycle', 'castle']",
    "levels=[0,75,100]",
    "hard_rule.max_class_images=4",
)


def _quiet(*_: Any) -> None:
    return None


def test_images_are_labelled_and_scored_by_what_they_were_to_become(
    cifar100_photos: Path, tmp_path: Path
) -> None:
    bench = Bench(cold(cifar100_photos, *DIFFMIX))
    classes = bench.dataset.classes
    data = bench.setup([0, 75, 100], _quiet).data
    assert not list(bench.bank.verify(bench.image_rules()))
    records = list(bench.bank.records(75))
    asked = [bench.sources.target_of(record) for record in records]
    assert len(set(asked)) > 1
    assert {classes[label] for label in asked} <= {"apple", "bicycle", "castle"}
    for record, target in zip(records, asked, strict=True):
        assert record.prompt == record.caption == bench.dataset.prompts(target)[0]
        assert record.source == bench.sources.ids[bench.sources.position[record.source]]
        assert record.label == bench.sources.labels[bench.sources.position[record.source]]
        assert record.label != target
    assert data.soft_labels
    assert data.soft_labels.power == 0.5
    assert data.soft_labels.targets[75].tolist() == asked
    for source in {record.source for record in records}:  # one picture fading into another
        prompts = {
            record.prompt
            for level in (0, 75)
            for record in bench.bank.records(level)
            if record.source == source
        }
        assert len(prompts) == 1  # there is one variant
    with pytest.raises(UserError, match="edits photos towards other classes"):
        GapMeasurement(bench)

    shared = tmp_path / "shared"
    export_bank(bench.bank, classes, shared, "parquet", _quiet, bench.sources.target_of)
    (file,) = shared.rglob("*.parquet")
    table = pq.read_table(file)
    assert set(table["target_name"].to_pylist()) == {classes[label] for label in asked}
    assert set(table["class_name"].to_pylist()).isdisjoint(table["target_name"].to_pylist())
    taken = import_bank(bench.bank, shared, _quiet, bench.image_rules())
    assert (taken.existing, taken.rejected) == (len(table), [])


def test_a_run_learns_soft_labels_and_photos_have_none(cifar100_photos: Path) -> None:
    static, real = made(cold(cifar100_photos, *DIFFMIX, "strategies=['static', 'real_only']"))
    assert static.identity["images"]["prompts"]["name"] == "diffmix"
    (plain,) = made(cold(cifar100_photos, *DIFFMIX[2:], "strategies=['real_only']"))
    assert (real.id, real.metrics) == (plain.id, plain.metrics)


def test_prompts_that_ask_for_a_class_there_is_not_are_named(cifar100_photos: Path) -> None:
    bench = Bench(cold(cifar100_photos, *DIFFMIX))
    sources = bench.sources
    sources.prompts.target = lambda *_: 100  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="ask for class 100 by 'x', and there are 100, from 0 on"):
        sources.target(0, "x")
    sources.prompts.target = lambda *_: None  # type: ignore[attr-defined]
    assert sources.target(0, "x") == np.asarray(sources.labels)[0]
