"""Images are kept after some seconds of work: what a stop costs, and that nothing else shows it."""

from __future__ import annotations

import errno
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from discl.core.errors import UserError
from discl.core.interfaces import Executor, Generated, Request
from discl.core.levels import denoising_steps
from discl.core.progress import DENOISING, WorkClock, counting, work
from discl.core.registry import bind
from discl.engine.bank import bank as module
from discl.engine.bank.bank import Bank
from discl.engine.bank.catalogue import Catalogue
from discl.engine.bank.filling import GROWTH, LEASE_SECONDS, MOST_WASTE, Groups, LeaseSize
from discl.engine.bank.generate import ImageMaker, SourceImages
from discl.engine.bank.leases import CellGrid
from discl.files import shards
from discl.files.photos import PhotoRows
from discl.parts.executors.local import LocalProcesses
from tests.banks import InlineExecutor

PROCESS: dict[str, object] = {"dataset": "toy", "generator": "blend"}
PHOTOS = 6
WANTED = CellGrid(tuple(f"photo{i}" for i in range(PHOTOS)), (0, 50), 4)  # 48 images
STEPS = 20
BATCH = 16


class _Generator:
    """The blend, which takes a while and may be stopped at any image."""

    version = 1
    steps = STEPS

    def __init__(self, seconds: float = 0.0, stop_at: int = -1, tells: bool = True) -> None:
        self.inner = bind("generators", "blend", {}).build()
        self.seconds = seconds  # an image, of `now`
        self.stop_at = stop_at  # images
        self.tells = tells
        self.asked = 0
        self.now = 0.0

    def identity(self) -> dict[str, Any]:
        return {}

    def make(self, requests: Sequence[Request], photos: Any) -> Generated:
        for request in requests:
            if self.asked == self.stop_at:
                raise KeyboardInterrupt
            self.asked += 1
            self.now += self.seconds
            if self.tells:
                work().done(DENOISING, denoising_steps(request.level, STEPS))
        return Generated(self.inner.make(requests, photos).images)


class Ones:
    """A scorer to which all is alike."""

    version = 1

    def identity(self) -> dict[str, Any]:
        return {}

    def embed_images(self, images: Any) -> Any:
        return np.ones((len(images), 1), np.float32)

    def embed_texts(self, texts: Sequence[str]) -> Any:
        return np.ones((len(texts), 1), np.float32)


def _sources() -> SourceImages:
    photos = np.random.default_rng(0).integers(0, 256, (PHOTOS, 8, 8, 3), dtype=np.uint8)
    prompts = bind("prompts", "dataset", {}).build()
    return SourceImages(
        WANTED.sources,
        np.arange(PHOTOS),
        np.arange(PHOTOS) % 2,
        photos,
        ("cat", "dog"),
        (("a cat",), ("a dog",)),
        prompts,
    )


def _fill(
    folder: Path,
    generator: _Generator,
    wanted: CellGrid = WANTED,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    executor: Executor | None = None,
) -> str:
    """The digest of a bank in `folder` once it is filled."""
    executor = executor or InlineExecutor()
    with closing(Bank(folder, PROCESS)) as bank:
        maker = ImageMaker(bank.id, bank.shards, _sources(), generator, None)
        bank.build(wanted, STEPS, executor, lambda: maker, BATCH, progress, at_once=2)
        return bank.digest()


def _shards(folder: Path) -> list[str]:
    (found,) = folder.glob("*/shards")
    return shards.names(found)


def _stopped(
    folder: Path,
    generator: _Generator,
    wanted: CellGrid = WANTED,
    executor: Executor | None = None,
) -> tuple[int, int]:
    """Images kept and images that begin again: what Ctrl-C says, and what the bank says, too."""
    with pytest.raises(KeyboardInterrupt) as stop:
        _fill(folder, generator, wanted, executor=executor)
    (note,) = stop.value.__notes__
    kept, total, again = map(int, re.findall(r"\d+", note))
    assert note == f"{kept} of {total} images are kept; {again} in work begin again"
    with closing(Bank(folder, PROCESS)) as bank:
        assert sum(bank.count().values()) == kept
        assert sum(bank.count_missing(wanted).values()) == total - kept
    return kept, again


@pytest.fixture
def whole(tmp_path: Path) -> str:
    """The digest of a bank that was filled in one go."""
    return _fill(tmp_path / "whole", _Generator())


# ---------------------------------------------------------------- how long a lease is


def test_a_lease_is_some_seconds_of_work_and_a_batch_at_most() -> None:
    size = LeaseSize(least=4, most=100)
    sizes = [size.images]
    for _ in range(4):
        size.took(sizes[-1], sizes[-1] * 0.1)
        sizes.append(size.images)
    assert sizes == [4, 4 * GROWTH, 4 * GROWTH**2, 100, 100]
    size.took(100, 100 * 0.27)
    assert size.images == 72 < LEASE_SECONDS / 0.27  # whole groups of 4
    size.took(size.images, size.images * 60.0)
    assert size.images == 4  # fewer would take as long


def test_a_batch_may_be_smaller_than_what_is_made_at_a_time() -> None:
    assert LeaseSize(least=32, most=8).images == 8


@pytest.mark.parametrize("chunk", [1, 32, 64, 128, 256])
@pytest.mark.parametrize("levels", [(50, 70, 90), (0, 10, 30, 50), (50,)])
@pytest.mark.parametrize("variants", [1, 3, 8])
def test_leases_waste_a_tenth_at_most_on_filling_groups(
    chunk: int, levels: tuple[int, ...], variants: int
) -> None:
    groups = Groups(chunk, tuple(denoising_steps(level, 50) for level in levels), variants)
    size = LeaseSize(least=chunk, most=128, groups=groups)
    for _ in range(3):
        size.took(size.images, size.images * 0.07)
        assert size.images % len(levels) == 0
        assert groups.waste(size.images // len(levels)) <= MOST_WASTE
        assert size.images <= max(128, 10 * chunk * len(levels))


def test_the_waste_is_that_of_each_step() -> None:
    # 10 images take 4 steps and 10 more only the last 2: groups of 8 are 2 and 3
    groups = Groups(8, (4, 2), 5)
    assert groups.waste(10) == (2 * 16 + 2 * 24) / (2 * 10 + 2 * 20) - 1
    assert groups.waste(8) == 0.0


def test_groups_are_not_filled_at_the_cost_of_ten_minutes() -> None:
    groups = Groups(64, (25, 15, 5), 8)
    size = LeaseSize(least=64, most=128, groups=groups)
    size.took(64, 64 * 3.0)
    assert size.images == 192  # 576 s
    size.took(192, 192 * 4.0)
    assert size.images == 96  # 384 s: of those within ten minutes they waste least


def test_where_shards_end_changes_no_image_no_digest_and_no_name(
    tmp_path: Path, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = _Generator(seconds=LEASE_SECONDS / 2)
    with monkeypatch.context() as patched:
        patched.setattr("discl.engine.bank.generate.time.monotonic", lambda: slow.now)
        assert _fill(tmp_path / "slow", slow) == whole
    assert len(_shards(tmp_path / "slow")) == len(WANTED) / 2
    assert len(_shards(tmp_path / "whole")) < 8
    # in another order, a part at a time
    odd = CellGrid(WANTED.sources[::-1], (50,), 3)
    _stopped(tmp_path / "odd", _Generator(stop_at=5), odd)
    _fill(tmp_path / "odd", _Generator(), odd)
    assert _fill(tmp_path / "odd", _Generator()) == whole
    for name in ("slow", "odd"):
        (folder,) = (tmp_path / name).iterdir()
        assert folder.name == next((tmp_path / "whole").iterdir()).name
        with closing(Bank(tmp_path / name, PROCESS)) as bank:
            assert list(bank.verify()) == []
            (bank.folder / "catalogue.sqlite").unlink()
        with closing(Bank(tmp_path / name, PROCESS)) as bank:
            bank.repair()
            assert bank.digest() == whole


# ---------------------------------------------------------------- Ctrl-C


def test_ten_stops_at_random_moments_cost_a_batch_each_at_most_and_say_the_true_number(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    many = CellGrid(WANTED.sources, WANTED.levels, 20)
    before = 0
    for _ in range(10):
        generator = _Generator(stop_at=int(rng.integers(0, 24)))
        kept, again = _stopped(tmp_path / "bank", generator, many)
        assert before <= kept
        assert again <= BATCH
        assert generator.asked - (kept - before) <= again
        before = kept
    last = _Generator()
    digest = _fill(tmp_path / "bank", last, many)
    assert last.asked == len(many) - before
    assert digest == _fill(tmp_path / "undisturbed", _Generator(), many)


def test_a_stop_keeps_what_was_made_and_not_yet_written(tmp_path: Path, whole: str) -> None:
    local = LocalProcesses()
    first = _Generator(stop_at=10)  # within the fourth lease; the third is not yet told then
    kept, again = _stopped(tmp_path / "bank", first, executor=local)
    assert (kept, again) == (8, 8)
    last = _Generator()
    assert _fill(tmp_path / "bank", last, executor=local) == whole
    assert last.asked == len(WANTED) - kept


def test_a_disk_that_fills_up_while_images_are_written_stops_the_bank_with_its_sentence(
    tmp_path: Path, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = LocalProcesses()

    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shards, "write", full)
        with pytest.raises(UserError, match="writing images"):
            _fill(tmp_path / "bank", _Generator(), executor=local)
    assert _fill(tmp_path / "bank", _Generator(), executor=local) == whole


def test_an_original_is_read_once_a_lease_however_many_images_are_made_of_it(
    tmp_path: Path,
) -> None:
    read = Counter[int]()
    photos = np.zeros((PHOTOS, 8, 8, 3), np.uint8)

    def counted(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        read.update(rows.tolist())
        return photos[rows]

    many = CellGrid(WANTED.sources, WANTED.levels, 12)
    sources = replace(_sources(), photos=PhotoRows(counted, np.arange(PHOTOS), (8, 8, 3)))
    maker = ImageMaker("bank", tmp_path, sources, _Generator(), Ones())
    made = maker(tuple(cell for name in WANTED.sources for cell in many.of(name)))
    assert len(made.records) == 24 * PHOTOS
    assert read == dict.fromkeys(range(PHOTOS), 1)


def test_what_was_published_and_not_yet_entered_is_kept(
    tmp_path: Path, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Catalogue.add
    calls = 0

    def add_late(self: Catalogue, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        add(self, *arguments)

    monkeypatch.setattr(Catalogue, "add", add_late)
    kept, again = _stopped(tmp_path / "bank", first := _Generator())
    assert (kept, again) == (first.asked, 0)
    last = _Generator()
    assert _fill(tmp_path / "bank", last) == whole
    assert first.asked + last.asked == len(WANTED)


@contextmanager
def _second_ctrl_c(generator: _Generator, instruction: int) -> Iterator[list[str]]:
    """Ctrl-C again at an instruction of the bank's code after the first; tells where it was."""
    left, told = instruction, list[str]()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if "discl/engine/bank" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and generator.asked == generator.stop_at:
            left -= 1
            if left == 0:
                told.append(frame.f_code.co_name)
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        yield told
    finally:
        sys.settrace(None)


def test_a_second_ctrl_c_is_as_safe_as_the_first(tmp_path: Path, whole: str) -> None:
    places = set[str]()
    for number, instruction in enumerate(range(1, 4000, 181)):
        folder = tmp_path / str(number)
        first = _Generator(stop_at=20)
        with pytest.raises(KeyboardInterrupt), _second_ctrl_c(first, instruction) as told:
            _fill(folder, first)
        with closing(Bank(folder, PROCESS)) as bank:
            kept = sum(bank.count().values())
        last = _Generator()
        assert _fill(folder, last) == whole
        assert last.asked == len(WANTED) - kept
        assert first.asked - kept <= BATCH
        places.update(told)
        if not told:
            break
    assert not told  # there were as many instructions as are tried
    assert len(places) >= 5


# ---------------------------------------------------------------- progress


@pytest.mark.parametrize("tells", [True, False])
def test_progress_steps_with_what_the_generator_tells_and_else_with_each_lease(
    tmp_path: Path, tells: bool
) -> None:
    steps = list[int]()
    clock = WorkClock()
    clock.expect(DENOISING, 1)
    with counting(clock):
        _fill(
            tmp_path / "bank",
            _Generator(tells=tells),
            progress=lambda what, done, total: steps.append(done),
        )
    assert steps == sorted(set(steps))
    assert steps[-1] == len(WANTED)
    assert (len(steps) > len(WANTED) / 2) == tells
    assert clock.share() == 1.0
    assert clock.time_left() is None


def test_work_of_others_is_counted_as_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.0)
    clock = WorkClock()
    generator = _Generator()

    class Elsewhere(InlineExecutor):
        """Another process, which fills the bank while this one is at its first lease."""

        def run(self, prepare: Any, items: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
            for pair in super().run(prepare, items):
                yield pair
                with counting(WorkClock()):
                    _fill(tmp_path / "bank", _Generator())

    with counting(clock), closing(Bank(tmp_path / "bank", PROCESS)) as bank:
        maker = ImageMaker(bank.id, bank.shards, _sources(), generator, None)
        bank.build(WANTED, STEPS, Elsewhere(), lambda: maker, 2, lambda *_: None)
    assert generator.asked < len(WANTED)
    assert clock.share() == 1.0


def test_a_slow_device_whose_groups_are_large_wastes_as_little_as_it_may() -> None:
    groups = Groups(32, (40, 20, 12, 4), 8)
    size = LeaseSize(32, 128, groups)
    size.took(32, 32 * 8.0)  # 75 images in ten minutes, and 128 would fill the groups
    assert groups.whole(32, 75) is None
    assert size.images <= 75
    assert groups.waste(size.images // 4) < 0.7 * groups.waste(32 // 4)
