"""Embeddings of many photos, computed once and kept beside the bank's other caches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from discl.core.hashing import short
from discl.core.interfaces import Floats, Photos, Progress, Scorer
from discl.files.disk import atomic_write

BATCH = 128  # also how often progress is told


class Stack(NamedTuple):
    """Photos to embed, under a name; `content` changes whenever the photos or the scorer do."""

    name: str
    content: object
    pixels: Photos


def embedded(
    stacks: Sequence[Stack], scorer: Scorer, folder: Path, progress: Progress
) -> dict[str, Floats]:
    """Unit vectors [n, d] by name, as memory maps; only what `folder` lacks is computed.

    A stop loses the stack in work.
    """
    paths = {stack.name: _path(folder, stack.name, stack.content) for stack in stacks}
    todo = [stack for stack in stacks if not paths[stack.name].exists()]
    done = 0
    total = sum(len(stack.pixels) for stack in todo)
    for stack in todo:
        parts = []
        for start in range(0, len(stack.pixels), BATCH):
            progress("embedding photos and images", done, total)
            parts.append(
                _units(scorer.embed_images(np.asarray(stack.pixels[start : start + BATCH])))
            )
            done += len(parts[-1])
        _keep(paths[stack.name], np.concatenate(parts))
    if todo:
        progress("embedding photos and images", total, total)
    return {name: np.load(path, mmap_mode="r") for name, path in paths.items()}


def anchors(
    captions: Sequence[Sequence[str]], scorer: Scorer, identity: object, folder: Path
) -> Floats:
    """A unit vector [c, d] for each class: the mean of its captions' embeddings.

    Kept like photos' are.
    """
    path = _path(folder, "captions", [identity, captions])
    if not path.exists():
        flat = [text for texts in captions for text in texts]
        vectors = np.concatenate(
            [
                _units(scorer.embed_texts(flat[start : start + BATCH]))
                for start in range(0, len(flat), BATCH)
            ]
        )
        ends = np.cumsum([len(texts) for texts in captions])
        _keep(path, _units(np.stack([part.mean(0) for part in np.split(vectors, ends[:-1])])))
    kept: Floats = np.load(path)
    return kept


def _keep(path: Path, vectors: Floats) -> None:
    with atomic_write(path) as tmp, tmp.open("wb") as opened:
        np.save(opened, vectors)


def _path(folder: Path, name: str, content: object) -> Path:
    return folder / f"embedded-{re.sub(r'[^A-Za-z0-9-]', '-', name)}-{short([name, content])}.npy"


def _units(vectors: Floats) -> Floats:
    return np.asarray(
        vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32
    )
