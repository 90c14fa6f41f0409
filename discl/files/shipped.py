"""What ships with us: small weights, whose training photos are not new to them, and settings.

The settings are those of checkpoints that many use, so that their cost and the noise of their
levels are told without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from discl.core.plain_files import parsed_json, plain_text
from discl.files.disk import resource

CIFAR10_POOL = "the 2,500 of CIFAR-10 a class that dataset.pool = 2500 keeps apart"

# short names of the generators that ship with us, as generator.checkpoint takes them
GENERATORS = {
    "in_domain": "pkg://discl/assets/cifar10_diffusion",
    "gap": "pkg://discl/assets/cifar10_diffusion_gap",
}

_TRAINED_ON = dict.fromkeys(
    (*GENERATORS.values(), "pkg://discl/assets/cifar10_clip"), frozenset({CIFAR10_POOL})
)


def trained_on(checkpoint: str) -> frozenset[str]:
    """Names of the sets of photos a checkpoint was trained on; empty for other weights."""
    return _TRAINED_ON.get(checkpoint, frozenset())


def checkpoint_config(checkpoint: str) -> Mapping[str, Any] | None:
    """What ships of a checkpoint on the Hub, of any revision: one JSON object, by its parts.

    `pipeline` is the class of diffusers; `scheduler`, `unet`, `vae` and so on are settings. None
    where nothing ships.
    """
    return checkpoint_configs().get(checkpoint.partition("@")[0])


@cache
def checkpoint_configs() -> dict[str, Mapping[str, Any]]:
    """All that ship, by Hub id."""
    found = dict[str, Mapping[str, Any]]()
    for path in sorted(Path(resource("pkg://discl/assets/checkpoints")).glob("*.json")):
        content: dict[str, Any] = parsed_json(plain_text(path))
        found |= dict.fromkeys(content["ids"], content)
    return found
