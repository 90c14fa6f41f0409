"""A scheduler's rehearsal with denoisers that know the answer, before images are made with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from discl.core.errors import UserError
from discl.parts.generators.base.descent import ERRORS, Descent, Grid, is_flow

TOLERANCE = 0.01  # of the photo's share of the latents that the denoiser sees
_SHAPE = (4, 8, 8)
_VELOCITY = "velocity"  # of a straight line from photo to noise
_FLAT = 2.5  # a value of latents far from 0, which clipping to -1 .. 1 would change
_TOO_WIDE = 1.5  # deviation of images whose latents have a deviation of 1


@dataclass(frozen=True)
class Rehearsed:
    """What a start at one place gave."""

    begin: int
    timesteps: list[float]  # of the denoiser's calls
    shares: list[float]  # of the photo in the denoiser's input, at each call and at the end
    expected: list[float]  # the same by the noise schedule that the denoiser was trained on
    spread: float  # deviation of the image where photos are normal noise of deviation 1

    @property
    def off(self) -> float:
        """The largest error of a share."""
        return max(abs(a - b) for a, b in zip(self.shares, self.expected, strict=True))


def rehearsed(grid: Grid, begin: int, text_only: bool = False) -> Rehearsed:
    """Latents go down from `begin` by denoisers that know the answer.

    Two know the photo, of constant value, once positive and once negative, in the same noise: half
    the difference of their latents is the photo's share, exactly. The third knows that photos are
    normal noise of deviation 1, so its answer changes with the noise level (`text_only`: it begins
    from pure noise); that a second-order step fits only then shows.
    """
    descent = Descent(grid, begin)
    config = grid.scheduler.config
    clips = config.get("clip_sample") or config.get("thresholding")
    flat = 0.5 if clips else _FLAT
    photos = torch.tensor([flat, -flat, 0.0]).view(3, 1, 1, 1).expand(3, *_SHAPE)
    dice = torch.Generator().manual_seed(0)
    noise = torch.randn(1, *_SHAPE, generator=dice).expand(3, *_SHAPE)
    normal = torch.randn(_SHAPE, generator=dice)
    clean = torch.cat([photos[:2], normal[None]])
    latents = descent.noised(clean, noise)
    if text_only:
        latents = torch.cat([latents[:2], noise[2:] * descent.noise_scale])
    generators = [torch.Generator().manual_seed(1) for _ in range(3)]
    shares: list[float] = []
    expected: list[float] = []
    for timestep in descent.timesteps:
        inputs = descent.inputs(latents)
        signal, sigma = _amounts(grid, timestep)
        shares.append(_difference(inputs) / flat)
        expected.append(float(signal))
        known = signal / (signal**2 + sigma**2) * inputs[2:].double()
        answer = torch.cat([photos[:2].double(), known])
        guess = _prediction(_kind(grid), inputs.double(), answer, signal, sigma)
        latents = descent.step(guess.float(), latents, generators)
    return Rehearsed(
        begin,
        [float(timestep) for timestep in descent.timesteps],
        [*shares, _difference(latents) / flat],
        [*expected, 1.0],
        float(latents[2].std()),
    )


def _difference(latents: Tensor) -> float:
    return float((latents[0].double() - latents[1].double()).mean() / 2)


def _amounts(grid: Grid, timestep: Tensor) -> tuple[Tensor, Tensor]:
    """Photo and noise of latents of a timestep, interpolated between whole ones by their ratio."""
    if is_flow(grid.scheduler):
        share = timestep.double() / grid.scheduler.config.num_train_timesteps
        return 1 - share, share
    kept = grid.scheduler.alphas_cumprod.double()
    low = int(timestep)
    part = float(timestep) - low
    high = min(low + 1, len(kept) - 1)
    if part == 0 or kept[high] == 0:
        return kept[low].sqrt(), (1 - kept[low]).sqrt()
    ratio = ((1 - kept) / kept).sqrt()
    between = (1 - part) * ratio[low] + part * ratio[high]
    signal = 1 / (1 + between**2).sqrt()
    return signal, signal * between


def _kind(grid: Grid) -> str | None:
    """What the denoiser of a scheduler predicts; None = not known."""
    if is_flow(grid.scheduler):
        return _VELOCITY
    return getattr(grid.scheduler.config, "prediction_type", None)


def _prediction(
    kind: str | None, inputs: Tensor, answer: Tensor, signal: Tensor, sigma: Tensor
) -> Tensor:
    """What a denoiser says that takes the photo to be `answer`."""
    if kind == "sample":
        return answer
    noise = (inputs - signal * answer) / sigma
    if kind == _VELOCITY:
        return noise - answer
    return noise if kind == "epsilon" else signal * noise - sigma * answer


def check(grid: Grid) -> None:
    """Raises UserError where images would not begin, or not end, where their level says.

    Schedulers that count noise otherwise than by timesteps of Stable Diffusion are not rehearsed.
    """
    if not _can_be_rehearsed(grid):
        return
    _check_distinct(grid)
    for begin in sorted({0, min(1, grid.steps - 1), grid.steps // 2, grid.steps - 1}):
        _check_one(grid, begin)


def _can_be_rehearsed(grid: Grid) -> bool:
    if is_flow(grid.scheduler):
        return True
    kept = getattr(grid.scheduler, "alphas_cumprod", None)
    kind = _kind(grid)
    if kept is None or kind not in ("epsilon", "v_prediction", "sample"):
        return False
    return bool((grid.places >= 0).all() and (grid.places <= len(kept) - 1).all())


def _check_distinct(grid: Grid) -> None:
    """Two places of one timestep may still differ in their noise, where those are rounded."""
    for begin in (grid.places[1:] == grid.places[:-1]).nonzero().flatten().tolist():
        one, two = (_start_share(grid, place) for place in (begin, begin + 1))
        if one == two:
            raise UserError(
                f"generator.steps = {grid.steps}: {grid.name} puts places {begin + 1} and"
                f" {begin + 2} on one timestep, {float(grid.places[begin]):g}, so two levels could"
                " begin alike; take fewer steps"
            )


def _start_share(grid: Grid, begin: int) -> float:
    ones = torch.ones(1, *_SHAPE)
    descent = Descent(grid, begin)
    return float(descent.noised(ones, 2 * ones).mean())


def _check_one(grid: Grid, begin: int) -> None:
    left = f"{grid.steps - begin} of {grid.steps} steps before the end"
    where = f"generator.scheduler ({grid.name}), {left}"
    way_out = "set generator.scheduler to another, or generator.steps"
    try:
        result = rehearsed(grid, begin, text_only=begin == 0)
    except ERRORS as error:
        raise UserError(f"{where}: it cannot step ({error}); {way_out}") from error
    if not result.off <= TOLERANCE:
        worst = max(
            range(len(result.shares)), key=lambda i: abs(result.shares[i] - result.expected[i])
        )
        timestep = [*result.timesteps, 0.0][worst]
        raise UserError(
            f"{where}: where the denoiser takes {result.expected[worst]:.1%} of its input to be the"
            f" photo (timestep {timestep:g}), {result.shares[worst]:.1%} are; {way_out}"
        )
    if not math.isfinite(result.spread):
        raise UserError(f"{where}: its values are not finite; {way_out}")
    if result.spread > _TOO_WIDE:
        raise UserError(
            f"{where}: it overshoots, images get {result.spread:.1f} times the contrast of photos;"
            f" {way_out}"
        )
