"""The loop that trains every miniature network: cosine schedule, weight averaging, exact resume."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from discl.core.interfaces import Ints
from discl.core.plain_files import append_line, plain
from discl.files.disk import atomic_write

Rows = Ints
LossOf = Callable[[Rows, torch.Generator], dict[str, Tensor]]


@dataclass(frozen=True)
class Recipe:
    """Settings that train one miniature network; it sees `steps * batch` samples."""

    steps: int
    batch: int
    lr: float
    warmup: int = 200
    weight_decay: float = 0.01
    ema: float = 0.999
    clip: float = 1.0
    seed: int = 0
    precision: str = "bf16"

    def rate(self, step: int) -> float:
        """Learning rate at `step`: linear warm-up, then half a cosine down to zero."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@dataclass(frozen=True)
class StepReport:
    """One line of the training log."""

    step: int
    samples: int
    minutes: float
    losses: dict[str, float]


def batches(rows: int, recipe: Recipe, first: int) -> Iterator[tuple[int, Rows]]:
    """(step, rows [batch]) from step `first` on; (seed, epoch) decide each epoch's permutation."""
    per_epoch = max(1, rows // recipe.batch)
    for step in range(first, recipe.steps):
        epoch, number = divmod(step, per_epoch)
        if number == 0 or step == first:
            order = np.random.default_rng([recipe.seed, epoch]).permutation(rows)
        yield step, order[number * recipe.batch : (number + 1) * recipe.batch]


def train(
    network: nn.Module,
    loss_of: LossOf,
    rows: int,
    recipe: Recipe,
    folder: Path,
    device: torch.device,
    save_every_s: float = 120.0,
    log_every: int = 100,
) -> Iterator[StepReport]:
    """Train `network` in place, and leave the averaged weights in it.

    Yields a StepReport every `log_every` steps. `loss_of(rows, generator)` returns named losses;
    "loss" is the one minimised. The state is saved to `folder/state.pt` every `save_every_s`
    seconds and read by the next call, so a stop costs no more than that. Raises FloatingPointError
    where the loss is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, betas=(0.9, 0.99)
    )
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    first, spent_s = _restore(folder, recipe, network, optimiser, average)
    start = saved = time.monotonic() - spent_s
    network.train()
    sums: dict[str, float] = {}
    counted = 0
    for step, chosen in batches(rows, recipe, first):
        noise = torch.Generator().manual_seed(
            int(np.random.default_rng([recipe.seed, 1, step]).integers(2**62))
        )
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate(step)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            losses = loss_of(chosen, noise)
        _check_finite(losses["loss"], folder.name, step, recipe.lr)
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimiser.step()
        _update_average(average, network, min(recipe.ema, (1 + step) / (10 + step)))
        counted += 1
        for key, value in losses.items():
            sums[key] = sums.get(key, 0.0) + float(value.detach())
        now = time.monotonic()
        done = step + 1
        if done % log_every == 0 or done == recipe.steps:
            means = {k: v / counted for k, v in sums.items()}
            sums = {}
            counted = 0
            report = StepReport(done, done * recipe.batch, (now - start) / 60, means)
            append_line(folder / "log.jsonl", json.dumps(asdict(report)))
            yield report
        if now - saved > save_every_s or done == recipe.steps:
            _save(folder, recipe, done, now - start, network, optimiser, average)
            saved = now
    network.load_state_dict(average)
    network.eval()


def _check_finite(loss: Tensor, network: str, step: int, lr: float) -> None:
    if not torch.isfinite(loss):
        raise FloatingPointError(
            f"{network}: loss is {loss.item()} at step {step}; lower lr from {lr}"
        )


@torch.no_grad()
def _update_average(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    for key, value in network.state_dict().items():
        if value.dtype.is_floating_point:
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)


def _save(
    folder: Path,
    recipe: Recipe,
    step: int,
    seconds: float,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
) -> None:
    state = {
        "recipe": asdict(recipe),
        "step": step,
        "seconds": seconds,
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": average,
    }
    with atomic_write(folder / "state.pt") as tmp:
        torch.save(state, tmp)


def _restore(
    folder: Path,
    recipe: Recipe,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
) -> tuple[int, float]:
    """(next step, seconds spent) of a saved state of this recipe; (0, 0) where there is none."""
    path = folder / "state.pt"
    if not path.exists():
        return 0, 0.0
    state = torch.load(plain(path), map_location="cpu", weights_only=True)
    if state["recipe"] != asdict(recipe):
        raise ValueError(
            f"{path} was made by another recipe ({state['recipe']}); move {folder} away to start"
            " anew"
        )
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    for key, value in state["average"].items():
        average[key].copy_(value)
    return int(state["step"]), float(state["seconds"])
