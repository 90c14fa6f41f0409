"""Training photos of the weights that come with the package; they are not new to these weights."""

from __future__ import annotations

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
