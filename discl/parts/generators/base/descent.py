"""A level's way down a scheduler's grid: where it begins, which timesteps it visits."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from discl.core.errors import UserError

# what diffusers' schedulers raise at settings, grids and predictions they cannot work with
ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    IndexError,
    ImportError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


def is_flow(scheduler: Any) -> bool:
    """Whether it goes straight from photo to noise, x = (1 - sigma) photo + sigma noise."""
    return hasattr(scheduler, "scale_noise")


class Grid:
    """`steps` places from noise to image, shared by all levels.

    A scheduler lists its timesteps for a start at the top, with those repeated where it asks the
    denoiser more than once: Heun's twice at all but the first, the linear multistep of PNDM twice
    at the second. A start further down repeats places as the start at the top does. Cutting off a
    part of the list instead, as diffusers 0.42.1 does, is right where nothing is repeated and for
    Heun; PNDM then begins elsewhere, and its warm-up ends a place apart from its latents.

    Timesteps stay on the host, where a scheduler decides by them how to step: a number costs a GPU
    nothing, and to ask one for it means to wait. Raises UserError where the scheduler has no grid
    of so many steps.
    """

    def __init__(
        self, scheduler: Any, steps: int, options: Mapping[str, Any] | None = None
    ) -> None:
        """`options`: what a family's grid needs beside the number of steps (`grid_options`)."""
        self.scheduler = copy.deepcopy(scheduler)
        self.steps = steps
        self.name = type(scheduler).__name__
        try:
            self.scheduler.set_timesteps(steps, device="cpu", **(options or {}))
        except ERRORS as error:
            raise self._refusal(str(error)) from error
        self.places, self.calls = self._places()

    def _places(self) -> tuple[Tensor, list[int]]:
        """The timestep [steps] of each place, and how often a start at the top visits it."""
        listed: Tensor = self.scheduler.timesteps
        if len(listed) == self.steps:
            return listed, [1] * self.steps
        places, calls = torch.unique_consecutive(listed, return_counts=True)
        if len(places) != self.steps:
            raise self._refusal(f"it lists {len(places)} timesteps")
        return places, calls.tolist()

    def _refusal(self, reason: str) -> UserError:
        return UserError(
            f"generator.steps = {self.steps}: {self.name} has no such grid ({reason}); take another"
            " number of steps, or set generator.scheduler"
        )

    def begin(self, steps: int) -> int:
        """The place from which `steps` steps are left."""
        return self.steps - steps

    def timesteps(self, begin: int) -> Tensor:
        """The timesteps [calls] that a start at place `begin` visits, one for each call."""
        calls = torch.tensor(self.calls[: self.steps - begin])
        return self.places[begin:].repeat_interleave(calls)


class Descent:
    """The way down of the images that begin at one place, with a scheduler of their own.

    Multistep schedulers keep a history, so levels cannot share one.
    """

    def __init__(self, grid: Grid, begin: int, scheduler: Any = None) -> None:
        """`scheduler`: the one that steps; none = a copy of the grid's."""
        self.begin = begin
        self.timesteps = grid.timesteps(begin)
        self.taken = 0  # calls of the denoiser so far
        self._scheduler = copy.deepcopy(grid.scheduler) if scheduler is None else scheduler
        self._accepted = inspect.signature(self._scheduler.step).parameters
        if hasattr(self._scheduler, "set_begin_index"):
            # the last of a place's entries is its first evaluation; the others end the step before
            self._scheduler.set_begin_index(sum(grid.calls[: begin + 1]) - 1)

    @property
    def noise_scale(self) -> float | Tensor:
        """Deviation of the latents that pure noise begins with, a number or of shape []."""
        if is_flow(self._scheduler):
            return 1.0
        return self._scheduler.init_noise_sigma  # type: ignore[no-any-return]

    def noised(self, clean: Tensor, noise: Tensor) -> Tensor:
        """Latents [n, c, h, w] where it has come to, of an image's latents and noise."""
        if self.taken == len(self.timesteps):
            return clean
        now = self.timestep.repeat(len(clean))
        if is_flow(self._scheduler):
            return self._scheduler.scale_noise(clean, now, noise)  # type: ignore[no-any-return]
        return self._scheduler.add_noise(clean, noise, now)  # type: ignore[no-any-return]

    @property
    def timestep(self) -> Tensor:
        """Of the next call of the denoiser, of shape []."""
        return self.timesteps[self.taken]

    def inputs(self, latents: Tensor) -> Tensor:
        """What the denoiser sees of latents [n, c, h, w]."""
        if is_flow(self._scheduler):
            return latents
        return self._scheduler.scale_model_input(latents, self.timestep)  # type: ignore[no-any-return]

    def step(
        self, prediction: Tensor, latents: Tensor, generators: list[torch.Generator]
    ) -> Tensor:
        """The next latents [n, c, h, w], of a prediction from the last; noise of each generator."""
        options = self._options(generators)
        stepped = self._scheduler.step(
            prediction, self.timestep, latents, **options, return_dict=False
        )
        self.taken += 1
        return stepped[0]  # type: ignore[no-any-return]

    def _options(self, generators: list[torch.Generator]) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if "generator" in self._accepted:
            options["generator"] = generators
        if "eta" in self._accepted:
            options["eta"] = 0.0  # as diffusers sets it
        if "order" in self._accepted:
            # a linear multistep takes its order from the place on the grid; in the middle it would
            # give the one prediction there is the weight it has among four, and step too far
            highest = self._accepted["order"].default
            options["order"] = min(self.taken + 1, highest)
        return options
