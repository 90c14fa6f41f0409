"""What is in memory when training begins: the classifier's, and nothing of the images' makers."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakSet

import pytest
from torch import nn

from discl.config.load import load
from discl.core.progress import no_progress
from discl.harness.run.assembly import Bench

SETTINGS = (
    "dataset.largest=40",
    "dataset.ood_photos=10",
    "bank.variants=1",
    "levels=[50,100]",
    "generator.steps=2",
    "generator.chunk=4",
    "hard_rule.max_class_images=6",
    "train.batch=8",
)


def _networks() -> WeakSet[nn.Module]:
    """Networks with weights that anything refers to."""
    found = [each for each in gc.get_objects() if isinstance(each, nn.Module)]
    return WeakSet(each for each in found if next(each.parameters(), None) is not None)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("DISCL_HOME", str(tmp_path))
    bench = Bench(load("cifar10_lt", settings=SETTINGS))
    yield bench
    bench.close()


def test_nothing_refers_to_generator_and_scorer_when_training_begins(bench: Bench) -> None:
    gc.collect()  # what tests before this one left
    before = _networks()
    setup = bench.setup((50, 100), no_progress)
    assert setup.images_generated > 0
    made = bench.generator.counts["denoiser_calls"]  # type: ignore[attr-defined]
    assert made > 0
    assert not _networks() - before
    # and they are there again for more images
    bench.bank.drop([next(bench.bank.records()).cell])
    assert bench.setup((50, 100), no_progress).images_generated == 1
    assert bench.generator.counts["denoiser_calls"] > made  # type: ignore[attr-defined]
    assert not _networks() - before
