"""The hard photos of one benchmark: its hard rule, and the out-of-fold models the rule needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from discl.config.benchmark import Benchmark
from discl.config.identity import fold_models_identity
from discl.core.hashing import canonical, digest, short
from discl.core.interfaces import (
    FoldModels,
    FoldPredictions,
    HardRule,
    Ints,
    Progress,
    Split,
    TrainingPhotos,
)
from discl.engine.hard_mining import expected, select, training_photos
from discl.files.disk import home
from discl.harness.hard.out_of_fold import HeldOutPredictions, OutOfFold

# trains one of these models on rows [k] and predicts rows [m]; see `out_of_fold.FitFold`
FitFoldModel = Callable[[FoldModels, Ints, Ints, Callable[[int, int], None]], HeldOutPredictions]


class HardPhotos:
    """The hard photos of the training split, by the benchmark's hard rule."""

    def __init__(
        self,
        spec: Benchmark,
        train: Split,
        classes: tuple[str, ...],
        fit: FitFoldModel,
        published_counts: Ints | None = None,
    ) -> None:
        self.spec = spec
        self.train = train
        self.classes = classes
        self.fit = fit
        self.published_counts = published_counts  # [c]; None = as many as there are
        self.bound = spec.part("hard_rules")

    @cached_property
    def rule(self) -> HardRule:
        """The rule itself."""
        built: HardRule = self.bound.build()
        return built

    @cached_property
    def photos(self) -> TrainingPhotos:
        """The training photos as the rule is given them."""
        return training_photos(
            self.train.ids, self.train.labels, self.classes, self.rule, self.published_counts
        )

    @cached_property
    def out_of_fold(self) -> OutOfFold | None:
        """The models whose predictions the rule needs; None where it needs none."""
        if self.rule.models is None:
            return None
        epochs = self.rule.models.epochs or self.spec.train.epochs
        models = self.rule.models._replace(epochs=epochs)
        photos = digest(photo_lines(self.train.ids, self.train.labels))
        identity = {**fold_models_identity(self.spec, models), "photos": photos}
        description: dict[str, object] = canonical(identity)
        return OutOfFold(
            folder=home() / "hard" / short(description),
            description=description,
            benchmark=self.spec.name,
            ids=self.train.ids,
            labels=self.train.labels,
            models=models,
            fit=partial(self.fit, models),
        )

    def expected(self) -> int | None:
        """How many photos will be hard; None = only out-of-fold models can tell.

        Raises UserError where the rule does not fit the photos.
        """
        return expected(self.bound.name, self.rule, self.photos)

    def train_models(self, progress: Progress) -> None:
        """Train the out-of-fold models that are missing; returns at once where none is needed."""
        if self.out_of_fold is not None:
            self.expected()  # a rule that does not fit the photos fails before the training
            self.out_of_fold.train(progress)

    @cached_property
    def predictions(self) -> FoldPredictions | None:
        """Out-of-fold predictions of the training photos; None where the rule needs none.

        Raises UserError where a model is still to be trained.
        """
        return self.out_of_fold.predictions() if self.out_of_fold else None

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """[n], whether each training photo is hard."""
        return select(self.bound.name, self.rule, self.photos, self.predictions)


def photo_lines(
    ids: NDArray[np.str_], labels: Ints, contents: NDArray[np.bytes_] | None = None
) -> list[str]:
    """A line for each photo: its id of `ids` [n], its label of `labels` [n], its content's digest.

    Without `contents` [n], ids stand for contents.
    """
    lines = [f"{name} {label}" for name, label in zip(ids.tolist(), labels.tolist(), strict=True)]
    if contents is None:
        return lines
    digests = contents.astype(np.str_).tolist()
    return [f"{line} {digest}" for line, digest in zip(lines, digests, strict=True)]
