"""What the weights that come with the package were trained on: a photo of it cannot be trained or
tested on as if it were new.
"""

from __future__ import annotations

CIFAR10_POOL = "the 2,500 of CIFAR-10 a class that dataset.pool = 2500 keeps apart"

_SAW = dict.fromkeys(
    ("pkg://discl/assets/cifar10_diffusion", "pkg://discl/assets/cifar10_clip"),
    frozenset({CIFAR10_POOL}),
)


def trained_on(checkpoint: str) -> frozenset[str]:
    """The sets of photos in a checkpoint's training, as far as they may be a dataset's; nothing for
    weights from elsewhere.
    """
    return _SAW.get(checkpoint, frozenset())
