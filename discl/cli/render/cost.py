"""The cost of runs on the terminal, before they are made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from discl.cli.render.tables import tell_figure
from discl.core.text import counted

if TYPE_CHECKING:
    from discl.config.benchmark import Benchmark
    from discl.harness.sweep.cost import CostEstimate


def as_dict(spec: Benchmark, cost: CostEstimate, remarks: Sequence[str]) -> dict[str, Any]:
    """The cost of a benchmark here, for programs; `remarks` are sentences on what it shows."""
    strategies = {
        name: {**asdict(of_it), "levels": sorted(of_it.levels)}
        for name, of_it in cost.strategies.items()
    }
    named = {"benchmark": spec.name, "scale": spec.scale}
    return {**named, **asdict(cost), "strategies": strategies, "remarks": list(remarks)}


def print_work(cost: CostEstimate, times: float = 1.0, models_note: str = "") -> None:
    """Models, images and optimiser steps to be made; `times` as many steps as were counted."""
    if cost.fold_models:
        tell_figure(
            "models to train", f"{cost.fold_models:,}", f"they find the hard photos{models_note}"
        )
    if cost.starts:
        tell_figure(
            "starts to train",
            f"{cost.starts:,}",
            "one a seed, shared by its strategies (train.start)",
        )
    if cost.hard is None:
        tell_figure(
            "images to make",
            "unknown",
            "which photos are hard is known once the out-of-fold models are trained",
        )
    else:
        of = f"of {cost.hard_classes} of {cost.classes} classes" if cost.hard_classes else ""
        if of and cost.experiments > cost.cached:
            tell_figure("hard photos", f"{cost.hard:,}", of)
        tell_figure(
            "images to make",
            f"{cost.images:,}",
            f"{cost.denoising_steps:,} denoising steps, about {cost.bytes / 1e6:.1f} MB",
        )
    steps = round(cost.optimiser_steps * times)
    images = round(cost.trained_images * times)
    tell_figure("optimiser steps", f"{steps:,}", f"{images:,} images trained on")


def print_space(cost: CostEstimate, times: float = 1.0) -> None:
    """The disk that images and runs take, and the memory that the samples needed."""
    disk = cost.bytes + cost.run_bytes * times
    if disk:
        tell_figure("disk", f"{disk / 1e6:,.1f}", "MB: images, their pixels, and what runs keep")
    if cost.memory_bytes:
        tell_figure("memory", f"{cost.memory_bytes / 1e9:.1f}", "GB, by the samples of one worker")


def print_strategies(cost: CostEstimate) -> None:
    """What the runs of each strategy take, where there are several."""
    if len(cost.strategies) < 2:
        return
    for name, of_it in cost.strategies.items():
        known = not math.isnan(of_it.seconds)
        levels = ", ".join(map(str, sorted(of_it.levels)))
        tell_figure(
            name,
            f"{of_it.seconds / 60:,.1f}" if known else "unknown",
            f"{'minutes for' if known else 'time of'} {counted(of_it.runs, 'run')},"
            f" {counted(of_it.optimiser_steps, 'step')};"
            f" {f'levels {levels}' if levels else 'photos alone'}",
        )


def print_by_flops(cost: CostEstimate) -> None:
    """Which work was not timed, since a sample of it would take longer than a plan may."""
    if cost.by_flops:
        tell_figure(
            "by FLOPs",
            "-",
            f"{' and '.join(cost.by_flops)}: a sample takes too long here, so this is FLOPs over"
            " half the pace of a matrix product, rough: twice or half as long is no surprise;"
            " `--gpu NAME` prices a GPU",
        )


def source_of_time(cost: CostEstimate, source: str) -> str:
    """Where the time comes from: `source`, or that some of it is rough."""
    return "rough, by FLOPs as the next line says" if cost.by_flops else source


def print_time(
    amount: float,
    unit: str,
    digits: int,
    source: str,
    unmeasured: Sequence[str] = (),
    known: float = math.nan,
) -> None:
    """How long it takes here, or that this is not known: `amount` is nan.

    Then `unmeasured` is the work whose pace is not known, and `known` what the rest takes.
    """
    if not math.isnan(amount):
        tell_figure("time here", f"{amount:,.{digits}f}", f"{unit}, {source}")
    elif unmeasured:
        told = f"{known:,.{digits}f}"
        rest = f"; all else takes {told} {unit}" if known >= 0.1**digits else ""
        works = " and ".join(unmeasured)
        tell_figure("time here", "unknown", f"a sample of {works} takes too long here{rest}")
    else:
        tell_figure("time here", "unknown", "a sample of the work takes too long here")
