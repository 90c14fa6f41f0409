"""In a sentence: how many photos, of how many classes, images are made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import HardRule, Ints
from discl.engine.hard_mining import Mask, expected, select, training_photos


def scope(
    name: str,
    rule: HardRule,
    counts: Ints,
    classes: Sequence[str],
    hard: Mask | None = None,
    published_counts: Ints | None = None,
) -> str:
    """What the rule called `name` selects of `counts` [c] training photos of each class.

    A rule that can be wider says by `wider` what the next one would take. `hard` [n] says which of
    the photos, class by class, are hard where only models can tell; without it only their number is
    given. `published_counts` [c] are those the rule goes by, where there are more. The answer is ""
    where the rule does not answer.
    """
    labels = np.repeat(np.arange(len(counts)), counts)
    ids = np.array([f"{row:09d}" for row in range(len(labels))])
    try:
        photos = training_photos(ids, labels, classes, rule, published_counts)
        if hard is None and rule.models is not None:
            number = expected(name, rule, photos)
            return (
                f"Images are made for the hard photos, {_number(number)} of {len(labels):,}, which"
                " out-of-fold models choose."
            )
        mask = select(name, rule, photos, None) if hard is None else hard
        wider = getattr(rule, "wider", lambda _: None)(photos)
        more = ""
        if wider:
            words, other = wider
            taken = select(name, other, photos, None)
            more = f"; {words} would take {taken.sum():,} of {_classes(taken, labels)}"
    except UserError:
        return ""
    there = int((counts > 0).sum())
    return (
        f"Images are made for {mask.sum():,} photos of {_classes(mask, labels)} of {there:,}"
        f" classes{more}."
    )


def _classes(mask: Mask, labels: Ints) -> str:
    return f"{len(np.unique(labels[mask])):,}"


def _number(photos: int | None) -> str:
    return "an unknown number" if photos is None else f"{photos:,}"
