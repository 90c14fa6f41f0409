"""A generator may count levels otherwise than by their share of its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.core.errors import UserError
from discl.core.levels import Counting
from discl.core.registry import bind
from discl.engine.bank.bank import Bank
from discl.engine.bank.generate import ImageMaker, SourceImages
from discl.engine.bank.leases import CellGrid
from discl.engine.bank.rules import ImageRules
from tests.banks import InlineExecutor


class Squares:
    """Of `steps`, a level takes the square of its share; larger photos one step less."""

    def __init__(self, steps: int, side: int) -> None:
        self.steps = steps
        self.side = side

    def __call__(self, level: int) -> int:
        if level > 80:
            raise UserError(f"level {level} begins nowhere")
        return round(self.steps * (1 - level / 100) ** 2) - (self.side > 8)

    def with_steps(self, steps: int) -> Squares:
        return Squares(steps, self.side)


class ByTheSquare:
    """The blend, but for how it counts levels."""

    version = 1
    steps = 20

    def __init__(self) -> None:
        self.make = bind("generators", "blend", {}).build().make

    def identity(self) -> dict[str, Any]:
        return {}

    def counting(self, size: tuple[int, int] | None) -> Counting:
        return Squares(self.steps, max(size or (0,)))


@pytest.mark.parametrize(("side", "steps"), [(8, {0: 20, 50: 5}), (16, {0: 19, 50: 4})])
def test_records_and_reports_have_the_steps_that_the_generator_counts(
    side: int, steps: dict[int, int], tmp_path: Path
) -> None:
    photos = np.full((2, side, side, 3), 90, np.uint8)
    prompts = bind("prompts", "dataset", {}).build()
    captions = (("a cat",),)
    rows = np.arange(2)
    sources = SourceImages(
        ("a", "b"), rows, np.zeros(2, np.int64), photos, ("cat",), captions, prompts
    )
    bank = Bank(tmp_path, {"dataset": "toy", "generator": "squares"})
    generator = ByTheSquare()
    maker = ImageMaker(bank.id, bank.shards, sources, generator, None)
    counting = generator.counting((side, side))
    wanted = CellGrid(("a", "b"), (0, 50), 1)
    built = bank.build(wanted, counting, InlineExecutor(), lambda: maker, 8, lambda *_: None)
    assert built.denoising_steps == 2 * sum(steps.values())
    records = [record for level in steps for record in bank.records(level)]
    assert {record.level: record.denoising_steps for record in records} == steps
    rules = ImageRules(bank.id, sources, counting)
    assert [rules.record_fault(record) for record in records] == [""] * 4
    by_share = ImageRules(bank.id, sources, generator.steps)
    assert "denoising_steps" in "".join(by_share.record_fault(record) for record in records)


def test_an_image_of_a_level_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    photos = np.full((1, 8, 8, 3), 90, np.uint8)
    prompts = bind("prompts", "dataset", {}).build()
    labels = np.zeros(1, np.int64)
    sources = SourceImages(("a",), labels, labels, photos, ("cat",), (("a cat",),), prompts)
    bank = Bank(tmp_path, {"dataset": "toy", "generator": "blend"})
    blend = bind("generators", "blend", {}).build()
    maker = ImageMaker(bank.id, bank.shards, sources, blend, None)
    wanted = CellGrid(("a",), (90,), 1)
    bank.build(wanted, blend.steps, InlineExecutor(), lambda: maker, 8, lambda *_: None)
    rules = ImageRules(bank.id, sources, Squares(20, 8))
    [record] = bank.records(90)
    assert rules.record_fault(record) == "its level is 90, which the generator has no start for"
