"""Where each level of a benchmark begins: in steps, in noise, and in what is left of the photo."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from discl.config.benchmark import Benchmark, PartChoice
from discl.core.errors import UserError
from discl.core.levels import (
    PHOTO,
    TEXT_ONLY,
    LevelGrid,
    counting_of,
    denoising_steps,
)

_MUCH = 0.15  # between a level and the signal it leaves, in shares


@dataclass(frozen=True)
class LevelRow:
    """One level; the photo itself begins nowhere."""

    level: int
    steps: int  # of denoising
    start: int | None  # place on the grid, from 0 for the most noise
    timestep: float | None
    # as the scheduler counts noise: in a flow its share, elsewhere its ratio to the photo, which
    # is infinite where nothing of the photo is left
    sigma: float | None
    signal: float  # share of the photo in the power of the first latents, 0 to 1
    amplitude: float  # its square root: what is left of the photo's contrast


@dataclass(frozen=True)
class LevelTable:
    """The levels of a benchmark, on the grid of its generator."""

    benchmark: str
    scale: str
    checkpoint: str
    scheduler: str
    steps: int
    is_flow: bool
    size: tuple[int, int] | None  # (width, height) that the noise is of; None = it is of any
    levels_as: str
    noise_at_0: bool
    levels: tuple[LevelRow, ...]


def level_table(spec: Benchmark, size: tuple[int, int] | None = None) -> LevelTable:
    """The table of a benchmark, for images of `size` (width, height); None = the benchmark's.

    Reads configuration files alone. Raises UserError where the generator has no such table, or its
    checkpoint's configuration is not here.
    """
    generator: Any = _sized(spec.choices["generators"], size).bind().build()
    told = getattr(generator, "level_grid", None)
    if told is None:
        raise UserError(
            f"generator {spec.generator['name']!r} has no table of levels: how much of a photo is"
            " left at a level is told for checkpoints that generator 'img2img' drives"
        )
    photos = _photo_size(spec)
    counting = counting_of(generator, photos)
    steps = {level: denoising_steps(level, counting) for level in spec.ascending_levels}
    checkpoint = str(spec.generator.get("checkpoint", generator.checkpoint))
    counted = getattr(generator, "levels_as", spec.levels_as)
    return table_of((spec.name, spec.scale, checkpoint, counted), told(photos), steps)


def table_of(
    of: tuple[str, str, str, str], grid: LevelGrid, steps: Mapping[int, int]
) -> LevelTable:
    """The table of levels that take so many `steps`; `of` names benchmark, scale, checkpoint, unit.

    The unit is what levels count, as `levels_as` says it.
    """
    benchmark, scale, checkpoint, levels_as = of
    rows = tuple(_row(level, taken, grid) for level, taken in steps.items())
    return LevelTable(
        benchmark=benchmark,
        scale=scale,
        checkpoint=checkpoint,
        scheduler=grid.scheduler,
        steps=len(grid.starts),
        is_flow=grid.is_flow,
        size=(grid.size[1], grid.size[0]) if grid.size else None,
        levels_as=levels_as,
        noise_at_0=grid.noise_at_0,
        levels=rows,
    )


def _sized(choice: PartChoice, size: tuple[int, int] | None) -> PartChoice:
    if size is None:
        return choice
    return replace(choice, parameters={**choice.parameters, "size": list(size)})


def _photo_size(spec: Benchmark) -> tuple[int, int] | None:
    """(height, width) of the photos that the generator gets; None = the size it was made for."""
    if spec.bank.size:
        return (spec.bank.size[0], spec.bank.size[1])
    dataset = spec.part("datasets").build()
    side = getattr(dataset, "side", None)
    if side is None or getattr(dataset, "has_originals", False):
        return None
    return (int(side), int(side))


def _row(level: int, steps: int, grid: LevelGrid) -> LevelRow:
    if level == PHOTO:
        return LevelRow(level, 0, None, None, 0.0, 1.0, 1.0)
    place = len(grid.starts) - steps
    start = grid.starts[place]
    signal = 0.0 if level == TEXT_ONLY and grid.noise_at_0 else start.signal
    sigma = grid.sigma(start)
    return LevelRow(
        level, steps, place, start.timestep, sigma, round(signal, 9), round(signal**0.5, 9)
    )


def level_table_json(table: LevelTable) -> dict[str, Any]:
    """In plain values; a sigma without end is null."""
    plain = asdict(table)
    for row in plain["levels"]:
        if row["sigma"] is not None and math.isinf(row["sigma"]):
            row["sigma"] = None
    return plain


def remarks(table: LevelTable) -> Iterator[str]:
    """What a reader of the table must know, a sentence each."""
    formula, sigma = "1 / (1 + sigma^2)", "noise over photo"
    if table.is_flow:
        formula, sigma = "(1 - sigma)^2 / ((1 - sigma)^2 + sigma^2)", "the noise's share of them"
    yield (
        f"signal: the photo's share of the power of the first latents, {formula}; sigma: {sigma}."
    )
    if any(row.level == TEXT_ONLY for row in table.levels):
        yield (
            "Level 0 begins from noise alone."
            if table.noise_at_0
            else "Level 0 begins with what the first place leaves of the photo."
        )
    if table.size:
        yield (
            f"This scheduler shifts its noise with the size of images, here {table.size[0]} x"
            f" {table.size[1]}: at another --size a level is another noise."
        )
    worst = max(table.levels, key=_apart)
    if table.levels_as == "steps" and _apart(worst) > _MUCH:
        yield (
            f"Level {worst.level} leaves {100 * worst.signal:.0f} % of the signal; with `--set"
            f" levels_as=signal` a level takes the step that leaves nearest to its own percentage."
        )


def _apart(row: LevelRow) -> float:
    """Between a level and the signal it leaves, in shares."""
    return abs(row.signal - row.level / 100)
