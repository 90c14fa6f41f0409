"""Contracts a part must keep, as test classes to inherit; `discl.testing` names them."""

from __future__ import annotations

import itertools
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.core.class_counts import ClassCounts
from discl.core.conventions import id_test_split
from discl.core.errors import UserError
from discl.core.hashing import canonical_json
from discl.core.interfaces import (
    NOT_READY,
    Backbone,
    CaptionContext,
    Dataset,
    EpochContext,
    EpochReport,
    Executor,
    FoldModels,
    FoldPredictions,
    Generator,
    HardRule,
    Ints,
    Loss,
    Metric,
    NotReady,
    Prompts,
    Request,
    Scorer,
    SecondStage,
    Strategy,
    Task,
    Tracker,
    TrainedFeatures,
    TrainingPhotos,
    WorkersDied,
    check_mix,
)
from discl.core.levels import PHOTO


class _Contract:
    @pytest.fixture
    def part(self) -> Any:
        """The part under test."""
        pytest.fail("a contract needs a `part` fixture that builds the part")

    def test_has_a_version(self, part: Any) -> None:
        assert isinstance(part.version, int)
        assert part.version >= 1


class StrategyContract(_Contract):
    """A pure function from a context to a distribution over levels."""

    levels = (0, 30, 50, 70, 100)

    def context(
        self, epoch: int, epochs: int = 12, gains: Mapping[int, Any] | None = None
    ) -> EpochContext:
        return EpochContext(
            epoch, epochs, self.levels, (), np.random.default_rng([7, epoch]), gains or {}
        )

    def test_uses_levels_that_exist(self, part: Strategy) -> None:
        used = part.uses(self.levels)
        assert len(set(used)) == len(used)
        assert all(0 <= level <= PHOTO for level in used)

    def test_every_mix_is_a_distribution_over_the_levels_it_uses(self, part: Strategy) -> None:
        for epoch in range(12):
            gains = {level: [0.01 * level, 0.02] for level in self.levels} if part.probe else {}
            assert check_mix(part.mix(self.context(epoch, gains=gains)), part.uses(self.levels))

    def test_says_whether_it_has_an_order(self, part: Strategy) -> None:
        assert isinstance(part.ordered, bool)

    def test_the_same_context_gives_the_same_mix(self, part: Strategy) -> None:
        first = [dict(part.mix(self.context(epoch))) for epoch in range(12)]
        again = [dict(part.mix(self.context(epoch))) for epoch in reversed(range(12))][::-1]
        assert first == again

    def test_a_one_epoch_curriculum_works(self, part: Strategy) -> None:
        assert check_mix(part.mix(self.context(0, epochs=1)), part.uses(self.levels))

    def test_what_it_asks_to_probe_is_a_share(self, part: Strategy) -> None:
        if part.probe is not None:
            assert 0 < part.probe.holdout < 1
            assert 0 < part.probe.burst < 1


class GeneratorContract(_Contract):
    """An image depends on its own request and photo, and on nothing else."""

    size = 32

    def photos(self, count: int) -> Any:
        ramp = np.linspace(30, 220, self.size).astype(np.uint8)
        photo = np.stack(
            [
                np.add.outer(ramp // 2, ramp // 2),
                np.tile(ramp, (self.size, 1)),
                np.tile(ramp[:, None], (1, self.size)),
            ],
            -1,
        )
        return np.stack([np.roll(photo, 3 * i, axis=0) for i in range(count)])

    def requests(self) -> list[Request]:
        return [
            Request(level, prompt, seed)
            for seed, (level, prompt) in enumerate(
                [(0, "a photo of a cat"), (50, "a photo of a dog"), (70, "")]
            )
        ]

    def test_identity_can_be_hashed(self, part: Generator) -> None:
        assert canonical_json(part.identity()) == canonical_json(part.identity())

    def made(self, part: Generator, requests: Sequence[Request], photos: Any) -> Any:
        """What `part` makes; where it takes boxes, each photo has one in its middle."""
        boxes = ((0.25, 0.25, 0.5, 0.5),) if getattr(part, "takes_boxes", False) else ()
        return part.make([request._replace(boxes=boxes) for request in requests], photos)

    def test_images_have_the_shape_of_the_photos(self, part: Generator) -> None:
        images, failed = self.made(part, self.requests(), self.photos(3))
        assert not failed
        assert images.shape == (3, self.size, self.size, 3)
        assert images.dtype == np.uint8

    def test_order_and_the_rest_of_the_batch_change_nothing(self, part: Generator) -> None:
        requests = self.requests()
        photos = self.photos(3)
        together = self.made(part, requests, photos).images
        backwards = self.made(part, requests[::-1], photos[::-1]).images[::-1]
        alone = np.concatenate(
            [
                self.made(part, [request], photos[i : i + 1]).images
                for i, request in enumerate(requests)
            ]
        )
        assert np.array_equal(together, backwards)
        assert np.array_equal(together, alone)

    def test_the_seed_decides_the_noise(self, part: Generator) -> None:
        photos = self.photos(2)
        photos[1] = photos[0]
        prompt = "a photo of a cat"
        same = self.made(part, [Request(0, prompt, 5)] * 2, photos).images
        other = self.made(part, [Request(0, prompt, seed) for seed in (5, 6)], photos).images
        assert np.array_equal(same[0], same[1])
        assert not np.array_equal(other[0], other[1])

    def test_a_higher_level_is_nearer_to_the_photo(self, part: Generator) -> None:
        photos = np.repeat(self.photos(1), 3, axis=0)
        requests = [Request(level, "a photo of a cat", 3) for level in (0, 50, 90)]
        images = self.made(part, requests, photos).images.astype(float)
        far, middle, near = np.abs(images - photos).mean((1, 2, 3))
        assert near < middle < far


class ScorerContract(_Contract):
    """Unit vectors that do not depend on the rest of the batch."""

    def images(self) -> Any:
        return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)

    def test_identity_can_be_hashed(self, part: Scorer) -> None:
        assert canonical_json(part.identity()) == canonical_json(part.identity())

    def test_images_and_texts_are_unit_vectors_of_one_space(self, part: Scorer) -> None:
        images = part.embed_images(self.images())
        texts = part.embed_texts(["a photo of a cat", "a photo of a dog"])
        assert images.shape[1] == texts.shape[1]
        assert np.allclose(np.linalg.norm(np.concatenate([images, texts]), axis=1), 1, atol=1e-4)

    def test_the_rest_of_the_batch_changes_nothing_that_matters(self, part: Scorer) -> None:
        images = self.images()
        texts = ["a photo of a cat", "a photo of a dog"]
        assert np.allclose(
            part.embed_images(images)[1], part.embed_images(images[1:2])[0], atol=1e-5
        )
        assert np.allclose(part.embed_texts(texts)[1], part.embed_texts(texts[1:])[0], atol=1e-5)


class PromptsContract(_Contract):
    """Captions that depend only on the class and the photo."""

    def context(self) -> CaptionContext:
        """A class and photo that the part has captions for."""
        captions = (("a photo of a dog",), ("a photo of a cat", "one cat"), ("a photo of a ship",))
        return CaptionContext(1, "cat", captions[1], "photo7", ("dog", "cat", "ship"), captions)

    def test_identity_can_be_hashed(self, part: Prompts) -> None:
        assert canonical_json(part.identity()) == canonical_json(part.identity())

    def test_every_image_has_a_prompt_and_a_caption(self, part: Prompts) -> None:
        choices = part.choices(self.context())
        assert choices
        assert all(
            isinstance(text, str) and text for text in (*choices, part.caption(self.context()))
        )
        assert part.choices(self.context()) == choices

    def test_a_class_that_a_prompt_asks_for_is_one_of_those_there_are(self, part: Prompts) -> None:
        context = self.context()
        ask: Callable[..., int | None] = getattr(part, "target", lambda *_: None)
        for prompt in part.choices(context):
            asked = ask(context, prompt)
            assert asked is None or asked in range(len(context.classes))
            assert ask(context, prompt) == asked


class HardRuleContract(_Contract):
    """A pure selection of training photos, by class and by out-of-fold predictions."""

    def photos(self) -> TrainingPhotos:
        """95 photos of four classes; the last class is excluded."""
        labels = np.repeat(np.arange(4), [60, 24, 7, 4])
        ids = np.array([f"photo{row}" for row in range(len(labels))])
        counts = np.bincount(labels)
        return TrainingPhotos(ids, labels, counts, ("cat", "dog", "bird", "ship"), labels < 3)

    def predictions(self, photos: TrainingPhotos) -> FoldPredictions:
        """Probabilities between 0.02 and 0.98, a different one for each photo."""
        count = len(photos.ids)
        order = np.random.default_rng(0).permutation(count)
        probability = np.linspace(0.02, 0.98, count).astype(np.float32)[order]
        return FoldPredictions(order % 3, probability, np.roll(photos.labels, 1))

    def selected(self, part: HardRule) -> Any:
        """The mask [n] that the rule selects of `photos`."""
        photos = self.photos()
        return part.select(photos, self.predictions(photos) if part.models else None)

    def test_says_which_models_it_needs_and_which_classes_it_excludes(self, part: HardRule) -> None:
        assert part.models is None or isinstance(part.models, FoldModels)
        assert part.models is None or part.models.folds >= 2
        assert not isinstance(part.exclude, str)
        assert all(isinstance(name, str) for name in part.exclude)

    def test_selects_some_of_the_allowed_photos(self, part: HardRule) -> None:
        hard = self.selected(part)
        photos = self.photos()
        assert hard.dtype == bool
        assert hard.shape == (len(photos.ids),)
        assert hard.any()
        assert not (hard & ~photos.allowed).any()

    def test_the_same_photos_give_the_same_selection(self, part: HardRule) -> None:
        assert np.array_equal(self.selected(part), self.selected(part))

    def test_the_number_it_expects_is_the_number_it_selects(self, part: HardRule) -> None:
        expected = part.expected(self.photos())
        assert expected is None or expected == self.selected(part).sum()


class DatasetContract(_Contract):
    """Labelled photos, in splits that share none."""

    def test_splits_are_labelled_photos(self, part: Dataset) -> None:
        for name in part.splits:
            split = part.split(name)
            assert split.pixels.dtype == np.uint8
            assert split.pixels.shape[0] == len(split.ids) == len(split.labels) == len(split.groups)
            assert split.labels.min() >= 0
            assert split.labels.max() < len(part.classes)
            assert len(set(split.ids.tolist())) == len(split)

    def test_it_says_whether_it_has_photos_as_they_were_taken(self, part: Dataset) -> None:
        has_originals = part.split("train").original is not None
        assert getattr(part, "has_originals", False) == has_originals

    def test_what_was_read_is_ready(self, part: Dataset) -> None:
        part.split("train")
        assert part.ready is True

    def test_there_is_something_to_learn_choose_and_test_by(self, part: Dataset) -> None:
        assert {"train", "val", id_test_split(part.splits)} <= set(part.splits)

    def test_no_photo_is_in_two_splits(self, part: Dataset) -> None:
        """Except those of ood/*, which may be corrupted photos of test."""
        known: set[str] = set()
        for name in part.splits:
            if not name.startswith("ood/"):
                ids = set(part.split(name).ids.tolist())
                assert not ids & known
                known |= ids

    def test_every_class_has_a_prompt(self, part: Dataset) -> None:
        for label in range(len(part.classes)):
            assert part.prompts(label)
            assert all(isinstance(prompt, str) for prompt in part.prompts(label))

    def test_the_same_part_twice_hands_out_the_same_photos(self, part: Dataset) -> None:
        first = part.split("train")
        again = part.split("train")
        assert np.array_equal(first.ids, again.ids)
        assert np.array_equal(first.pixels[:3], again.pixels[:3])


class BackboneContract(_Contract):
    """A classifier whose seed decides every weight that is not read from a checkpoint."""

    size = 32

    def task(self, classes: int) -> Task:
        names = ("cat", "dog", "bird", "ship", "frog", "deer", "truck")[:classes]
        return Task(names, tuple((f"a photo of a {name}",) for name in names), self.size)

    def test_gives_logits(self, part: Backbone) -> None:
        import torch

        network = part.build(self.task(7), seed=0).eval()
        assert network(torch.zeros(2, 3, self.size, self.size)).shape == (2, 7)
        assert len(part.mean) == len(part.std) == 3

    def test_the_seed_decides_the_weights(self, part: Backbone) -> None:
        import torch

        def weights(seed: int) -> torch.Tensor:
            network = part.build(self.task(3), seed)
            return torch.cat([parameter.flatten() for parameter in network.parameters()])

        first, again, other = (weights(seed) for seed in (0, 0, 1))
        assert torch.equal(first, again)
        assert torch.equal(first, other) != self.draws(part)

    def test_pairs_are_unit_vectors_of_images_and_captions(self, part: Backbone) -> None:
        import torch

        network = part.build(self.task(3), seed=0).train()
        if getattr(network, "gives_pairs", False):
            images, texts, scale = network(
                torch.rand(4, 3, self.size, self.size), torch.tensor([0, 1, 2, 0])
            )
            assert images.shape == texts.shape
            assert torch.allclose(torch.cat([images, texts]).norm(dim=1), torch.ones(8), atol=1e-4)
            assert scale.shape == ()

    def draws(self, part: Backbone) -> bool:
        """Whether any weight is drawn, rather than read from a checkpoint."""
        return True

    def test_building_leaves_the_global_generator_alone(self, part: Backbone) -> None:
        import torch

        torch.manual_seed(3)
        expected = torch.rand(1)
        torch.manual_seed(3)
        part.build(self.task(3), seed=0)
        assert torch.equal(torch.rand(1), expected)


class LossContract(_Contract):
    """A finite mean with a gradient, lower for the right answer."""

    def test_is_a_finite_scalar_with_a_gradient(self, part: Loss) -> None:
        import torch

        network = self.network()
        images = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        value = part(
            network, images, torch.tensor([0, 1, 2, 0, 1]), torch.tensor([100.0, 10.0, 0.0]), 0.5
        )
        value.backward()  # type: ignore[no-untyped-call]
        assert value.shape == ()
        assert torch.isfinite(value)
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients
        assert all(torch.isfinite(gradient).all() for gradient in gradients)

    def test_prefers_the_right_answer(self, part: Loss) -> None:
        import torch

        images = torch.zeros(3, 3, 4, 4)
        labels = torch.tensor([0, 1, 2])
        counts = torch.tensor([10.0, 10.0, 10.0])
        assert part(self.sure(10.0), images, labels, counts, 0.5) < part(
            self.sure(-10.0), images, labels, counts, 0.5
        )

    def test_one_that_says_it_corrects_the_prior_depends_on_the_counts(self, part: Loss) -> None:
        assert getattr(part, "corrects_prior", False) in (True, False)
        if getattr(part, "corrects_prior", False):
            from discl.engine.training.prior import depends_on_counts

            assert depends_on_counts(part)

    def test_one_that_says_it_is_a_mean_of_images_is_that_of_its_parts(self, part: Loss) -> None:
        assert getattr(part, "mean_of_images", False) in (True, False)
        if not getattr(part, "mean_of_images", False):
            return
        import torch

        images = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        labels, counts = torch.tensor([0, 0, 1, 2]), torch.tensor([50.0, 8.0, 3.0])
        network = self.network()
        whole = part(network, images, labels, counts, 0.9)
        parts = [
            part(network, images[rows], labels[rows], counts, 0.9)
            for rows in (slice(0, 2), slice(2, 4))
        ]
        assert torch.allclose(whole, (parts[0] + parts[1]) / 2, atol=1e-6)

    def test_one_that_does_not_say_otherwise_learns_shares_of_classes(self, part: Loss) -> None:
        import torch

        assert getattr(part, "takes_shares", True) in (True, False)
        if not getattr(part, "takes_shares", True):
            return
        images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        counts, network = torch.tensor([50.0, 8.0, 3.0]), self.network()
        whole = part(network, images, torch.tensor([1, 2]), counts, 0.9)
        shares = part(network, images, torch.eye(3)[1:], counts, 0.9)
        assert torch.allclose(whole, shares, atol=1e-5)
        soft = part(network, images, torch.tensor([[0.3, 0.7, 0], [0, 0.5, 0.5]]), counts, 0.9)
        assert torch.isfinite(soft)
        assert not torch.allclose(whole, soft)

    def network(self) -> Any:
        """A small classifier of three classes, which gives pairs as well."""
        from torch import nn

        linear = nn.Linear(48, 3)
        return _Network(lambda images: linear(images.flatten(1)), linear)

    def sure(self, strength: float) -> Any:
        """A network that calls three images 0, 1, 2 in turn."""
        import torch

        return _Network(lambda images: strength * torch.eye(3))


class SecondStageContract(_Contract):
    """Logits from features, decided by what was trained and by the seed."""

    def trained(self) -> TrainedFeatures:
        """75 features of three classes and a linear classifier; a fourth class has no photo."""
        import torch
        from torch import nn

        labels = torch.tensor([0] * 60 + [1] * 12 + [2] * 3)
        chance = torch.Generator().manual_seed(0)
        centres = torch.eye(4, 5)[labels] * 3
        features = centres + torch.randn(75, 5, generator=chance)
        classifier = nn.Linear(5, 4)
        with torch.no_grad():
            classifier.weight.copy_(torch.eye(4, 5) * torch.tensor([2.0, 1.0, 0.5, 0.1])[:, None])
            classifier.bias.copy_(torch.tensor([1.0, 0.0, -1.0, -4.0]))

        def score(module: nn.Module) -> float:
            return float((module(features).argmax(1) == labels).float().mean())

        counts = torch.tensor([60.0, 12.0, 3.0, 0.0])
        return TrainedFeatures(classifier, features, labels, counts, score, 16, 7)

    def logits(self, part: SecondStage) -> Any:
        """What the applied stage says of the features, [75, 4]."""
        import torch

        trained = self.trained()
        classifier = part.apply(trained).classifier.eval()
        with torch.no_grad():
            return classifier(trained.features)

    def test_gives_finite_logits_also_where_a_class_has_no_photo(self, part: SecondStage) -> None:
        logits = self.logits(part)
        assert logits.shape == (75, 4)
        assert logits.isfinite().all()
        assert not (logits.argmax(1) == 3).any()

    def test_the_same_features_and_seed_give_the_same_logits(self, part: SecondStage) -> None:
        import torch

        first = self.logits(part)
        torch.rand(3)
        assert torch.equal(first, self.logits(part))

    def test_says_whether_it_corrects_the_prior_and_what_it_cost(self, part: SecondStage) -> None:
        assert isinstance(part.corrects_prior, bool)
        outcome = part.apply(self.trained())
        assert outcome.epochs >= 0
        assert (outcome.steps > 0) == (outcome.epochs > 0)


class MetricContract(_Contract):
    """A number computed from class counts, better for right predictions than for wrong ones."""

    def photos(self, share_correct: float, samples: int = 3) -> ClassCounts:
        """Counts [samples, 4] of 4 classes, the last of them without a photo."""
        growth = np.arange(samples)[:, None] * np.array([1, 2, 3, 0])
        actual: Ints = np.array([[60, 40, 30, 0]] * samples, np.int64) + growth
        correct = np.floor(actual * share_correct).astype(np.int64)
        wrong = actual - correct
        return ClassCounts(correct, actual, correct + np.roll(wrong, 1, -1))

    training_photos = np.array([500, 50, 5, 0])

    def values(self, part: Metric, photos: ClassCounts) -> Any:
        return np.asarray(part.compute(photos, self.training_photos))

    def test_says_what_it_is(self, part: Metric) -> None:
        assert isinstance(part, Metric)
        assert part.better in ("higher", "lower")
        assert part.unit in ("share", "count")
        for words in (part.title, part.definition):
            assert isinstance(words, str)
            assert words
            assert "\n" not in words
        # asked of the class, before anything is built
        assert (type(part).better, type(part).unit) == (part.better, part.unit)

    def test_the_definition_is_the_same_each_time(self, part: Metric) -> None:
        assert canonical_json(part.definition) == canonical_json(part.definition)

    def test_has_one_value_a_sample_each_computed_alone(self, part: Metric) -> None:
        photos = self.photos(0.5)
        values = self.values(part, photos)
        if part.by_group:
            assert values.shape == ()
            return
        assert values.shape == photos.actual.shape[:-1]
        alone = [
            self.values(part, ClassCounts(*(column[index] for column in photos)))
            for index in range(len(values))
        ]
        assert np.array_equal(values, np.stack(alone), equal_nan=True)

    def test_values_are_of_their_unit(self, part: Metric) -> None:
        for share in (0.0, 0.5, 1.0):
            values = self.values(part, self.photos(share))
            known = values[~np.isnan(values)]
            assert (known >= 0).all()
            assert part.unit == "count" or (known <= 1).all()

    def test_right_predictions_are_better_than_wrong_ones(self, part: Metric) -> None:
        right = self.values(part, self.photos(1.0))
        wrong = self.values(part, self.photos(0.0))
        if part.labels_only:
            assert np.array_equal(right, wrong, equal_nan=True)
        else:
            assert (right > wrong if part.better == "higher" else right < wrong).all()

    def test_counts_are_left_as_they_are(self, part: Metric) -> None:
        photos = self.photos(0.5)
        before = [column.copy() for column in photos]
        self.values(part, photos)
        assert all(np.array_equal(*pair) for pair in zip(before, photos, strict=True))


class _Network:
    """Logits, as of a cosine head; with labels, pairs whose cosines are the unit logits."""

    gives_pairs = True
    cosine_scale = 10.0

    def __init__(self, logits: Callable[[Any], Any], module: Any = None) -> None:
        self.logits = logits
        self.module = module

    def __call__(self, images: Any, labels: Any = None) -> Any:
        import torch

        logits = self.logits(images)
        return logits if labels is None else (logits, torch.eye(3)[labels], torch.ones(()))

    def parameters(self) -> Any:
        return self.module.parameters()


class TrackerContract(_Contract):
    """Takes two runs in a row, of which the second does not complete."""

    def described(self, folder: Path, number: int) -> dict[str, Any]:
        return {
            "id": f"0123456789abcde{number}",
            "name": "contract",
            "folder": folder,
            "group": "contract",
            "project": "discl-contract",
            "tags": ["contract"],
            "config": {"train": {"epochs": 2}, "select": {"metric": "val/macro_acc"}},
            "epochs": 2,
            "position": (number, 2),
        }

    def report(self, epoch: int) -> EpochReport:
        values = {"val/macro_acc": 0.5} if epoch else {}
        return EpochReport(
            epoch,
            {50: 1.0},
            {50: 3, 100: 5},
            steps=2,
            lr=0.1,
            seconds=0.5,
            values=values,
            gains={50: 0.1},
        )

    def test_two_runs_in_a_row(self, part: Tracker, tmp_path: Path) -> None:
        part.progress("making images", 0, 2)
        part.progress("making images", 2, 2)
        for number, summary in ((1, {"test/macro_acc": 0.4}), (2, None)):
            folder = tmp_path / f"{number:03d}"
            folder.mkdir()
            part.start(self.described(folder, number))
            for epoch in range(2):
                part.report(self.report(epoch))
            part.finish(summary)


class ExecutorContract(_Contract):
    """Every item is answered once, whatever happens to the workers; no worker outlives the run."""

    ahead = 8  # items that may be out at a time

    def stays(self, part: Executor) -> bool:
        """Whether a worker lives on between items; False where each item is a job of its own."""
        return True

    def test_every_item_is_answered_once_by_workers_that_prepared_once(
        self, part: Executor, tmp_path: Path
    ) -> None:
        answers = list(part.run(partial(squares, tmp_path), iter(range(3))))
        assert sorted((item, square) for item, (square, _) in answers) == [
            (item, item * item) for item in range(3)
        ]
        prepared = [path.name.split("-")[1] for path in tmp_path.glob("prepared-*")]
        assert len(prepared) == len(set(prepared))
        assert {str(worker) for _, (_, worker) in answers} <= set(prepared)

    def test_no_items_no_answers(self, part: Executor, tmp_path: Path) -> None:
        assert list(part.run(partial(squares, tmp_path), iter(()))) == []

    def test_an_item_that_depends_on_an_answer_is_asked_for_again(
        self, part: Executor, tmp_path: Path
    ) -> None:
        answers: list[int] = []

        def items() -> Iterator[int | NotReady]:
            yield 2
            while not answers:
                yield NOT_READY
            yield answers[0] + 1

        for _, (square, _) in part.run(partial(squares, tmp_path), items()):
            answers.append(square)
        assert answers == [4, 25]

    def test_items_are_drawn_as_workers_come_free_and_no_worker_outlives_the_run(
        self, part: Executor, tmp_path: Path
    ) -> None:
        drawn = itertools.count()
        running = part.run(partial(squares, tmp_path), (next(drawn) for _ in range(1000)))
        for _, (_, worker) in itertools.islice(running, 3):
            assert worker == os.getpid() or alive(worker) or not self.stays(part)
        close(running)
        assert next(drawn) <= 3 + self.ahead
        assert gone(self.workers(tmp_path))

    def test_closing_the_run_stops_workers_deep_in_an_item(
        self, part: Executor, tmp_path: Path
    ) -> None:
        running = part.run(partial(sleeps, tmp_path, os.getpid()), iter([0.0, 600.0, 600.0, 600.0]))
        next(running)
        started = time.monotonic()
        close(running)
        assert time.monotonic() - started < 60  # of the 600 they have begun
        assert gone(self.workers(tmp_path))

    def test_an_exception_ends_the_run_as_it_is(self, part: Executor, tmp_path: Path) -> None:
        with pytest.raises(UserError) as raised:
            list(part.run(partial(raises, tmp_path, UserError("item 2 is bad")), iter((1, 2, 3))))
        assert str(raised.value) == "item 2 is bad"
        assert gone(self.workers(tmp_path))

    def test_the_item_of_a_worker_that_dies_is_given_to_another(
        self, part: Executor, tmp_path: Path
    ) -> None:
        answers = list(part.run(partial(dies, tmp_path, os.getpid(), 1), iter((2, 3))))
        assert sorted(answers) == [(2, -2), (3, -3)]

    def test_an_item_that_kills_three_workers_is_given_up_and_the_others_go_on(
        self, part: Executor, tmp_path: Path
    ) -> None:
        answers = dict(part.run(partial(dies, tmp_path, os.getpid(), 99), iter((2, 3))))
        died = answers.pop(2)
        assert answers == {3: -3}
        # it cannot be tried out where the caller does the work
        if self.workers(tmp_path) != {os.getpid()}:
            assert isinstance(died, WorkersDied)
            assert died.workers == 3 == len(list(tmp_path.glob("died-*")))
            assert died.about(2).startswith(f"3 workers died at item 2 (the last: {died.how}")

    def workers(self, folder: Path) -> set[int]:
        return {int(path.name.split("-")[1]) for path in folder.glob("prepared-*")}


def close(running: Iterator[Any]) -> None:
    """Close a generator, which stops the run."""
    running.close()  # type: ignore[attr-defined]


def alive(process: int) -> bool:
    """Whether a process runs; a zombie does not.

    Zombies stay where nobody waits for them, as in a container without an init process.
    """
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # no /proc here, or it ended just now: the next call says so
        return True


def gone(processes: set[int], timeout_s: float = 60.0) -> bool:
    """Whether all processes but our own end in time."""
    deadline = time.monotonic() + timeout_s
    while any(alive(process) for process in processes - {os.getpid()}):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _record_worker(folder: Path) -> None:
    """Leave a file that names this process."""
    (folder / f"prepared-{os.getpid()}-{uuid.uuid4()}").touch()


def squares(folder: Path) -> Callable[[int], tuple[int, int]]:
    """A function from an item to (its square, the process that computed it)."""
    _record_worker(folder)
    return lambda item: (item * item, os.getpid())


def sleeps(folder: Path, caller: int) -> Callable[[float], float]:
    """A function that sleeps for so many seconds, unless it runs in the caller's process."""
    _record_worker(folder)

    def work(seconds: float) -> float:
        time.sleep(seconds if os.getpid() != caller else 0)
        return seconds

    return work


def raises(folder: Path, error: Exception) -> Callable[[int], int]:
    """A function that raises `error` at item 2."""
    _record_worker(folder)

    def work(item: int) -> int:
        if item == 2:
            raise error
        return item

    return work


def dies(folder: Path, caller: int, times: int) -> Callable[[int], int]:
    """A function that dies `times` times at item 2, unless it runs in the caller's process."""
    _record_worker(folder)

    def work(item: int) -> int:
        if item == 2 and os.getpid() != caller and len(list(folder.glob("died-*"))) < times:
            (folder / f"died-{uuid.uuid4()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return -item

    return work
