"""The embedded generators: what each learns from, which weights it begins with, and its recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from discl.core.interfaces import Photos
from discl.miniature import denoiser
from discl.miniature.camera import retaken
from discl.miniature.training import Recipe
from discl.parts.datasets.cifar10.photos import SEEN

_PHOTOS = f"{SEEN:,} labelled photos of every class of CIFAR-10, tail classes included"


@dataclass(frozen=True)
class EmbeddedGenerator:
    """One generator of the package.

    `folder` holds its weights, `report` and `sheet` what was measured of it, inside the assets;
    `pictures` makes what it learns from out of the pool's photos. It begins with the weights in the
    folder `start` ("" = untrained), and has the autoencoder of the folder `autoencoder` ("" = one
    fitted to its pictures).
    """

    folder: str
    report: str
    sheet: str  # the picture of its images at every level
    seen: str  # its training record, in words
    recipe: Recipe
    pictures: Callable[[Photos], Photos]
    start: str = ""
    autoencoder: str = ""
    with_scorer: bool = False  # the scorer is trained beside it


GENERATORS = {
    "in_domain": EmbeddedGenerator(
        "cifar10_diffusion",
        "retention.json",
        "spectrum.png",
        _PHOTOS,
        denoiser.RECIPE,
        lambda photos: photos,
        with_scorer=True,
    ),
    "gap": EmbeddedGenerator(
        "cifar10_diffusion_gap",
        "retention_gap.json",
        "gap_spectrum.png",
        f"{_PHOTOS}: first as they are, then as another camera would have taken them",
        Recipe(steps=600, batch=64, lr=3e-4, warmup=40, ema=0.99, seed=6, precision="fp32"),
        retaken,
        start="cifar10_diffusion",
        autoencoder="cifar10_diffusion",
    ),
}


def from_scratch(chosen: EmbeddedGenerator) -> EmbeddedGenerator:
    """The same generator trained from chance, by the long recipe."""
    if not chosen.start:
        return chosen
    recipe = replace(denoiser.RECIPE, seed=chosen.recipe.seed)
    seen = f"{_PHOTOS}, as another camera would have taken them"
    return replace(chosen, start="", recipe=recipe, seen=seen)
