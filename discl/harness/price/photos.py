"""How many photos there are to train on and to make images of, where none of them need be here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from discl.config.benchmark import Benchmark
from discl.core.errors import UserError
from discl.core.interfaces import Dataset, HardRule, TrainingPhotos
from discl.core.progress import no_progress
from discl.core.text import typed
from discl.engine.hard_mining import training_photos
from discl.harness.run.assembly import Bench


@dataclass(frozen=True)
class PricedPhotos:
    """Photos of one benchmark."""

    splits: Mapping[str, int]  # name -> photos
    classes: int
    hard: int  # that images are made from
    source: str  # where the numbers are from, in words

    @property
    def train(self) -> int:
        return self.splits["train"]

    @property
    def val(self) -> int:
        return self.splits.get("val", 0)

    @property
    def scored(self) -> int:
        """Of all splits that are predicted at the end."""
        return sum(count for name, count in self.splits.items() if name != "train")


def photo_counts(spec: Benchmark, hard_photos: int | None = None) -> PricedPhotos:
    """As published, as the dataset's settings decide them, or as they lie here.

    `hard_photos` is what a person says. Raises UserError, which says what to give, where nothing
    tells how many photos there are or are hard.
    """
    bench = Bench(spec)
    dataset = bench.dataset
    known: Any = getattr(dataset, "known_photos", lambda: None)()
    # a folder that was chosen may hold a part of what is published
    chosen = bool(spec.dataset.get("root")) and _is_ready(dataset)
    if known is None or chosen:
        return _of_those_here(bench, hard_photos)
    rule: HardRule = spec.part("hard_rules").build()
    hard = _known_hard(known, rule, dataset) if hard_photos is None else hard_photos
    if hard is not None:
        _check(hard, known.splits["train"])
        known_by = "by its settings" if known.train else "as published"
        source = "as given" if hard_photos is not None else known_by
        return PricedPhotos(known.splits, known.classes, hard, source)
    if _is_ready(dataset):
        return _of_those_here(bench, None)
    name = str(spec.dataset["name"])
    raise UserError(
        f"how many photos of {name} are hard by rule {spec.hard_rule['name']!r} is known once they"
        f" are here (`{typed('discl', 'data', 'fetch', name)}`); until then give --hard-photos N"
    )


def _of_those_here(bench: Bench, hard_photos: int | None) -> PricedPhotos:
    dataset = bench.dataset
    if not _is_ready(dataset):
        name = str(bench.spec.dataset["name"])
        raise UserError(
            f"nothing says how many photos dataset {name!r} has, and they are not here; get them"
            f" first (`{typed('discl', 'data', 'fetch', name)}`)"
        )
    dataset.prepare(no_progress)
    hard = bench.hard_photos.expected() if hard_photos is None else hard_photos
    if hard is None:
        raise UserError(
            f"how many photos rule {bench.spec.hard_rule['name']!r} finds hard is known once its"
            " models are trained; give --hard-photos N"
        )
    splits = {name: len(dataset.split(name)) for name in dataset.splits}
    _check(hard, splits["train"])
    return PricedPhotos(splits, len(dataset.classes), hard, "as they lie here")


def _is_ready(dataset: Dataset) -> bool:
    return bool(getattr(dataset, "ready", False))


def _check(hard: int, train: int) -> None:
    if not 0 <= hard <= train:
        raise UserError(
            f"--hard-photos {hard}: takes 0 to {train:,}, as many as there are training photos"
        )


def _known_hard(known: Any, rule: HardRule, dataset: Dataset) -> int | None:
    """By the rule itself, on photos of which classes or only their number are known."""
    train = known.splits["train"]
    limit = getattr(rule, "max_class_images", None)
    if limit in known.tail and not rule.exclude:
        return int(known.tail[limit])
    ids = np.zeros(train, np.str_)
    if known.train:
        labels = np.repeat(np.arange(known.classes), known.train)
        return rule.expected(training_photos(ids, labels, dataset.classes, rule))
    if rule.models is None:
        return None
    # it goes by their predictions, and by no class
    labels, allowed = np.zeros(train, np.int64), np.ones(train, bool)
    return rule.expected(TrainingPhotos(ids, labels, np.array([train]), ("",), allowed))
