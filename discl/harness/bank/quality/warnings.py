"""What in a report on a bank should be looked at first, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from discl.harness.bank.quality.facts import Duplicates, Lot, RealClass
from discl.harness.bank.quality.vectors import FOLDS

NAMED = 8  # classes named in a sentence


def concerns(
    total: Lot, lots: Sequence[Lot], real: Sequence[RealClass], near: Duplicates, few: int
) -> Iterator[str]:
    """What should be looked at first, the gravest first."""
    levels = sorted({lot.level for lot in lots if lot.level is not None})
    empty = [one for one in real if not any(lot.kept for lot in lots if lot.label == one.label)]
    if empty:
        whom = "it" if len(empty) == 1 else "them"
        yield (
            f"no image of {_named([one.class_name for one in empty])} is kept at any level:"
            f" curricula see only photos of {whom}"
        )
    for level in levels:
        yield from _of_level(
            [lot for lot in lots if lot.level == level], level, {one.label for one in empty}, few
        )
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
    if rare := [one.class_name for one in real if one.train_and_val_photos < 2 * FOLDS]:
        yield (
            f"the probe knows fewer than {2 * FOLDS} real photos of {_named(rare)}: its retention"
            " there says little"
        )


def _of_level(lots: Sequence[Lot], level: int, empty: set[int], few: int) -> Iterator[str]:
    """What a level lacks, beyond the classes that are empty everywhere."""
    if not any(lot.made for lot in lots):
        yield f"level {level}: no image is made"
        return
    others = [lot for lot in lots if lot.label not in empty]
    if none := [lot.class_name for lot in others if not lot.kept]:
        yield f"level {level}: no image of {_named(none)} is kept"
    if little := [f"{lot.class_name} ({lot.kept})" for lot in others if 0 < lot.kept < few]:
        yield f"level {level}: fewer than {few} images are kept of {_named(little)}"


def _named(classes: Sequence[str | None]) -> str:
    """The first few, and how many more."""
    first = ", ".join(str(name) for name in classes[:NAMED])
    return first if len(classes) <= NAMED else f"{first} and {len(classes) - NAMED} more classes"
