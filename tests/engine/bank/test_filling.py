"""Images are kept after some seconds of work: what a stop costs, and that nothing else shows it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from discl.core.interfaces import Generated, Request
from discl.core.levels import denoising_steps
from discl.core.progress import DENOISING, WorkClock, counting, work
from discl.core.registry import bind
from discl.engine.bank import bank as module
from discl.engine.bank.bank import Bank
from discl.engine.bank.catalogue import Catalogue
from discl.engine.bank.filling import GROWTH, LEASE_SECONDS, LeaseSize
from discl.engine.bank.generate import ImageMaker, SourceImages
from discl.engine.bank.leases import CellGrid
from discl.files import shards
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
) -> str:
    """The digest of a bank in `folder` once it is filled."""
    with closing(Bank(folder, PROCESS)) as bank:
        maker = ImageMaker(bank.id, bank.shards, _sources(), generator, None)
        bank.build(wanted, STEPS, InlineExecutor(), lambda: maker, BATCH, progress, at_once=2)
        return bank.digest()


def _shards(folder: Path) -> list[str]:
    (found,) = folder.glob("*/shards")
    return shards.names(found)


def _stopped(folder: Path, generator: _Generator, wanted: CellGrid = WANTED) -> tuple[int, int]:
    """Images kept and images that begin again: what Ctrl-C says, and what the bank says, too."""
    with pytest.raises(KeyboardInterrupt) as stop:
        _fill(folder, generator, wanted)
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
