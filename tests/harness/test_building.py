"""One bank, built in different ways: whoever makes the images, and in what order, the bytes are the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.engine.leases import Wanted
from discl.harness.experiment import Bench
from discl.spec.benchmark import load
from discl.spec.registry import bind

TINY = ("dataset.largest=40", "dataset.ood_photos=10", "bank.variants=1", "bank.batch=16", "levels=[50,70,100]")
BLEND = (*TINY, "generator.name=blend")
DIFFUSION = (*TINY, "generator.steps=4", "generator.chunk=4", "hard.below=7")


def _digest(home: Path, settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, engine: str = "local", **parameters: Any) -> str:
    monkeypatch.setenv("DISCL_HOME", str(home))
    bench = Bench(load("cifar10_lt", settings=settings))
    executor = bind("executors", engine, parameters).build()
    made = bench.fill(bench.spec.levels, lambda *_: None, executor)
    assert made.images == len(bench.wanted(bench.spec.levels)) > 0
    return bench.bank.digest()


@pytest.mark.parametrize(("settings", "workers"), [(BLEND, 4), (DIFFUSION, 2)], ids=["blend", "diffusion"])
def test_any_number_of_workers_makes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...], workers: int
) -> None:
    alone = _digest(tmp_path / "one", settings, monkeypatch)
    assert _digest(tmp_path / "many", settings, monkeypatch, workers=workers) == alone


def test_ray_makes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="ray has no wheel for this Python")
    alone = _digest(tmp_path / "one", BLEND, monkeypatch)
    assert _digest(tmp_path / "ray", BLEND, monkeypatch, engine="ray", workers=2) == alone


def test_the_order_of_the_photos_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = _digest(tmp_path / "one", DIFFUSION, monkeypatch)
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "shuffled"))
    bench = Bench(load("cifar10_lt", settings=DIFFUSION))
    whole = bench.wanted(bench.spec.levels)
    local = bind("executors", "local", {}).build()
    for start in np.random.default_rng(0).permutation(len(whole.sources)):
        for level in reversed(whole.levels):
            one = Wanted((whole.sources[start],), (level,), whole.variants)
            bench.bank.build(one, bench.generator.steps, local, bench.workshop, 3, lambda *_: None)
    assert bench.bank.digest() == alone
