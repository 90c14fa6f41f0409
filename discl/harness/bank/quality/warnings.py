"""Warnings of a report on a bank, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from discl.harness.bank.quality.linear_probe import FOLDS
from discl.harness.bank.quality.quality_report import (
    ClassLevelStats,
    NearDuplicates,
    RealClassStats,
)

MOST_NAMES = 8  # classes named in a sentence


def warnings_of(
    total: ClassLevelStats,
    stats: Sequence[ClassLevelStats],
    real: Sequence[RealClassStats],
    near: NearDuplicates,
    few: int,
) -> Iterator[str]:
    """Warnings, the most serious first.

    `stats` has one entry for each class and level; a class with fewer than `few` kept images at a
    level is warned about.
    """
    levels = sorted({entry.level for entry in stats if entry.level is not None})
    with_images = {entry.label for entry in stats if entry.kept}
    empty = [photos for photos in real if photos.label not in with_images]
    if empty:
        names = _named([photos.class_name for photos in empty])
        yield (
            f"no image of {names} is kept at any level: curricula see only photos of"
            f" {'it' if len(empty) == 1 else 'them'}"
        )
    labels = {photos.label for photos in empty}
    for level in levels:
        yield from _of_level([entry for entry in stats if entry.level == level], level, labels, few)
    if total.missing:
        yield (
            f"{total.missing} of {total.wanted} images are not made yet; `discl bank build` makes"
            " them"
        )
    if total.failed:
        yield f"{total.failed} of {total.wanted} images could not be made"
    if near.found > max(1.0, (1 - near.quantile) * near.images):
        yield (
            f"{near.found} of {near.images} images ({near.found / near.images:.1%}) lie nearer to a"
            f" val, test or ood photo than {near.quantile:.1%} of real training photos do, where"
            f" {1 - near.quantile:.1%} would be chance: look for copies among them"
        )
    rare = [photos.class_name for photos in real if photos.train_and_val_photos < 2 * FOLDS]
    if rare:
        yield (
            f"the probe knows fewer than {2 * FOLDS} real photos of {_named(rare)}: its retention"
            " there says little"
        )


def _of_level(
    stats: Sequence[ClassLevelStats], level: int, empty: set[int], few: int
) -> Iterator[str]:
    """Warnings of one level, without the classes that are empty at every level."""
    if not any(entry.made for entry in stats):
        yield f"level {level}: no image is made"
        return
    others = [entry for entry in stats if entry.label not in empty]
    none_kept = [entry.class_name for entry in others if not entry.kept]
    if none_kept:
        yield f"level {level}: no image of {_named(none_kept)} is kept"
    few_kept = [f"{entry.class_name} ({entry.kept})" for entry in others if 0 < entry.kept < few]
    if few_kept:
        yield f"level {level}: fewer than {few} images are kept of {_named(few_kept)}"


def _named(classes: Sequence[str | None]) -> str:
    """The first few names, and how many more there are."""
    first = ", ".join(str(name) for name in classes[:MOST_NAMES])
    more = len(classes) - MOST_NAMES
    return first if more <= 0 else f"{first} and {more} more classes"
