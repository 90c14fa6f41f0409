import errno
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.cli import main
from discl.core.errors import UserError
from discl.core.interfaces import Generated, Request, WorkersDied
from discl.core.registry import bind
from discl.engine.bank.bank import Bank
from discl.engine.bank.catalogue import Cell
from discl.engine.bank.generate import ImageMaker, SourceImages, request_of
from discl.engine.bank.leases import Builder, CellGrid, is_being_filled
from discl.files import shards
from discl.files.photos import decode, fitted
from tests import processes
from tests.processes import Started

PROCESS = {"dataset": "toy", "generator": "blend"}


class CountingGenerator:
    """The blend, which also says what it was asked for, and fails where it is told to."""

    version = 1
    steps = 20

    def __init__(self, fails: Callable[[Request], bool] = lambda _: False) -> None:
        self.inner, self.asked, self.fails = (
            bind("generators", "blend", {}).build(),
            list[Request](),
            fails,
        )

    def identity(self) -> dict[str, Any]:
        return {}

    def make(self, requests: Sequence[Request], photos: Any) -> Generated:
        self.asked.extend(requests)
        return Generated(
            self.inner.make(requests, photos).images,
            {i: "it is late" for i, r in enumerate(requests) if self.fails(r)},
        )


class BrightnessScorer:
    """Bright images lie near every text."""

    version = 1

    def __init__(self) -> None:
        self.images = self.texts = 0

    def identity(self) -> dict[str, Any]:
        return {}

    def embed_images(self, images: Any) -> Any:
        self.images += len(images)
        angle = np.pi / 2 * (1 - images.mean((1, 2, 3)) / 255)
        return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)

    def embed_texts(self, texts: Sequence[str]) -> Any:
        self.texts += len(texts)
        return np.tile(np.array([1, 0], np.float32), (len(texts), 1))


class Here:
    """The plainest executor; stops after some items if told to."""

    version = 1

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after

    def run(self, prepare: Any, items: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        work = prepare()
        for count, item in enumerate(items):
            if count == self.stop_after:
                raise KeyboardInterrupt
            yield item, work(item)


def _sources(count: int = 5) -> SourceImages:
    photos = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    dataset_captions = (("a cat", "one cat"), ("a dog",))
    prompts = bind("prompts", "dataset", {}).build()
    return SourceImages(
        tuple(f"photo{i}" for i in range(count)),
        np.arange(count) + 100,
        np.arange(count) % 2,
        photos,
        ("cat", "dog"),
        dataset_captions,
        prompts,
    )


def _wanted(levels: Sequence[int] = (0, 50), variants: int = 3, count: int = 5) -> CellGrid:
    return CellGrid(tuple(f"photo{i}" for i in range(count)), tuple(levels), variants)


def _fill(
    bank: Bank,
    wanted: CellGrid,
    batch: int = 4,
    generator: Any = None,
    scorer: Any = None,
    executor: Any = None,
) -> CountingGenerator:
    generator, sources = generator or CountingGenerator(), _sources(len(wanted.sources))
    image_maker = ImageMaker(bank.id, bank.shards, sources, generator, scorer or BrightnessScorer())
    bank.build(
        wanted, generator.steps, executor or Here(), lambda: image_maker, batch, lambda *_: None
    )
    return generator


class Loses:
    """An executor whose workers die of every item."""

    version = 1

    def run(self, prepare: Any, items: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        return ((item, WorkersDied("SIGKILL", 3, 2_000_000_000)) for item in items)


def test_images_that_cost_too_many_workers_end_the_build_and_are_free_for_the_next(
    tmp_path: Path,
) -> None:
    bank = Bank(tmp_path, PROCESS)
    with pytest.raises(
        UserError,
        match=(
            r"3 workers died at item .*Cell.* \(the last: SIGKILL with 2.0 GB in memory\); .* a"
            r" smaller batch"
        ),
    ):
        _fill(bank, _wanted(), executor=Loses())
    assert len(_fill(bank, _wanted()).asked) == 30


def test_a_full_bank_makes_nothing(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    assert len(_fill(bank, _wanted()).asked) == 30
    assert _fill(Bank(tmp_path, PROCESS), _wanted()).asked == []


def test_a_new_level_makes_only_its_own_cells(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    _fill(bank, _wanted((0, 50)))
    assert {request.level for request in _fill(bank, _wanted((0, 30, 50))).asked} == {30}
    assert len(_fill(bank, _wanted((0, 30, 50), variants=4)).asked) == 15


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batch_size_and_order_change_no_byte(tmp_path: Path, batch: int) -> None:
    bank, other = Bank(tmp_path / "a", PROCESS), Bank(tmp_path / "b", PROCESS)
    _fill(bank, _wanted())
    for level in (50, 0):
        _fill(other, _wanted((level,)), batch)
    assert bank.digest() == other.digest()


def test_levels_of_a_photo_share_noise_and_photos_never_do(tmp_path: Path) -> None:
    asked = _fill(Bank(tmp_path, PROCESS), _wanted()).asked
    seeds = {
        level: {request.seed for request in asked if request.level == level} for level in (0, 50)
    }
    assert seeds[0] == seeds[50]
    assert len(seeds[0]) == 15  # photos x variants


def test_a_threshold_is_a_view(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    _fill(bank, _wanted())
    scores, _, _ = bank.scores(50)
    middle = round(float(np.median(scores)), 6)
    view = bank.view(50, 3, _sources(), middle)
    assert len(view.position) == 8  # of 15: the median and what is above it
    assert np.all(scores[view.position] >= np.float32(middle))
    assert len(bank.view(50, 3, _sources(), None).position) == 15
    assert len(bank.view(50, 2, _sources(), None).position) == 10


def test_the_best_of_several_draws_is_a_view_too(tmp_path: Path) -> None:
    bank, sources = Bank(tmp_path, PROCESS), _sources()
    _fill(bank, _wanted((50,), variants=6))
    scores, _, _ = bank.scores(50)
    view = bank.view(50, 2, sources, None, best_of=3)
    assert len(view.position) == 10  # 5 photos, 2 images each, of 3 draws
    for index in view.position:
        start = index // 3 * 3
        assert scores[index] == scores[start : start + 3].max()
    strict = bank.view(50, 2, sources, float(np.sort(scores[view.position])[5]), best_of=3)
    assert len(strict.position) == 5


def test_pixels_are_what_was_made(tmp_path: Path) -> None:
    bank, sources = Bank(tmp_path, PROCESS), _sources()
    _fill(bank, _wanted())
    cell = Cell("photo3", 50, 2)
    request = request_of(bank.id, cell, sources.choices(3))
    made = bind("generators", "blend", {}).build().make([request], sources.photos[3:4]).images[0]
    view = bank.view(50, 3, sources, None)
    index = view.position[(view.row == 103) & (view.variant == 2)][0]
    assert np.array_equal(bank.pixels(50)[index], made)
    pixels, row = bank.image(cell)
    assert np.array_equal(pixels, made)
    assert (row.prompt, row.caption, row.seed, row.denoising_steps) == (
        request.prompt,
        "a dog",
        request.seed,
        10,
    )


def test_a_text_is_embedded_once_and_a_photo_once(tmp_path: Path) -> None:
    scorer = BrightnessScorer()
    _fill(Bank(tmp_path, PROCESS), _wanted(), scorer=scorer)
    assert scorer.texts == 2
    assert scorer.images == 30 + 5


def test_an_image_that_cannot_be_made_is_named_and_not_tried_again(tmp_path: Path) -> None:
    bank, generator = (
        Bank(tmp_path, PROCESS),
        CountingGenerator(lambda request: request.level == 0 and "dog" in request.prompt),
    )
    _fill(bank, _wanted(), generator=generator)
    assert bank.count() == {0: 9, 50: 15}
    failures = bank.failures()
    assert {(cell.source, why) for cell, why in failures} == {
        ("photo1", "it is late"),
        ("photo3", "it is late"),
    }
    assert len(bank.pixels(0)) == len(bank.view(0, 3, _sources(), None).position) == 9
    assert list(bank.verify()) == []
    assert _fill(bank, _wanted()).asked == []
    bank.drop(cell for cell, _ in failures)
    assert len(_fill(bank, _wanted()).asked) == 6


def test_a_level_whose_images_all_failed_says_why(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    assert str(bank.no_image((0,))).endswith("run `discl bank build` first")
    _fill(bank, _wanted(), generator=CountingGenerator(lambda request: request.level == 0))
    with pytest.raises(UserError, match="all 15 images of level 0 failed: it is late; try another"):
        bank.pixels(0)
    with pytest.raises(UserError, match="the image of .* failed: it is late"):
        bank.image(Cell("photo1", 0, 0))
    with pytest.raises(UserError, match="no image of .*`discl bank build` first"):
        bank.image(Cell("photo1", 20, 0))


def _damage(bank: Bank, how: Callable[[bytes], bytes]) -> Path:
    shard = sorted(bank.shards.iterdir())[0]
    shard.write_bytes(how(shard.read_bytes()))
    return shard


def test_verify_finds_a_flipped_byte_and_a_build_repairs_just_that(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    _fill(bank, _wanted())
    before = bank.digest()
    assert list(bank.verify()) == []
    _damage(bank, lambda data: data[:5] + bytes([data[5] ^ 255]) + data[6:])
    damaged = list(bank.verify())
    assert len(damaged) == 1
    bank.drop(damage.cell for damage in damaged if damage.cell)
    assert len(_fill(bank, _wanted()).asked) == 1
    assert bank.digest() == before
    assert list(bank.verify()) == []


def test_verify_finds_a_missing_shard_and_a_build_repairs_just_that(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    _fill(bank, _wanted())
    before = bank.digest()
    lost = sorted(bank.shards.iterdir())[0]
    _, rows = shards.read_index(bank.shards, lost.name)
    lost.unlink()
    damaged = list(bank.verify())
    assert len(damaged) == len(rows)
    assert "cannot be read" in damaged[0].why
    bank.drop(damage.cell for damage in damaged if damage.cell)
    assert len(_fill(bank, _wanted()).asked) == len(rows)
    assert bank.digest() == before


@pytest.mark.parametrize("how", ["truncated", "overwritten", "gone"])
def test_a_damaged_catalogue_is_made_again_from_the_shards(tmp_path: Path, how: str) -> None:
    bank = Bank(tmp_path, PROCESS)
    _fill(bank, _wanted((0, 30, 50), variants=4, count=10), batch=64)
    before = bank.digest()
    bank.close()
    path = bank.folder / "catalogue.sqlite"
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(
            data[: len(data) * 2 // 3]
            if how == "truncated"
            else data[:200] + bytes(len(data) - 200)
        )
    (found,) = list(Bank(tmp_path, PROCESS).verify())
    assert found.cell is None
    assert _fill(Bank(tmp_path, PROCESS), _wanted((0, 30, 50), variants=4, count=10)).asked == []
    assert Bank(tmp_path, PROCESS).digest() == before
    assert list(Bank(tmp_path, PROCESS).verify()) == []


def test_a_damaged_image_does_not_come_back_with_a_new_catalogue(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    _fill(bank, _wanted())
    _damage(bank, lambda data: data[:5] + bytes([data[5] ^ 255]) + data[6:])
    bank.close()
    (bank.folder / "catalogue.sqlite").write_bytes(b"not a database" * 100)
    assert len(_fill(bank, _wanted()).asked) == 1
    assert list(bank.verify()) == []


def test_a_shard_whose_builder_died_before_entering_it_is_not_made_again(tmp_path: Path) -> None:
    bank, sources = Bank(tmp_path, PROCESS), _sources()
    cells = tuple(_wanted().of("photo0"))
    ImageMaker(bank.id, bank.shards, sources, CountingGenerator(), None)(cells)
    assert "lacks 1 of the shards" in next(bank.verify()).why
    assert len(_fill(bank, _wanted()).asked) == 30 - len(cells)


def test_a_stopped_build_gives_its_leases_back(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    with pytest.raises(KeyboardInterrupt):
        _fill(bank, _wanted(), executor=Here(stop_after=2))
    assert bank.catalogue.fetch("SELECT * FROM leases") == []
    assert not is_being_filled(bank.folder)
    assert sum(bank.count().values()) > 0
    _fill(bank, _wanted())
    assert sum(bank.count().values()) == 30


def test_a_full_disk_stops_a_build_with_a_sentence_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, write, written = Bank(tmp_path, PROCESS), shards.write, list[str]()

    def full_after_two(*given: Any) -> str:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(write(*given))
        return written[-1]

    monkeypatch.setattr(shards, "write", full_after_two)
    with pytest.raises(UserError, match="the disk is full"):
        _fill(bank, _wanted())
    assert len(shards.names(bank.shards)) == 2
    monkeypatch.setattr(shards, "write", write)
    kept = sum(bank.count().values())
    assert len(_fill(bank, _wanted()).asked) == 30 - kept
    assert list(bank.verify()) == []


def test_builders_share_a_bank_and_make_no_image_twice(tmp_path: Path) -> None:
    Bank(tmp_path, PROCESS).close()
    asked: list[Request] = []

    def build() -> None:
        asked.extend(_fill(Bank(tmp_path, PROCESS), _wanted(count=12), batch=6).asked)

    builders = [threading.Thread(target=build) for _ in range(3)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert len(asked) == 72
    bank = Bank(tmp_path, PROCESS)
    assert (
        sum(len(shards.read_index(bank.shards, name)[1]) for name in shards.names(bank.shards))
        == 72
    )
    assert bank.digest() == _digest_of_one_builder(tmp_path / "one")


def _digest_of_one_builder(folder: Path) -> str:
    bank = Bank(folder, PROCESS)
    _fill(bank, _wanted(count=12))
    return bank.digest()


def _hold_a_lease(root: Path) -> None:
    """A process that takes cells and is killed while it has them."""
    bank = Bank(root, PROCESS)
    with Builder(bank.catalogue) as builder:
        assert builder.claim(_wanted(), 4)
        (root / "holding").touch()
        time.sleep(600)


def test_what_a_killed_process_held_is_left_alone_while_it_lives_and_then_taken_over(
    tmp_path: Path,
) -> None:
    bank = Bank(tmp_path, PROCESS)
    process = processes.begin(_hold_a_lease, tmp_path, log=tmp_path / "log")
    while not (tmp_path / "holding").exists():
        assert process.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.01)
    assert is_being_filled(bank.folder)
    with Builder(bank.catalogue) as builder:
        free = sum(len(cells) for cells in iter(lambda: builder.claim(_wanted(), 4), ()))
        assert free == 30 - 4
    process.kill()
    process.wait()
    assert not is_being_filled(bank.folder)
    assert len(_fill(bank, _wanted()).asked) == 30
    assert list((bank.folder / "builders").iterdir()) == []


def test_a_folder_made_by_another_process_is_refused(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    (bank.folder / "bank.json").write_text(
        json.dumps({"schema": 2, "dataset": "other", "generator": "blend"})
    )
    with pytest.raises(UserError, match="made from another dataset"):
        Bank(tmp_path, PROCESS)


def test_a_damaged_catalogue_is_named(tmp_path: Path) -> None:
    bank = Bank(tmp_path, PROCESS)
    (bank.folder / "catalogue.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match="damaged"):
        bank.digest()


def test_a_read_only_place_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "banks").write_text("a file where a folder is needed")
    with pytest.raises(UserError, match="DISCL_HOME"):
        Bank(tmp_path / "banks", PROCESS)


def test_images_of_several_sizes_come_at_one(tmp_path: Path) -> None:
    bank, small = Bank(tmp_path, PROCESS), _sources()
    _fill(bank, _wanted((0,), variants=2))
    photos = np.random.default_rng(1).integers(0, 256, (5, 6, 12, 3), dtype=np.uint8)
    image_maker = ImageMaker(
        bank.id, bank.shards, replace(small, photos=photos), CountingGenerator(), BrightnessScorer()
    )
    bank.build(_wanted((0,), variants=3), 20, Here(), lambda: image_maker, 4, lambda *_: None)
    assert {decode(data).shape for _, data in bank.encoded(0)} == {(8, 8, 3), (6, 12, 3)}
    assert bank.pixels(0).shape == (15, 8, 8, 3)
    shown = Bank(tmp_path, PROCESS, (5, 7))
    assert shown.pixels(0).shape == (15, 5, 7, 3)
    assert np.array_equal(shown.pixels(0)[2], fitted(decode(list(bank.encoded(0))[2][1]), (5, 7)))
    assert Bank(tmp_path, PROCESS, (8, 8)).map_path(0) == bank.map_path(0)
    assert shown.map_path(0)[0].name == f"{bank.map_path(0)[0].stem}-5x7.npy"
    whole = Bank(tmp_path, PROCESS, (6, 6)).whole(0)
    stored = [decode(data) for _, data in bank.encoded(0)]
    assert len(whole) == len(stored) == 15
    wide = [position for position, image in enumerate(stored) if image.shape == (6, 12, 3)]
    assert all(np.array_equal(whole(position), stored[position]) for position in wide)
    assert {whole(position).shape for position in range(15)} == {(6, 6, 3), (6, 12, 3)}


def _diffused(folder: Path, batch: int) -> str:
    """The digest of a bank of the diffusion generator's images, made so many at a time."""
    generator = bind("generators", "img2img", {"steps": 4, "chunk": 4}).build()
    photos = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    prompts = bind("prompts", "template", {}).build()
    sources = SourceImages(
        ("a", "b"), np.arange(2), np.zeros(2, np.int64), photos, ("cat",), ((),), prompts
    )
    bank = Bank(folder, PROCESS)
    image_maker = ImageMaker(bank.id, bank.shards, sources, generator, None)
    bank.build(
        CellGrid(sources.ids, (0, 50), 2),
        generator.steps,
        Here(),
        lambda: image_maker,
        batch,
        lambda *_: None,
    )
    return bank.digest()


@pytest.fixture(scope="module")
def diffused_at_once(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _diffused(tmp_path_factory.mktemp("diffused"), 16)


# 7 leaves one of the eight images over; 64 is more than there are, as 16 is
@pytest.mark.parametrize(
    "batch", [*(pytest.param(size, marks=pytest.mark.slow) for size in (1, 64)), 7]
)
def test_the_diffusion_generator_gives_the_same_bytes_at_any_batch_size(
    tmp_path: Path, batch: int, diffused_at_once: str
) -> None:
    assert _diffused(tmp_path, batch) == diffused_at_once


def build_a_toy(home: Path, workers: int, photos: int = 100) -> None:
    """A build of a bank, without the seconds a command takes to import scorers and networks."""
    bank, generator, sources = (
        Bank(home / "banks", PROCESS),
        bind("generators", "blend", {}).build(),
        _sources(photos),
    )
    image_maker, executor = (
        partial(ImageMaker, bank.id, bank.shards, sources, generator, None),
        bind("executors", "local", {"workers": workers}),
    )
    bank.build(
        _wanted((0, 30, 50), 2, photos),
        generator.steps,
        executor.build(),
        image_maker,
        8,
        lambda *_: None,
    )
    bank.close()


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_any_number_of_workers_makes_the_same_bytes(tmp_path: Path, workers: int) -> None:
    digests = set()
    for place, count in (("one", 1), ("many", workers)):
        log = tmp_path / f"{place}.log"
        assert processes.begin(build_a_toy, tmp_path / place, count, 24, log=log).wait() == 0, log
        (folder,) = (tmp_path / place / "banks").iterdir()
        digests.add(Bank.at(folder).digest())
    assert len(digests) == 1


def test_slurm_jobs_make_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for engine, parameters in (
        ("local", {}),
        ("slurm", {"cluster": "local", "workers": 2, "cpus": 1, "folder": str(tmp_path / "jobs")}),
    ):
        bank = Bank(tmp_path / engine, PROCESS)
        image_maker = partial(
            ImageMaker,
            bank.id,
            bank.shards,
            _sources(),
            bind("generators", "blend", {}).build(),
            None,
        )
        bank.build(
            _wanted(),
            50,
            bind("executors", engine, parameters).build(),
            image_maker,
            15,
            lambda *_: None,
        )
        digests.add(bank.digest())
    assert len(digests) == 1
    assert len(list(tmp_path.glob("jobs/*/*.out"))) > 1


def build_by_command(home: Path, workers: int) -> None:
    os.environ["DISCL_HOME"] = str(home)
    settings = [
        "generator.name=blend",
        "bank.batch=8",
        "dataset.largest=40",
        "dataset.ood_photos=10",
        "bank.variants=16",
    ]
    words = [
        "bank",
        "build",
        "cifar10_lt",
        "--workers",
        str(workers),
        *(word for setting in settings for word in ("--set", setting)),
    ]
    main(words, standalone_mode=False)


SLOW = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
]  # a command takes seconds to import what it needs, and here are many


@pytest.mark.parametrize(
    ("build", "kills", "workers"),
    [
        (build_a_toy, 3, 1),
        pytest.param(build_a_toy, 4, 2, marks=SLOW),
        *(pytest.param(build_by_command, 20, workers, marks=SLOW) for workers in (1, 2)),
    ],
)
def test_a_build_killed_at_random_points_gives_the_same_digest(
    tmp_path: Path, build: Callable[[Path, int], None], kills: int, workers: int
) -> None:
    def started(home: str) -> Started:
        (tmp_path / home).mkdir(exist_ok=True)
        return processes.begin(build, tmp_path / home, workers, log=tmp_path / f"{home}.log")

    def published() -> int:
        return sum(
            len(shards.names(folder)) for folder in (tmp_path / "killed").glob("banks/*/shards")
        )

    def bank(home: str) -> Bank:
        (folder,) = (tmp_path / home / "banks").iterdir()
        return Bank.at(folder)

    chance, done, whole = random.Random(0), 0, started("whole")
    while done < kills:
        start, running = published(), started("killed")
        while published() == start and running.poll() is None:  # past the imports, into the making
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.15 if workers > 1 or build is build_by_command else 0.05))
        if running.poll() is not None:
            break
        running.kill()
        running.wait()
        done += 1
    assert done >= 3, "the build was over before it could be killed"
    for process in (whole, started("killed")):
        assert process.wait() == 0
    assert bank("killed").digest() == bank("whole").digest()
    assert list(bank("killed").verify()) == []
