"""The price of a benchmark on a GPU on the terminal."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from discl.cli.render.tables import show, tell, tell_figure
from discl.engine.bank.filling import MOST_WASTE

if TYPE_CHECKING:
    from discl.config.benchmark import Benchmark
    from discl.harness.price.bank import BankPrice
    from discl.harness.price.estimate import PricedPlan
    from discl.harness.price.training import TrainingPrice

_GB = 1e9


def print_plan(spec: Benchmark, plan: PricedPlan) -> None:
    """What is made, per level and strategy; hours, money, memory and disk of all of it."""
    gpu = plan.gpu
    tell(
        f"{spec.title}, scale {spec.scale}, on {plan.count} x {gpu.title}: estimated, nothing is"
        " measured"
    )
    tell(
        f"from FLOPs at {gpu.utilisation:.0%} of {gpu.bf16:g} TFLOP/s dense bfloat16 ({gpu.tf32:g}"
        f" TF32, {gpu.fp32:g} float32), {gpu.bandwidth:g} GB/s and {gpu.memory:g} GB; source:"
        f" {gpu.source}",
        indent="  ",
    )
    photos = plan.photos
    of = f"of {photos.train:,} training photos; counts {photos.source}"
    tell_figure("hard photos", f"{photos.hard:,}", of)
    if plan.bank:
        _print_bank(plan, plan.bank)
    if plan.training:
        _print_training(plan, plan.training)
    for why in plan.unknown:
        tell_figure("unknown", "-", f"price of {why}")
    _print_total(plan)


def as_dict(spec: Benchmark, plan: PricedPlan) -> dict[str, Any]:
    """All that is printed and more, for programs: hours, bytes, and an amount of a currency."""
    told = {"benchmark": spec.name, "scale": spec.scale, **asdict(plan)}
    if plan.bank:
        bank = plan.bank
        totals = {"images": bank.images, "hours": bank.hours, "loop_hours": bank.loop_hours}
        told["bank"] |= totals
    if plan.training:
        told["training"] |= {"hours": plan.training.hours}
    price = plan.gpu.price
    amount = price.amount * plan.hours * plan.count if price else None
    money = {"amount": amount, "currency": price.currency} if price else None
    return {**told, "hours": plan.hours, "gpu_hours": plan.gpu_hours, "money": money}


def _print_bank(plan: PricedPlan, bank: BankPrice) -> None:
    height, width = bank.size
    rows = [
        [
            str(level.level),
            str(level.steps),
            f"{level.images:,}",
            f"{level.tflop:.3g}",
            _seconds(level.seconds),
            _seconds(level.loop_seconds),
        ]
        for level in bank.levels
    ]
    show(
        f"Images: {bank.generator}, {width}x{height}, {bank.dtype}, {bank.chunk} at a time,"
        f" {'compiled' if bank.compiled else 'not compiled (x 1.25)'}",
        ["level", "steps", "images", "TFLOP an image", "seconds an image", "in a loop"],
        rows,
        worth=["seconds an image", "steps", "images"],
    )
    tell_figure(
        "images to make",
        f"{bank.images:,}",
        f"{hours(bank.hours / plan.count)} on {plan.count} GPU{'s' if plan.count > 1 else ''}"
        f"{_money(plan, bank.hours)}; {bank.filling:.0%} fills groups up"
        f"{', which a smaller generator.chunk would lower' if bank.filling > MOST_WASTE else ''}",
    )
    tell_figure(
        "one at a time",
        hours(bank.loop_hours / plan.count),
        f"a loop over diffusers' pipeline{_money(plan, bank.loop_hours)}:"
        f" {bank.loop_hours / bank.hours:.1f} times as long",
    )
    room = plan.gpu.memory / plan.workers
    tell_figure(
        "memory, images",
        f"{bank.memory_bytes / _GB:.1f}",
        f"GB of {room:.3g} a worker at generator.chunk = {bank.chunk}:"
        f" {_fits(bank.memory_bytes, room, bank.largest_chunk, 'generator.chunk')}",
    )


def _print_training(plan: PricedPlan, training: TrainingPrice) -> None:
    rows = [
        [
            each.name,
            str(each.runs),
            hours(each.hours),
            hours(each.bank_hours),
            hours(each.hours + each.bank_hours),
        ]
        for each in training.strategies
    ]
    show(
        f"Training: {training.steps:,} steps of {training.step_tflop:.3g} TFLOP, batch"
        f" {training.batch}, {_seconds(training.step_seconds)} s each",
        ["strategy", "runs", "training", "its images", "if alone"],
        rows,
        worth=["training", "runs", "if alone"],
    )
    if training.other_hours:
        tell_figure(
            "beside runs",
            hours(training.other_hours),
            "starts, models that find the hard photos, features of a frozen trunk",
        )
    key = "train.batch" if training.parts == 1 else "train.batch / train.accumulate"
    tell_figure(
        "memory, training",
        f"{training.memory_bytes / _GB:.1f}",
        f"GB of {plan.gpu.memory:g} at {key} = {training.batch // training.parts}:"
        f" {_fits(training.memory_bytes, plan.gpu.memory, training.largest_batch, key)}",
    )


def _print_total(plan: PricedPlan) -> None:
    weights = plan.bank.download_bytes if plan.bank else 0
    parts = [(plan.dataset_bytes, "photos"), (weights, "the checkpoint, in every precision it has")]
    told = [f"{size / _GB:.1f} of {what}" for size, what in parts if size]
    without = "" if plan.bank or not plan.unknown else ", without the images, which are unknown"
    tell_figure(
        "download",
        f"{(plan.dataset_bytes + weights) / _GB:.1f}",
        f"GB: {', '.join(told) or 'nothing that is known to be missing'}{without}",
    )
    kept = f"GB: images, their pixels, and what runs keep{without}"
    tell_figure("disk", f"{plan.disk_bytes / _GB:.1f}", kept)
    total = hours(plan.hours)
    tell_figure(
        "in all",
        total,
        f"on {plan.count} GPU{'s' if plan.count > 1 else ''}; {hours(plan.gpu_hours)} of one GPU",
    )
    price = plan.gpu.price
    if price is None:
        tell_figure("money", "unknown", 'no price is listed; add --price "AMOUNT CURRENCY"')
    else:
        tell_figure(
            "money",
            plan.cost or "unknown",
            f"at {price.amount:g} {price.currency} an hour of one ({price.source})",
        )


def _fits(held: float, room: float, largest: int, setting: str) -> str:
    """Whether it fits into `room` GB, and the most that would."""
    if held <= room * _GB:
        return f"fits, up to {largest:,}"
    if largest:
        return f"does NOT fit; {setting} = {largest:,} would"
    return "does NOT fit, whatever the setting; take a GPU with more memory"


def _money(plan: PricedPlan, gpu_hours: float) -> str:
    price = plan.gpu.price
    return f", {price.of(gpu_hours)}" if price else ""


def _seconds(amount: float) -> str:
    return f"{amount:.3g}"


def hours(amount: float) -> str:
    """'3.9 h', '12 min', '40 s', 'under 1 s', or 'unknown' where it is nan."""
    if math.isnan(amount):
        return "unknown"
    if amount >= 1:
        return f"{amount:,.1f} h"
    if 0 < amount * 3600 < 0.5:
        return "under 1 s"
    return f"{amount * 60:.0f} min" if amount >= 1 / 30 else f"{amount * 3600:.0f} s"
