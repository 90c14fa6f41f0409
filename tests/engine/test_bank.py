import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.engine.bank import Bank, Cell, Sources
from discl.spec.errors import UserError
from discl.spec.kinds import Request, Scores
from discl.spec.registry import bind

PROCESS = {"dataset": "toy", "generator": "blend"}


class CountingGenerator:
    """The blend, which also says what it was asked for."""

    version = 1
    steps = 20

    def __init__(self) -> None:
        self.inner, self.asked = bind("generators", "blend", {}).build(), list[Request]()

    def identity(self) -> dict[str, Any]:
        return {}

    def make(self, requests: Sequence[Request], photos: Any) -> Any:
        self.asked.extend(requests)
        return self.inner.make(requests, photos)


class BrightnessScorer:
    version = 1

    def identity(self) -> dict[str, Any]:
        return {}

    def score(self, images: Any, photos: Any, texts: Sequence[str]) -> Scores:
        return Scores(images.mean((1, 2, 3)).astype(np.float32) / 255, np.ones(len(images), np.float32))


def _sources(count: int = 5) -> Sources:
    photos = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return Sources(tuple(f"photo{i}" for i in range(count)), np.arange(count) % 2, photos, (("a cat", "one cat"), ("a dog",)))


def _cells(levels: Sequence[int] = (0, 50), variants: int = 3, count: int = 5) -> list[Cell]:
    return [Cell(f"photo{i}", level, v) for level in levels for i in range(count) for v in range(variants)]


def _fill(bank: Bank, cells: list[Cell], batch: int = 4, generator: Any = None) -> CountingGenerator:
    generator = generator or CountingGenerator()
    bank.ensure(cells, _sources(), generator, BrightnessScorer(), batch, lambda *_: None)
    return generator


def test_a_full_bank_makes_nothing(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    assert len(_fill(bank, _cells()).asked) == 30
    assert _fill(Bank(tmp_path, PROCESS), _cells()).asked == []


def test_a_new_level_makes_only_its_own_cells(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    _fill(bank, _cells((0, 50)))
    assert {request.level for request in _fill(bank, _cells((0, 30, 50))).asked} == {30}
    assert len(_fill(bank, _cells((0, 30, 50), variants=4)).asked) == 15


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batch_size_and_order_change_no_byte(tmp_path: Path, batch: int) -> None:
    bank, other = Bank(tmp_path / "a", PROCESS), Bank(tmp_path / "b", PROCESS)
    _fill(bank, _cells())
    for level in (50, 0):
        _fill(other, _cells((level,)), batch)
    assert bank.digest() == other.digest()


def test_levels_of_a_photo_share_noise_and_photos_never_do(tmp_path: Path) -> None:
    asked = _fill(Bank(tmp_path, PROCESS), _cells()).asked
    seeds = {level: {request.seed for request in asked if request.level == level} for level in (0, 50)}
    assert seeds[0] == seeds[50]
    assert len(seeds[0]) == 15  # photos x variants


def test_a_threshold_is_a_view(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    _fill(bank, _cells())
    scores, _, _ = bank.scores(50)
    middle = round(float(np.median(scores)), 6)
    view = bank.view(50, 3, _sources(), middle)
    assert len(view.place) == 8  # of 15: the median and what is above it
    assert np.all(scores[view.place] >= np.float32(middle))
    assert len(bank.view(50, 3, _sources(), None).place) == 15
    assert len(bank.view(50, 2, _sources(), None).place) == 10


def test_pixels_are_what_was_made(tmp_path: Path) -> None:
    bank, sources = Bank(tmp_path, PROCESS), _sources()
    _fill(bank, _cells())
    cell = Cell("photo3", 50, 2)
    request = bank.request(cell, sources.prompts[int(sources.labels[3])])
    made = bind("generators", "blend", {}).build().make([request], sources.photos[3:4])[0]
    view = bank.view(50, 3, sources, None)
    place = view.place[(view.source == 3) & (view.variant == 2)][0]
    assert np.array_equal(bank.pixels(50)[place], made)
    assert np.array_equal(bank.image(cell)[0], made)


def test_verify_names_what_is_damaged_and_a_build_repairs_just_that(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    _fill(bank, _cells())
    before = bank.digest()
    assert list(bank.verify()) == []
    shard = sorted((bank.folder / "shards").iterdir())[0]
    data = bytearray(shard.read_bytes())
    data[5] ^= 255
    shard.write_bytes(data)
    damaged = list(bank.verify())
    assert len(damaged) == 1
    bank.forget(damaged)
    assert len(_fill(bank, _cells()).asked) == 1
    assert bank.digest() == before
    assert list(bank.verify()) == []


def test_a_folder_made_by_another_process_is_refused(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    (bank.folder / "bank.json").write_text(json.dumps({"schema": 1, "dataset": "other", "generator": "blend"}))
    with pytest.raises(UserError, match="made from another dataset"):
        Bank(tmp_path, PROCESS)


def test_a_damaged_catalogue_is_named(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    bank.close()
    (bank.folder / "catalogue.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match="damaged"):
        Bank(tmp_path, PROCESS)


def test_a_read_only_place_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "banks").write_text("a file where a folder is needed")
    with pytest.raises(UserError, match="DISCL_HOME"):
        Bank(tmp_path / "banks", PROCESS)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_diffusion_generator_gives_the_same_bytes_at_any_batch_size(tmp_path: Path, batch: int) -> None:
    generator, size = bind("generators", "img2img", {"steps": 4}).build(), 32
    sources = Sources(
        ("a", "b"),
        np.zeros(2, np.int64),
        np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8),
        (("a photo of a cat",),),
    )
    cells = [Cell(name, level, v) for name in sources.ids for level in (0, 50) for v in range(4)]
    digests = []
    for place, size in (("one", 16), ("other", batch)):
        bank = Bank(tmp_path / place, PROCESS)
        bank.ensure(cells, sources, generator, None, size, lambda *_: None)
        digests.append(bank.digest())
    assert digests[0] == digests[1]


BUILD = [
    sys.executable, "-m", "discl.cli", "bank", "build", "cifar10_lt", "--set", "generator.name=blend", "--set", "bank.batch=8",
    "--set", "dataset.largest=40", "--set", "dataset.ood_photos=10", "--set", "bank.variants=4",
]  # fmt: skip


@pytest.mark.slow
def test_a_build_killed_at_five_random_points_gives_the_same_digest(tmp_path: Path) -> None:
    def environment(home: str) -> dict[str, str]:
        return {**os.environ, "DISCL_HOME": str(tmp_path / home)}

    def digest(home: str) -> str:
        command = [word if word != "build" else "digest" for word in BUILD]
        return subprocess.run(command, env=environment(home), capture_output=True, text=True, check=True).stdout

    def made(home: str) -> int:
        return sum(path.stat().st_size for path in (tmp_path / home).glob("banks/*/shards/*"))

    subprocess.run(BUILD, env=environment("whole"), check=True, capture_output=True)
    chance, kills = random.Random(0), 0
    while kills < 5:
        start = made("killed")
        build = subprocess.Popen(BUILD, env=environment("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while made("killed") == start and build.poll() is None:  # past the imports, into the making
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.15))
        if build.poll() is not None:
            break
        build.send_signal(signal.SIGKILL)
        build.wait()
        kills += 1
    assert kills >= 3, "the build was over before it could be killed"
    assert made("killed") < made("whole")
    finished = subprocess.run(BUILD, env=environment("killed"), check=True, capture_output=True, text=True)
    assert not finished.stdout.startswith("0 images")
    assert digest("killed") == digest("whole")
