"""How fast this machine is found to work: in seconds, whatever is to be done."""

from __future__ import annotations

import importlib
import math
import sys
import time
from pathlib import Path

import pytest

from discl.config.experiment import experiments
from discl.core.progress import no_progress
from discl.files.disk import home
from discl.harness.price.here import flops_of_images
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store
from discl.harness.sweep.cost import estimate_cost
from discl.harness.sweep.paces import Patience
from discl.harness.sweep.throughput import (
    image_speed,
    seconds_per_denoising_step,
    training_speed,
)
from tests.faults import damage
from tests.faults.bench import spec_of
from tests.make_mini import make
from tests.shared import made_once

PATIENT = Patience(3600)  # a busy machine takes long to import
DIFFUSION = "generator.name=img2img"
LARGE = ("sampling.images=100000000", "bank.variants=100000", "train.epochs=100000")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "sixty", lambda folder: make("folder", folder, images=60))


def test_a_comparison_of_any_size_is_priced_from_a_small_sample(photos: Path) -> None:
    spec = spec_of(photos, *LARGE, "train.batch=100000")
    started = time.process_time()
    # a busy machine takes long for its imports, and for all else
    cost = estimate_cost(experiments(spec), Store(), no_progress, seconds=200)
    assert time.process_time() - started < 15
    assert cost.trained_images == 100_000 * 100_000_000
    assert cost.minutes > 1e4


def test_a_sample_that_takes_too_long_is_no_estimate(photos: Path) -> None:
    bench = Bench(spec_of(photos))
    assert not Patience(0).asked  # only what was measured before
    assert math.isnan(training_speed(bench, patience=Patience(0)).step_seconds)
    assert math.isnan(seconds_per_denoising_step(bench, patience=Patience(0)))
    assert not (home() / "paces.json").exists()


def test_what_is_imported_in_a_sample_is_imported_whole(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slowly_imported.py").write_text("import time; time.sleep(0.2); whole = True")
    monkeypatch.syspath_prepend(tmp_path)

    def sample(_: Bench) -> None:
        importlib.import_module("slowly_imported")
        time.sleep(60)

    monkeypatch.setattr("discl.harness.sweep.throughput.flops_of_training", lambda _: None)
    monkeypatch.setattr("discl.harness.sweep.throughput.TrainingSample", sample)
    importlib.import_module("torch")
    speed = training_speed(Bench(spec_of(photos)), patience=Patience(0.05))
    assert math.isnan(speed.step_seconds)
    assert sys.modules.pop("slowly_imported").whole


def test_what_a_busy_machine_gives_is_not_kept(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(spec_of(photos))
    monkeypatch.setattr("os.getloadavg", lambda: (1000.0, 0.0, 0.0))
    assert seconds_per_denoising_step(bench, 1, PATIENT) > 0
    assert not (home() / "paces.json").exists()
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 1000.0, 1000.0))
    kept = seconds_per_denoising_step(bench, 1, PATIENT)
    assert seconds_per_denoising_step(bench, 1, PATIENT) == kept


@pytest.mark.parametrize("kind", damage.KINDS)
def test_damaged_paces_are_measured_again(
    kind: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    bench = Bench(spec_of(photos))
    first = seconds_per_denoising_step(bench, 1, PATIENT)
    assert seconds_per_denoising_step(bench, 1, PATIENT) == first  # as stored
    before = (home() / "paces.json").read_bytes()
    damage.KINDS[kind](home() / "paces.json")
    assert 0 < seconds_per_denoising_step(bench, 1, PATIENT) < 60
    assert len((home() / "paces.json").read_bytes()) > len(before) / 2


def test_what_would_take_too_long_by_its_flops_is_not_begun_but_priced_by_them(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discl.harness.price.here.SMALL_BYTES", 0)
    monkeypatch.setattr("discl.harness.sweep.throughput.flops_per_second", lambda: 1e3)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    bench = Bench(spec_of(photos, DIFFUSION))
    monkeypatch.setattr(bench.generator, "make", lambda *_: pytest.fail("an image was made"))
    monkeypatch.setattr(
        "discl.harness.sweep.throughput.TrainingSample", lambda _: pytest.fail("it was trained")
    )
    images, training = image_speed(bench, patience=PATIENT), training_speed(bench, patience=PATIENT)
    assert (images.by_flops, training.by_flops) == (1, 1)
    assert images.step_seconds > 1e5
    assert training.step_seconds > training.prediction_seconds > 0
    assert not (home() / "paces.json").exists()


def test_what_a_busy_machine_does_not_do_in_time_is_priced_by_its_flops(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(spec_of(photos, DIFFUSION))
    monkeypatch.setattr(bench.generator, "make", lambda *_: time.sleep(60))
    monkeypatch.setattr("discl.harness.sweep.throughput.TrainingSample", lambda _: time.sleep(60))
    monkeypatch.setattr("discl.harness.sweep.throughput.flops_per_second", lambda: 2e9)
    late = Patience(0.3)
    training, images = training_speed(bench, patience=late), image_speed(bench, patience=late)
    assert (images.by_flops, training.by_flops) == (1, 1)
    assert training.step_seconds > training.prediction_seconds > 0
    counted = flops_of_images(bench, least_bytes=0)
    assert counted
    # of the checkpoint that comes along it is known without diffusers
    assert images.step_seconds == pytest.approx(counted.step / 1e9, rel=0.05)
    assert not (home() / "paces.json").exists()


def test_no_generator_is_imported_where_torch_took_most_of_the_time(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(spec_of(photos, DIFFUSION))
    monkeypatch.setattr(bench.generator, "make", lambda *_: pytest.fail("an image was made"))
    monkeypatch.delitem(sys.modules, "diffusers", raising=False)
    late = Patience(20)
    late.importing = 10.0
    assert image_speed(bench, patience=late).by_flops == 1


def test_a_sample_is_a_whole_group_of_the_generator(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(spec_of(photos, DIFFUSION, "generator.chunk=6"))
    made, make = [], bench.generator.make
    monkeypatch.setattr(
        bench.generator, "make", lambda wanted, of: made.append(len(wanted)) or make(wanted, of)
    )
    assert image_speed(bench, patience=PATIENT).step_seconds > 0
    assert set(made) == {6}


def test_a_pace_is_that_of_a_group_a_device_and_a_gpu(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    none, small = Patience(0), (DIFFUSION, "generator.chunk=2")
    known = seconds_per_denoising_step(Bench(spec_of(photos, *small)), patience=PATIENT)
    assert seconds_per_denoising_step(Bench(spec_of(photos, *small)), patience=none) == known
    for other in ("generator.chunk=7", "generator.device=cpu", "generator.compile=true"):
        assert math.isnan(
            seconds_per_denoising_step(Bench(spec_of(photos, *small, other)), patience=none)
        )
    monkeypatch.setattr("discl.harness.sweep.paces.gpu_names", lambda: ["NVIDIA H200"])
    assert math.isnan(seconds_per_denoising_step(Bench(spec_of(photos, *small)), patience=none))
