"""The spectrum of a bank: images of a few hard photos at every guidance level."""

from __future__ import annotations

import numpy as np

from discl.config.identity import which_are_kept
from discl.core.interfaces import Ints
from discl.core.levels import PHOTO, TEXT_ONLY
from discl.engine.bank.catalogue import Cell
from discl.engine.level_images import LevelImages
from discl.files.figure import Figure, Tile
from discl.harness.run.assembly import Bench


def spectrum(bench: Bench, photos: int) -> Figure:
    """A line for each of some hard photos, a column for each level, the photo last.

    Each image is the one the benchmark picks of its draws. The photos are spread over the hard
    classes. No image is made: one that the bank lacks leaves a hole.
    """
    sources = bench.sources
    bank = bench.spec.bank
    levels = [level for level in sorted(bench.spec.levels) if level != PHOTO]
    chosen = _spread_over_classes(sources.labels, photos)
    picked = {
        level: bench.bank.view(level, bank.variants, sources, None, bank.best_of)
        for level in levels
    }
    kept = {
        level: bench.bank.view(level, bank.variants, sources, bank.threshold, bank.best_of)
        for level in levels
    }
    rows = []
    for source in chosen:
        tiles = [_tile(bench, source, level, picked[level], kept[level]) for level in levels]
        rows.append((*tiles, Tile(sources.photos[source])))
    heads = [
        f"level {level} %" + ("\n(text only)" if level == TEXT_ONLY else "") for level in levels
    ]
    legend = ["under each image: its cosine with the caption"]
    if bank.best_of > 1:
        legend[0] += f"; each is the best of {bank.best_of} draws"
    dropped = any(tile.dropped for row in rows for tile in row)
    if not dropped:
        legend.append(f"none of these is dropped; kept: {which_are_kept(bank.threshold)}")
    return Figure(
        heads=(*heads, "photo"),
        names=tuple(bench.dataset.classes[int(sources.labels[source])] for source in chosen),
        rows=tuple(rows),
        legend=tuple(legend),
        mark=f"dropped: the cosine is under the threshold {bank.threshold:g}" if dropped else "",
    )


def _spread_over_classes(labels: Ints, count: int) -> list[int]:
    """Positions in `labels` [n]: the first photo of every class, then the second, and so on."""
    nth = np.empty(len(labels), np.int64)  # which photo of its class
    for label in np.unique(labels):
        positions = np.flatnonzero(labels == label)
        nth[positions] = np.arange(len(positions))
    chosen = np.argsort(nth, kind="stable")[:count].tolist()
    return sorted(chosen, key=lambda position: int(labels[position]))


def _tile(bench: Bench, source: int, level: int, picked: LevelImages, kept: LevelImages) -> Tile:
    """The first of a photo's picked images; dropped where it is not among the kept ones."""
    images = np.flatnonzero(picked.row == bench.sources.rows[source])
    if not len(images):
        return Tile(None, "not made")
    first = images[0]
    cell = Cell(bench.sources.ids[source], level, int(picked.variant[first]))
    pixels, record = bench.bank.image(cell)
    score = "" if record.text_score is None else f"{record.text_score:.3f}"
    return Tile(pixels, score, dropped=picked.position[first] not in kept.position)
