"""Embeddings of many photos, computed once and kept beside the bank's other caches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from discl.core.hashing import short
from discl.core.interfaces import Floats, Photos, Progress, Scorer
from discl.files.sealed import save_array, whole_array

BATCH = 128  # also how often progress is reported


class EmbeddingInput(NamedTuple):
    """Photos to embed, under a name; `content` changes whenever the photos or the scorer do."""

    name: str
    content: object
    pixels: Photos


def embedded(
    inputs: Sequence[EmbeddingInput], scorer: Scorer, folder: Path, progress: Progress
) -> dict[str, Floats]:
    """Unit vectors [n, d] by name, as memory maps; only what `folder` lacks is computed.

    A kill loses the input in work.
    """
    paths = {photos.name: _path(folder, photos.name, photos.content) for photos in inputs}
    found = {photos.name: _stored(paths[photos.name], len(photos.pixels)) for photos in inputs}
    todo = [photos for photos in inputs if found[photos.name] is None]
    done = 0
    total = sum(len(photos.pixels) for photos in todo)
    for photos in todo:
        parts = []
        for start in range(0, len(photos.pixels), BATCH):
            progress("embedding photos and images", done, total)
            batch = np.asarray(photos.pixels[start : start + BATCH])
            parts.append(_units(scorer.embed_images(batch)))
            done += len(batch)
        _keep(paths[photos.name], np.concatenate(parts))
        found[photos.name] = _stored(paths[photos.name], len(photos.pixels))
    if todo:
        progress("embedding photos and images", total, total)
    return found


def anchors(
    captions: Sequence[Sequence[str]], scorer: Scorer, identity: object, folder: Path
) -> Floats:
    """A unit vector [c, d] for each class: the mean of its captions' embeddings.

    Kept in `folder`, as those of photos are.
    """
    path = _path(folder, "captions", [identity, captions])
    kept: Floats | None = _stored(path, len(captions))
    if kept is None:
        flat = [text for texts in captions for text in texts]
        batches = [flat[start : start + BATCH] for start in range(0, len(flat), BATCH)]
        vectors = np.concatenate([_units(scorer.embed_texts(batch)) for batch in batches])
        ends = np.cumsum([len(texts) for texts in captions])
        means = [part.mean(0) for part in np.split(vectors, ends[:-1])]
        kept = _units(np.stack(means))
        _keep(path, kept)
    return kept


def _keep(path: Path, vectors: Floats) -> None:
    save_array(path, vectors, _name_of(path))


def _stored(path: Path, rows: int) -> Any:
    """The vectors [n, d] in a file; None where they are to be computed."""
    return whole_array(path, _name_of(path), rows, np.float32)


def _name_of(path: Path) -> str:
    return f"{path.parent.parent.name} {path.name}"


def _path(folder: Path, name: str, content: object) -> Path:
    return folder / f"embedded-{re.sub(r'[^A-Za-z0-9-]', '-', name)}-{short([name, content])}.npy"


def _units(vectors: Floats) -> Floats:
    return np.asarray(
        vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32
    )
