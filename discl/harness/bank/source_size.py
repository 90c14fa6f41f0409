"""In sentences: at which size images are made from photos, and how large the photos are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discl.config.benchmark import Benchmark
from discl.config.identity import used_levels
from discl.config.part_cache import PartCache
from discl.core.levels import PHOTO
from discl.harness.run.assembly import Bench

MOST_LOOKED_AT = 500  # photos whose sizes are read


@dataclass(frozen=True)
class SourceSizes:
    """Sizes of the photos that images are made from; each is (height, width) in pixels."""

    used: tuple[int, int]  # that the generator is given
    originals: bool  # they come from the photos as they were taken
    own: tuple[int, int] | None  # that the generator works best at, where it says
    photos: int  # that images are made from, or may be made from
    looked_at: int  # of them; the figures below are of these
    median: tuple[int, int] | None  # of the originals, by their pixels; None = there are none
    smaller: int  # than `used` on a side, so that they are enlarged
    smallest: tuple[int, int] | None  # of the originals, by their pixels


def source_sizes(bench: Bench, most: int = MOST_LOOKED_AT) -> SourceSizes:
    """Sizes of the hard photos, or of all training photos while the hard ones are not known.

    Where there are more than `most`, a sample is looked at, spread evenly. Headers are read; no
    photo is decoded whose dataset can tell its size without.
    """
    rule = bench.source_rule
    models = bench.hard_photos.out_of_fold
    known = models is None or not models.missing()
    rows = bench.hard if known else np.arange(len(bench.train))
    own = getattr(bench.generator, "photo_size", None)
    if not rule.originals:
        decoded = bench.train.pixels.shape[1:3]
        smaller = len(rows) if _is_smaller(decoded, rule.size) else 0
        return SourceSizes(rule.size, False, own, len(rows), len(rows), None, smaller, decoded)
    looked_at = rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))]
    sizes = sorted((_size(bench, row) for row in looked_at.tolist()), key=lambda hw: hw[0] * hw[1])
    return SourceSizes(
        used=rule.size,
        originals=True,
        own=own,
        photos=len(rows),
        looked_at=len(sizes),
        median=sizes[len(sizes) // 2] if sizes else None,
        smaller=sum(_is_smaller(size, rule.size) for size in sizes),
        smallest=sizes[0] if sizes else None,
    )


def sentences(sizes: SourceSizes) -> tuple[str, ...]:
    """What the images are made from, and how many photos have to be enlarged for it."""
    used = _words(sizes.used)
    if sizes.median:
        originals = f"originals {_words(sizes.median)} in the median"
        lines = [f"Images are made from the photos at {used} ({originals})."]
    else:
        other = sizes.own if sizes.own not in (None, sizes.used) else None
        more = f"; the generator's own size is {_words(other)}" if other else ""
        lines = [f"Images are made from the photos as training has them, at {used}{more}."]
    if sizes.smaller and sizes.smallest:
        one = sizes.smaller == 1
        lines.append(
            f"{sizes.smaller:,} of {_counted(sizes)} {'is' if one else 'are'} smaller than {used}"
            f" and {'is' if one else 'are'} enlarged; the smallest has {_words(sizes.smallest)}."
        )
    return tuple(lines)


def source_lines(spec: Benchmark) -> tuple[str, ...]:
    """`sentences` of a benchmark whose data are prepared; none where it makes no image."""
    parts = PartCache()
    levels = {level for name in spec.strategies for level in used_levels(spec, name, parts)}
    if not levels - {PHOTO}:
        return ()
    bench = Bench(spec)
    return sentences(source_sizes(bench)) if len(bench.train) else ()


def _size(bench: Bench, row: int) -> tuple[int, int]:
    train = bench.train
    if train.original_size is not None:
        return train.original_size(row)
    photo = train.original(row) if train.original else train.pixels[row]
    return photo.shape[0], photo.shape[1]


def _is_smaller(size: tuple[int, ...], used: tuple[int, int]) -> bool:
    return size[0] < used[0] or size[1] < used[1]


def _words(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _counted(sizes: SourceSizes) -> str:
    if sizes.looked_at == sizes.photos:
        return f"{sizes.photos:,} photos"
    return f"{sizes.looked_at:,} photos looked at ({sizes.photos:,} in all)"
