"""One bank, built in different ways: whoever makes the images, and in what order, the bytes are the
same.
"""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.config.load import load
from discl.core.registry import bind
from discl.engine.bank.leases import CellGrid
from discl.harness.run.assembly import Bench
from discl.testing import pipeline_checkpoints
from tests import processes

TINY = (
    "dataset.largest=40",
    "dataset.ood_photos=10",
    "bank.variants=1",
    "levels=[50,70,100]",
)
BLEND = (*TINY, "bank.batch=16", "generator.name=blend")
DIFFUSION = (
    *TINY,
    "generator.steps=4",
    "generator.chunk=4",
    "hard_rule.max_class_images=6",
    "bank.batch=2",
)


def _digest(
    home: Path,
    settings: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    engine: str = "local",
    **parameters: Any,
) -> str:
    monkeypatch.setenv("DISCL_HOME", str(home))
    bench = Bench(load("cifar10_lt", settings=settings))
    executor = bind("executors", engine, parameters).build()
    made = bench.fill(bench.spec.levels, lambda *_: None, executor)
    assert made.images == len(bench.wanted(bench.spec.levels)) > 0
    return bench.bank.digest()


@pytest.fixture(scope="module")
def diffused_alone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the bank that one process makes, photo by photo."""
    with pytest.MonkeyPatch.context() as patched:
        return _digest(tmp_path_factory.mktemp("alone"), DIFFUSION, patched)


def test_several_workers_make_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diffused_alone: str
) -> None:
    build = processes.begin(
        _build_by_two, log=tmp_path / "log", environment={"DISCL_HOME": str(tmp_path)}
    )
    assert build.wait(240) == 0, (tmp_path / "log").read_text()
    monkeypatch.setenv("DISCL_HOME", str(tmp_path))
    assert Bench(load("cifar10_lt", settings=DIFFUSION)).bank.digest() == diffused_alone


def _build_by_two() -> None:
    # once, for both workers: they are forked
    from diffusers import StableDiffusionImg2ImgPipeline  # noqa: F401

    bench = Bench(load("cifar10_lt", settings=DIFFUSION))
    bench.fill(
        bench.spec.levels, lambda *_: None, bind("executors", "local", {"workers": 2}).build()
    )


def test_the_leases_in_work_are_a_batch_together_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCL_HOME", str(tmp_path))
    bench = Bench(load("cifar10_lt", settings=BLEND))
    make, in_work = bench.generator.make, list[int]()

    def counted(*arguments: Any) -> Any:
        ((leased,),) = bench.bank.catalogue.fetch("SELECT COUNT(*) FROM leases")
        in_work.append(leased)
        return make(*arguments)

    monkeypatch.setattr(bench.generator, "make", counted)
    bench.fill(bench.spec.levels, lambda *_: None)
    assert bench.spec.bank.batch // 2 < max(in_work) <= bench.spec.bank.batch
    bench.close()


@pytest.mark.slow  # the contract of executors runs on Ray, and local workers make these bytes
def test_ray_makes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="ray has no wheel for this Python")
    alone = _digest(tmp_path / "one", BLEND, monkeypatch)
    assert _digest(tmp_path / "ray", BLEND, monkeypatch, engine="ray", workers=2, cpus=0.5) == alone


def test_the_order_of_the_photos_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diffused_alone: str
) -> None:
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "shuffled"))
    bench = Bench(load("cifar10_lt", settings=DIFFUSION))
    whole = bench.wanted(bench.spec.levels)
    local = bind("executors", "local", {}).build()
    for start in np.random.default_rng(0).permutation(len(whole.sources)):
        for level in reversed(whole.levels):
            one = CellGrid((whole.sources[start],), (level,), whole.variants)
            bench.bank.build(
                one, bench.generator.steps, local, bench.image_maker, 3, lambda *_: None
            )
    assert bench.bank.digest() == diffused_alone


@pytest.mark.slow(reason="four processes that load diffusers, one of which is killed")
@pytest.mark.parametrize("generator", ["img2img", "pipeline"])
def test_a_bank_of_flow_matching_is_the_same_by_two_workers_and_after_a_kill(
    generator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pipeline_checkpoints.write("flux_dev", tmp_path / "checkpoint")
    flow = (*DIFFUSION, f"generator.name={generator}", f"generator.checkpoint={folder}")
    alone = _digest(tmp_path / "alone", flow, monkeypatch)
    assert _by_process(tmp_path / "two", _build, flow, 2) == 0
    assert _by_process(tmp_path / "killed", _build_until_killed, flow) == -signal.SIGKILL
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "killed"))
    bench = Bench(load("cifar10_lt", settings=flow))
    wanted = len(bench.wanted(bench.spec.levels))
    left = bench.fill(bench.spec.levels, lambda *_: None).images
    assert 0 < left < wanted
    assert bench.bank.digest() == alone
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "two"))
    assert Bench(load("cifar10_lt", settings=flow)).bank.digest() == alone


def _by_process(home: Path, call: Any, *arguments: Any) -> int:
    home.mkdir()
    log = home / "log"
    return processes.begin(call, *arguments, log=log, environment={"DISCL_HOME": str(home)}).wait(
        240
    )


def _build(settings: tuple[str, ...], workers: int) -> None:
    bench = Bench(load("cifar10_lt", settings=settings))
    executor = bind("executors", "local", {"workers": workers}).build()
    bench.fill(bench.spec.levels, lambda *_: None, executor)


def _build_until_killed(settings: tuple[str, ...]) -> None:
    bench = Bench(load("cifar10_lt", settings=settings))
    make, calls = bench.generator.make, list[int]()

    def at_most_two(*arguments: Any) -> Any:
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(1)
        return make(*arguments)

    bench.generator.make = at_most_two  # type: ignore[method-assign]
    bench.fill(bench.spec.levels, lambda *_: None)
