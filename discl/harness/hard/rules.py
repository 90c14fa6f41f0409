"""Which training photos are hard, by the rule a benchmark names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from discl.core.errors import UserError, unknown
from discl.core.interfaces import Progress
from discl.engine.hard_mining import Mask, least_sure, share_of, unsure
from discl.engine.training.sampler import hard_rows
from discl.harness.hard.out_of_fold import Judges

if TYPE_CHECKING:
    from discl.harness.run.assembly import Bench


class Rule(Protocol):
    """Chooses training photos of a benchmark."""

    @property
    def judges(self) -> Judges | None:
        """Whose words it goes by."""

    def find(self, progress: Progress) -> None:
        """The work after which `rows` answers; returns at once where it is done."""

    def rows(self) -> Mask:
        """[n], whether each training photo is hard."""

    def expected(self) -> int | None:
        """How many photos `rows` will choose, as far as that is known without the work."""


class ByClass:
    """Photos of classes with few of them."""

    judges = None

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def find(self, progress: Progress) -> None:
        return None

    def rows(self) -> Mask:
        bench = self.bench
        return hard_rows(
            bench.train.labels, len(bench.dataset.classes), bench.spec.hard.below
        ) & allowed(bench)

    def expected(self) -> int:
        return int(self.rows().sum())


class ByConfidence:
    """Photos of whose class a model that has not seen them is least sure."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.judges = Judges(bench)

    def find(self, progress: Progress) -> None:
        self.expected()  # what would fail after the training fails before
        self.judges.ask(progress)

    def rows(self) -> Mask:
        hard = self.bench.spec.hard
        left = allowed(self.bench)
        if hard.threshold is not None:
            return unsure(self.judges.judged, left, hard.threshold)
        return least_sure(self.judges.judged, left, float(hard.fraction or 0))

    def expected(self) -> int | None:
        left = allowed(self.bench)
        fraction = self.bench.spec.hard.fraction
        return None if fraction is None else share_of(fraction, len(left), int(left.sum()))


RULES: Mapping[str, Callable[[Bench], Rule]] = {"tail": ByClass, "low_confidence": ByConfidence}


def allowed(bench: Bench) -> Mask:
    """[n], whether each training photo may be hard: it is of no excluded class."""
    classes = bench.dataset.classes
    excluded = bench.spec.hard.exclude
    for name in excluded:
        if name not in classes:
            raise unknown(f"class of {bench.spec.dataset['name']}", name, classes)
    left = ~np.isin(
        bench.train.labels, [label for label, name in enumerate(classes) if name in excluded]
    )
    if not left.any():
        raise UserError(
            f"hard.exclude = {excluded} leaves no photo to choose from; name fewer classes"
        )
    return np.asarray(left)
