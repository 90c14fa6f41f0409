"""The generators that networks and losses draw from: of the CPU, and of a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]  # generator -> its state


def state_of(device: torch.device) -> State:
    """States of torch's global generators that work on `device` draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore(states: Any, device: torch.device) -> None:
    """Put the generators back; one of which there is no state goes on as it is.

    Earlier versions kept the state of the CPU's alone, as a tensor.
    """
    if isinstance(states, Tensor):
        states = {"cpu": states}
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
