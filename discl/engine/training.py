"""The training loop: mix, plan, batches, step, measure; an iterator of reports that knows no tracker and no disk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from discl.engine.metrics import split_metrics
from discl.engine.prediction import Normaliser, logits_of
from discl.engine.sampling import Plan, Tail, Targets, Usable, plan_epoch, probe_rows
from discl.spec.errors import UserError
from discl.spec.kinds import EpochReport, Ints, Loss, Moment, Photos, Split, Strategy, check_mix
from discl.spec.levels import PHOTO

REAL: Mapping[int, float] = {PHOTO: 1.0}


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained. `curriculum_epochs` of `epochs` follow the strategy; the rest see photos only."""

    epochs: int
    curriculum_epochs: int
    batch: int
    lr: float
    weight_decay: float
    optimiser: str
    warmup_epochs: int
    shift: int  # random translation, in pixels
    mirror: bool
    evaluate_every: int  # epochs between looks at val; the last epoch always is looked at


@dataclass(frozen=True)
class Material:
    """What a run learns from: the training split, its hard rows, and the usable synthetic images of each level."""

    train: Split
    tail: Tail
    classes: int
    levels: tuple[int, ...]
    usable: Mapping[int, Usable]
    pixels: Mapping[int, Photos]  # level -> [m, h, w, 3]
    val: Split


def fit(
    network: nn.Module,
    strategy: Strategy,
    loss: Loss,
    material: Material,
    recipe: Recipe,
    targets: Targets,
    normaliser: Normaliser,
    seed: int,
    device: torch.device,
) -> Iterator[EpochReport]:
    """Train `network` in place, one report an epoch. The caller may stop after any of them."""
    network.to(device)
    counts = torch.from_numpy(np.bincount(material.train.labels, minlength=material.classes)).float().to(device)
    steps = targets.images // recipe.batch
    optimiser, schedule = _optimiser(network, recipe, steps)
    probe = _Probe.of(strategy, material, normaliser, seed, device)
    tail = Tail(material.tail.labels, material.tail.hard, frozenset(probe.rows.tolist()) if probe else frozenset())
    history: list[EpochReport] = []

    def run(plan: Plan, first: int, epoch: int) -> None:
        network.train()
        chance = torch.Generator().manual_seed(int(np.random.default_rng([seed, epoch, first]).integers(2**62)))
        for step in range(len(plan) // recipe.batch):
            schedule.step_update(epoch * steps + first + step)
            part = Plan(*(column[step * recipe.batch : (step + 1) * recipe.batch] for column in plan))
            photos = normaliser(_augmented(_gather(part, material), recipe, chance).to(device))
            labels = torch.from_numpy(material.train.labels[part.row]).to(device)
            value = loss(network, photos, labels, counts, (epoch * steps + first + step) / (recipe.epochs * steps))
            if not torch.isfinite(value):
                raise UserError(f"the loss became {value.item()} in epoch {epoch}, step {first + step}; lower train.lr from {recipe.lr}")
            optimiser.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    for epoch in range(recipe.epochs):
        started, real_phase = time.monotonic(), epoch >= recipe.curriculum_epochs
        rng = np.random.default_rng([seed, epoch])
        gains: Mapping[int, Sequence[float]] = {}
        burst = Plan(*(np.empty(0, np.int64),) * 3)
        if probe and not real_phase:
            # the burst is real training and counts: its steps come out of the epoch's
            burst_targets = Targets(max(1, round(steps * probe.burst)) * recipe.batch, targets.tail_share, targets.max_repeats)
            burst = plan_epoch(tail, REAL, {}, burst_targets, rebalanced=False, rng=rng)
            before = probe.measure(network)
            run(burst, 0, epoch)
            after = probe.measure(network)
            gains = {level: (after[level] - before[level]).tolist() for level in before}
        now = Moment(epoch, recipe.curriculum_epochs, material.levels, tuple(history), rng, gains)
        mix = dict(REAL) if real_phase else check_mix(strategy.mix(now), material.levels)
        rest = Targets(steps * recipe.batch - len(burst), targets.tail_share, targets.max_repeats)
        plan = plan_epoch(tail, mix, material.usable, rest, strategy.rebalanced, rng)
        run(plan, len(burst) // recipe.batch, epoch)
        values = {}
        if (epoch + 1) % recipe.evaluate_every == 0 or epoch + 1 == recipe.epochs:
            guess = logits_of(network, material.val.pixels, normaliser, device).argmax(1)
            measured = split_metrics(material.val.labels, guess, np.bincount(material.train.labels, minlength=material.classes))
            values = {f"val/{key}": value for key, value in measured.items()}
        report = EpochReport(
            epoch=epoch,
            mix=mix,
            seen=_seen(burst, plan),
            steps=(len(burst) + len(plan)) // recipe.batch,
            lr=float(optimiser.param_groups[0]["lr"]),
            seconds=time.monotonic() - started,
            values=values,
            gains={level: float(np.mean(each)) for level, each in gains.items()},
            real_phase=real_phase,
        )
        history.append(report)
        yield report


def _optimiser(network: nn.Module, recipe: Recipe, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    """timm's optimiser and its cosine schedule, updated every step."""
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler

    if steps < 1:
        raise UserError(f"train.batch = {recipe.batch} is larger than an epoch of images; lower it or raise sampling.images")
    try:
        optimiser = create_optimizer_v2(network, opt=recipe.optimiser, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=0.9)
    except (ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"train.optimiser = {recipe.optimiser!r}: timm knows no such optimiser ({error})") from error
    schedule = CosineLRScheduler(
        optimiser,
        t_initial=recipe.epochs * steps,
        warmup_t=recipe.warmup_epochs * steps,
        warmup_lr_init=recipe.lr / 20,
        warmup_prefix=False,
        t_in_epochs=False,
    )
    return optimiser, schedule


def _gather(plan: Plan, material: Material) -> Tensor:
    """Pixels uint8 [b, h, w, 3] of a batch: photos and the levels' images, each an index into an array."""
    batch = np.array(material.train.pixels[plan.row])
    for level in np.unique(plan.level):
        if level != PHOTO:
            mine = plan.level == level
            batch[mine] = material.pixels[int(level)][plan.place[mine]]
    return torch.from_numpy(batch)


def _augmented(photos: Tensor, recipe: Recipe, chance: torch.Generator) -> Tensor:
    """Random translation (reflected at the edge) and mirroring, a photo at a time; uint8 [b, h, w, 3] in and out."""
    count, h, w, _ = photos.shape
    down, across = torch.arange(h)[None, :, None], torch.arange(w)[None, None, :]
    if recipe.shift:
        move = torch.randint(-recipe.shift, recipe.shift + 1, (2, count, 1, 1), generator=chance)
        down, across = _reflected(down + move[0], h), _reflected(across + move[1], w)
    if recipe.mirror:
        mirrored = torch.rand(count, 1, 1, generator=chance) < 0.5
        across = torch.where(mirrored, w - 1 - across, across)
    return photos[torch.arange(count)[:, None, None], down, across]


def _reflected(place: Tensor, size: int) -> Tensor:
    place = place.abs()
    return torch.where(place >= size, 2 * (size - 1) - place, place)


def _seen(*plans: Plan) -> dict[int, int]:
    levels, counts = np.unique(np.concatenate([plan.level for plan in plans]), return_counts=True)
    return {int(level): int(count) for level, count in zip(levels, counts, strict=True)}


@dataclass(frozen=True)
class _Probe:
    """Photos kept out of training and one synthetic image of each per level, measured before and after a burst."""

    rows: Ints
    burst: float
    pixels: dict[int, Photos]
    labels: dict[int, Ints]
    normaliser: Normaliser
    device: torch.device

    @staticmethod
    def of(strategy: Strategy, material: Material, normaliser: Normaliser, seed: int, device: torch.device) -> _Probe | None:
        if strategy.probe is None:
            return None
        rows = probe_rows(material.tail, strategy.probe.holdout, np.random.default_rng([seed, 0x9E0BE]))
        pixels: dict[int, Photos] = {}
        labels: dict[int, Ints] = {}
        for level in strategy.uses(material.levels):
            if level == PHOTO:
                chosen, pixels[level] = rows, np.asarray(material.train.pixels[rows])
            else:
                usable = material.usable[level]
                first = [np.flatnonzero(usable.row == row)[:1] for row in rows]
                picked = np.concatenate(first) if first else np.empty(0, np.int64)
                chosen, pixels[level] = usable.row[picked], np.asarray(material.pixels[level][usable.place[picked]])
            labels[level] = material.train.labels[chosen]
        measurable = {level for level in pixels if len(labels[level])}
        return _Probe(rows, strategy.probe.burst, {k: pixels[k] for k in measurable}, {k: labels[k] for k in measurable}, normaliser, device)

    def measure(self, network: nn.Module) -> dict[int, np.ndarray[Any, np.dtype[np.float64]]]:
        """Probability of the true class of every probe image, by level. In eval mode: measuring must not move BatchNorm."""
        measured = {}
        for level in sorted(self.pixels):
            logits = logits_of(network, self.pixels[level], self.normaliser, self.device).astype(np.float64)
            chances = np.exp(logits - logits.max(1, keepdims=True))
            chances /= chances.sum(1, keepdims=True)
            measured[level] = chances[np.arange(len(chances)), self.labels[level]]
        return measured
