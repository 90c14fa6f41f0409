"""Images by small random checkpoints, on whichever device: the cases of generator and scorer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from discl.core.interfaces import Generated, Photos, Request

STEPS = 4
CAT, DOG = "a photo of a cat", "a photo of a dog"


def photos() -> Photos:
    """Of the size that the checkpoints are made for."""
    return np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


def requests() -> list[Request]:
    """Levels from text alone to most of the photo, so that images join one after the other."""
    return [Request(level, (CAT, DOG)[i % 2], 7 + i) for i, level in enumerate((0, 25, 50, 75))]


def checkpoint(kind: str, folder: Path) -> Path:
    """The checkpoint's folder, written where it is not there yet."""
    from discl.testing import untrained

    found = folder / kind
    return found if found.exists() else untrained.write(kind, found)


def generator(kind: str, folder: Path, device: str, **settings: Any) -> Any:
    """The generator of a checkpoint, with these settings."""
    from discl.core.registry import bind

    given = {"steps": STEPS, "text_guidance": 4.0, "chunk": 2, "device": device, **settings}
    where = {"checkpoint": str(checkpoint(kind, folder))}
    return bind("generators", "img2img", where | given).build()


def made(generator: Any) -> Generated:
    """The images of the requests."""
    return generator.make(requests(), photos())  # type: ignore[no-any-return]


def scorer(folder: Path) -> Any:
    """A small random CLIP, on the device there is."""
    from discl.core.registry import bind
    from discl.testing.untrained import write_clip

    where = folder / "clip"
    if not where.exists():
        write_clip(where)
    return bind("scorers", "open_clip", {"model": str(where)}).build()


def scores(scorer: Any) -> Any:
    """Cosines [images, texts] of the photos."""
    return scorer.embed_images(photos()) @ scorer.embed_texts([CAT, DOG]).T
