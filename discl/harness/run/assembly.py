"""The parts of a benchmark, built once, and all that its runs need of them."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from discl.config.benchmark import MAKERS, Benchmark
from discl.config.identity import SOURCE, hard_rule_of_bank
from discl.config.metrics import built
from discl.core.compute.room import room, too_many, too_many_processes
from discl.core.conventions import id_test_split
from discl.core.errors import UserError
from discl.core.hashing import digest
from discl.core.interfaces import (
    Backbone,
    Box,
    Dataset,
    Executor,
    FoldModels,
    Generator,
    Ints,
    Metric,
    Progress,
    Prompts,
    Scorer,
    Split,
    Task,
)
from discl.core.levels import PHOTO, Counting, check_levels, counting_of, denoising_steps
from discl.core.registry import bind, singular
from discl.core.text import echo
from discl.engine.bank.bank import Bank, BuildReport, id_of
from discl.engine.bank.filling import FEW, Groups
from discl.engine.bank.generate import ImageMaker, SourceImages
from discl.engine.bank.leases import CellGrid
from discl.engine.bank.rules import ImageRules
from discl.engine.bank.source_photos import SourceRule, source_boxes, source_photos, source_rule
from discl.engine.bank.whole_images import WholeImages
from discl.engine.level_images import LevelImages
from discl.engine.soft_labels import SoftLabels
from discl.engine.training import distributed
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData, for_val, metrics_on_val
from discl.engine.training.sampler import SamplerView, Targets
from discl.files.disk import data_home, home
from discl.files.networks.licences import keep_licence
from discl.harness.hard.hard_photos import HardPhotos, photo_lines
from discl.harness.hard.out_of_fold import HeldOutPredictions
from discl.harness.run.epoch_targets import epoch_targets
from discl.harness.run.fold_model import fit_fold
from discl.harness.run.inputs import FeatureInputs, ImageInputs, Inputs

if TYPE_CHECKING:
    from torch import nn


class Beginning(Protocol):
    """The weights that a run begins from, other than those its seed draws."""

    def put_into(self, network: nn.Module) -> nn.Module:
        """`network` with these weights."""


@dataclass(frozen=True)
class RunSetup:
    """All that one run needs of its benchmark."""

    data: TrainingData
    inputs: Inputs
    targets: Targets
    classes: tuple[str, ...]  # names, index = label
    scored: tuple[str, ...]  # names of the splits that are predicted at the end
    id_test: str  # that of them whose photos come from where the training photos come from
    bank_id: str | None  # None where the run uses no image
    images_generated: int  # for this run, since the bank lacked them
    image_costs: dict[str, float]  # of all images the run uses, whenever they were made
    first: Beginning | None = None  # None: the run begins from weights that its seed draws

    def network(self, seed: int) -> nn.Module:
        """The network as the run begins with it."""
        drawn = self.inputs.network(seed)
        return self.first.put_into(drawn) if self.first else drawn


class Bench:
    """The parts of one benchmark, built once and shared by all its experiments."""

    def __init__(self, spec: Benchmark) -> None:
        self.spec = spec

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its description and folders: the other process builds the parts again."""
        return _reopened, (self.spec, str(home().absolute()), str(data_home().absolute()))

    def close(self) -> None:
        """Release all parts.

        They refer to each other, and beside torch the garbage collector leaves them for hours.
        """
        if "bank" in self.__dict__:
            self.bank.close()
        spec = self.spec
        self.__dict__.clear()
        self.spec = spec

    def with_spec(self, spec: Benchmark) -> Bench:
        """The same photos, of which the same are hard, and the same backbone in another recipe."""
        other = Bench(spec)
        shared = ("dataset", "backbone", "train", "task", "counts", "hard_photos", "sampler_view")
        other.__dict__.update({name: getattr(self, name) for name in shared})
        return other

    @cached_property
    def dataset(self) -> Dataset:
        built: Dataset = self.spec.part("datasets").build()
        if check := getattr(built, "check_splits", None):
            check()
        return built

    @cached_property
    def generator(self) -> Generator:
        built: Generator = self.spec.part("generators").build()
        return built

    @cached_property
    def scorer(self) -> Scorer:
        built: Scorer = self.spec.part("scorers").build()
        return built

    def release_makers(self) -> None:
        """Let go what generator and scorer loaded: training needs the memory.

        They load it again where they are asked for more.
        """
        held = [self.__dict__[name] for name in ("generator", "scorer") if name in self.__dict__]
        let_go = [part.release() for part in held if hasattr(part, "release")]
        if any(let_go):
            _free_memory()

    @cached_property
    def backbone(self) -> Backbone:
        built: Backbone = self.spec.part("backbones").build()
        return built

    @cached_property
    def prompts(self) -> Prompts:
        built: Prompts = self.spec.part("prompts").build()
        return built

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Metrics of this benchmark, by name."""
        return built(self.spec.bound_metrics())

    @cached_property
    def train(self) -> Split:
        return self.dataset.split("train")

    @cached_property
    def task(self) -> Task:
        classes = self.dataset.classes
        return Task(
            classes,
            tuple(self.dataset.prompts(label) for label in range(len(classes))),
            min(self.train.pixels.shape[1:3]),
        )

    @cached_property
    def counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """[c], training photos of each class."""
        return np.bincount(self.train.labels, minlength=len(self.dataset.classes))

    @cached_property
    def published_counts(self) -> Ints | None:
        """[c], training photos of each class as published; None where those here are all."""
        counts: Ints | None = getattr(self.dataset, "published_counts", None)
        return counts

    @cached_property
    def hard_photos(self) -> HardPhotos:
        """The hard rule and what it needs."""
        return HardPhotos(
            self.spec,
            self.train,
            self.dataset.classes,
            self._fit_fold_model,
            self.published_counts,
        )

    def _fit_fold_model(
        self, models: FoldModels, fitted: Ints, held_out: Ints, progress: Callable[[int, int], None]
    ) -> HeldOutPredictions:
        classes = len(self.dataset.classes)
        return fit_fold(
            self.inputs, self.spec, self.metrics, classes, models, fitted, held_out, progress
        )

    def check_selection(self) -> None:
        """Raises UserError where `select.metric` cannot be measured on these val photos.

        Some metrics are of groups, or of classes that are few or many, and val may have none.
        """
        val = self.dataset.split("val")
        counts = self.published_counts
        if counts is None:
            counts = np.bincount(self.train.labels, minlength=len(self.dataset.classes))
        measured = metrics_on_val(val, val.labels, counts, for_val(self.metrics))
        if self.spec.select.metric not in measured:
            raise UserError(
                f"select.metric = {self.spec.select.metric!r} cannot be measured on the val photos"
                f" of dataset {self.spec.dataset['name']!r}; choose one of"
                f" {', '.join(sorted(measured))}"
            )

    def find_hard(self, progress: Progress) -> None:
        """Train the models that say which photos are hard, where some are missing."""
        models = self.hard_photos.out_of_fold
        if models is not None and models.missing():
            self.hard_photos.expected()  # what would fail after the work fails before it
            self.inputs.prepare([], progress)
        self.hard_photos.train_models(progress)

    @cached_property
    def sampler_view(self) -> SamplerView:
        """The training split as the sampler sees it."""
        return SamplerView(self.train.labels, self.hard_photos.mask)

    @cached_property
    def hard(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """[m], training rows of the photos that images are made from."""
        return np.flatnonzero(self.sampler_view.hard)

    # ---------------------------------------------------------------- images

    @cached_property
    def sources(self) -> SourceImages:
        return self.sources_of(self.hard)

    def sources_of(self, rows: Ints) -> SourceImages:
        """Training photos of these rows [m], as images are made from them."""
        return SourceImages(
            rows=rows,
            ids=tuple(str(name) for name in self.train.ids[rows]),
            labels=self.train.labels[rows],
            photos=source_photos(self.train, self.source_rule, rows),
            classes=self.dataset.classes,
            dataset_captions=self.task.prompts,
            prompts=self.prompts,
            boxes=self._boxes_of(rows),
        )

    def _boxes_of(self, rows: Ints) -> Callable[[int], tuple[Box, ...]] | None:
        """From the position in `rows` to boxes, where images depend on them."""
        if not getattr(self.generator, "takes_boxes", False):
            return None
        return lambda position: source_boxes(self.train, self.source_rule, int(rows[position]))

    @cached_property
    def source_rule(self) -> SourceRule:
        """At which size the generator gets the photos, and whether they are the originals.

        Raises UserError where the benchmark states two sizes.
        """
        photo_size = getattr(self.generator, "photo_size", None)
        return source_rule(self.train, self.spec.bank.size, photo_size)

    @cached_property
    def process(self) -> dict[str, object]:
        """All that the images depend on, apart from level and variant.

        Which variants are used, and the threshold, change no image.
        """
        sources = self.sources
        contents = None if self.train.contents is None else self.train.contents[sources.rows]
        photos = photo_lines(np.array(sources.ids), sources.labels, contents)
        captions = [[sources.choices(i), sources.caption(i)] for i in range(len(sources.ids))]
        process: dict[str, object] = {
            "dataset": {
                "name": self.spec.dataset["name"],
                "photos": digest(photos),
                "captions": digest(captions),
            },
            "hard": hard_rule_of_bank(self.spec),
            "seed": self.spec.bank.seed,
        }
        for kind in MAKERS:
            name = singular(kind)
            process[name] = self.spec.part(kind).identity() | getattr(self, name).identity()
        if sources.boxes is not None:
            of_row = self.train.boxes
            boxes = [of_row(row) if of_row else () for row in sources.rows.tolist()]
            process["boxes"] = digest(boxes)
        rule = self.source_rule
        if self.train.original or self.spec.bank.size:
            process["size"] = list(rule.size)
        if rule.originals:
            process["source"] = SOURCE
        return process

    @property
    def bank_id(self) -> str:
        """The bank's name; opens and makes nothing."""
        return id_of(self.process)

    @property
    def has_bank(self) -> bool:
        """Whether there is a bank of these images; opens and makes nothing."""
        return (home() / "banks" / self.bank_id / "bank.json").exists()

    @cached_property
    def bank(self) -> Bank:
        return Bank(home() / "banks", self.process, self.train.pixels.shape[1:3]).hold()

    def wanted(self, levels: Sequence[int]) -> CellGrid:
        """All images of these levels, made or not."""
        bank = self.spec.bank
        return CellGrid(
            self.sources.ids,
            tuple(level for level in sorted(set(levels)) if level != PHOTO),
            bank.variants * bank.best_of,
        )

    def image_maker(self) -> ImageMaker:
        """Makes the images, in this process or in another."""
        return ImageMaker(self.bank.id, self.bank.shards, self.sources, self.generator, self.scorer)

    @cached_property
    def counting(self) -> Counting:
        """How the generator counts levels, with the photos as it gets them.

        Raises UserError where two levels would be one, or one cannot be made: that may depend on
        the size of the photos, which is not known before.
        """
        counting = counting_of(self.generator, self.source_rule.size)
        if not isinstance(counting, int):
            check_levels(self.spec.levels, counting)
        return counting

    def image_rules(self) -> ImageRules:
        """What every image of the bank fulfils."""
        return ImageRules(self.bank.id, self.sources, self.counting)

    def fill(
        self, levels: Sequence[int], progress: Progress, executor: Executor | None = None
    ) -> BuildReport:
        """Make the images of `levels` that the bank lacks.

        Raises UserError where no photo is hard.
        """
        if not len(self.hard):
            raise UserError(
                f"the hard rule {self.hard_photos.bound.name!r} selects no photo of"
                f" {self.spec.dataset['name']}, so there is nothing to make; change [hard_rule]"
                " (for the rule 'tail', raise hard_rule.max_class_images), or compare real_only and"
                " real_rebalanced only"
            )
        executor = executor or bind("executors", "local", {}).build()
        self._check_room(getattr(executor, "side_by_side", 1))
        self._check_boxes()
        _fetch(self.scorer)
        batch = self.spec.bank.batch
        if getattr(executor, "begins_two", False):
            batch = max(1, batch // 2)  # so that a stop costs no more than a batch
        at_once = getattr(self.generator, "chunk", FEW)
        if getattr(executor, "item_is_job", False):
            at_once = batch
        wanted = self.wanted(levels)
        keep_licence(self.bank.folder, self.generator)
        return self.bank.build(
            wanted,
            self.counting,
            executor,
            self.image_maker,
            batch,
            progress,
            at_once,
            self._groups(wanted),
        )

    def _check_boxes(self) -> None:
        """Raises UserError where the generator needs a box of each photo, and some have none."""
        if not getattr(self.generator, "needs_boxes", False):
            return
        boxes = self.train.boxes
        rows = self.hard.tolist()
        lacking = [row for row in rows if boxes is None or not boxes(row)]
        if lacking:
            raise UserError(
                f"{len(lacking):,} of {len(rows):,} hard photos have no box (the first:"
                f' {self.train.ids[lacking[0]]}), and generator.without_box = "refuse"; set it to'
                ' "whole" to repaint them as a whole or to "fail" to make no image of them, or'
                " lower dataset.boxes_confidence"
            )

    def _check_room(self, workers: int) -> None:
        """Warn where `workers` that share a device have no room in its memory.

        Raises UserError where that is a GPU, whose memory cannot be shared, or where not even the
        processes have room.
        """
        if workers < 2:
            return
        found = room()
        if sentence := too_many_processes(workers, found):
            raise UserError(sentence)
        each = getattr(self.generator, "weight_bytes", 0)
        if not each:
            return
        sentence = too_many(workers, each, found)
        if sentence and found and found.is_gpu:
            raise UserError(sentence)
        if sentence:
            echo(f"warning: {sentence}", err=True)

    def _groups(self, wanted: CellGrid) -> Groups | None:
        """How the images wanted fill what the generator makes at a time, where it says how many."""
        chunk = getattr(self.generator, "chunk", None)
        if chunk is None:
            return None
        steps = [denoising_steps(level, self.counting) for level in wanted.levels]
        return Groups(chunk, tuple(steps), wanted.variants)

    def level_images(self, level: int) -> LevelImages:
        """The images of `level` that a run may use: those that pass the threshold."""
        bank = self.spec.bank
        return self.bank.view(level, bank.variants, self.sources, bank.threshold, bank.best_of)

    def _usable_images(self, level: int) -> LevelImages:
        """`level_images`; raises UserError where there is none: photos would take their place."""
        images = self.level_images(level)
        bank = self.spec.bank
        if len(images.row):
            return images
        scores = self.bank.scores(level)[0]
        if bank.threshold is None or not len(scores):
            raise self.bank.no_image((level,))
        known = scores[~np.isnan(scores)]
        best = f"the best has a cosine of {known.max():.3f}" if len(known) else "they have no score"
        raise UserError(
            f"none of {len(scores)} images of level {level} reaches bank.threshold ="
            f" {bank.threshold:g}: {best}; lower the threshold (`discl bank report` draws the"
            " scores), or leave the level out"
        )

    def costs(self, levels: Sequence[int]) -> dict[str, float]:
        """Images of `levels` and their denoising steps, whether they are made or not."""
        synthetic = [level for level in levels if level != PHOTO]
        if not synthetic:
            return {"images": 0.0, "denoising_steps": 0.0}
        per_level = len(self.hard) * self.spec.bank.variants * self.spec.bank.best_of
        steps = sum(denoising_steps(level, self.counting) for level in synthetic)
        return {
            "images": float(per_level * len(synthetic)),
            "denoising_steps": float(per_level * steps),
        }

    # ---------------------------------------------------------------- training

    @cached_property
    def inputs(self) -> Inputs:
        """Inputs of the networks of this benchmark."""
        return self.inputs_of(self.task)

    def inputs_of(self, task: Task) -> Inputs:
        """Inputs of networks for other classes than the benchmark's, which read the same photos."""
        bound = self.spec.part("backbones")
        backbone = self.backbone
        config = TrainConfig(**self.spec.train.model_dump(exclude={"checkpoint_seconds", "start"}))
        images = ImageInputs(
            self.dataset, backbone, task, config, lambda level: self.bank.pixels(level)
        )
        if not backbone.frozen:
            return images
        return FeatureInputs(
            images,
            dataset_identity=self.spec.part("datasets").identity() | self.dataset.identity(),
            backbone_identity=bound.identity() | backbone.identity(),
            level_key=self._level_file,
        )

    def _level_file(self, level: int) -> tuple[str, int]:
        path, count = self.bank.map_path(level)
        return path.name, count

    def setup(self, levels: Sequence[int], progress: Progress) -> RunSetup:
        """All that a run with images of `levels` needs, once the bank holds them.

        Under torchrun all processes call this, and make the images together. Raises UserError where
        a level has no usable image, or an epoch no whole batch.
        """
        if not self.backbone.frozen:  # else its features may be stored
            _fetch(self.backbone)
        id_test = id_test_split(self.dataset.splits)  # a dataset without one fails before the work
        synthetic = [level for level in levels if level != PHOTO]
        made = self.fill(levels, progress).images if synthetic else 0
        self.release_makers()
        made = sum(distributed.values_of_all(made))
        self.inputs.prepare(synthetic, progress)
        images = {level: self._usable_images(level) for level in synthetic}
        # after the images, which are few then: a level of which all failed is the graver fault
        if not self.epoch_images:
            epoch = self.spec.sampling.images or len(self.train)
            raise UserError(
                f"train.batch = {self.spec.train.batch} is larger than an epoch of {epoch} images;"
                " lower it, or raise sampling.images"
            )
        view = self.sampler_view
        if synthetic and self.spec.sampling.hard_needs_image:
            view = view.with_images(images)
        data = TrainingData(
            train=self.inputs.split("train"),
            sampler_view=view,
            classes=len(self.dataset.classes),
            levels=tuple(levels) or (PHOTO,),
            images=images,
            pixels={level: self.inputs.level(level) for level in synthetic},
            val=self.inputs.split("val"),
            metrics=self.metrics,
            published_counts=self.published_counts,
            whole=self._whole_images(synthetic),
            shots=self.spec.metrics.shots,
            soft_labels=self._soft_labels(synthetic),
        )
        return RunSetup(
            data=data,
            inputs=self.inputs,
            targets=self.targets_of(view),
            classes=self.dataset.classes,
            scored=tuple(name for name in self.dataset.splits if name != "train"),
            id_test=id_test,
            bank_id=self.bank.id if synthetic else None,
            images_generated=made,
            image_costs=self.costs(levels),
        )

    def _soft_labels(self, levels: Sequence[int]) -> SoftLabels | None:
        """What the images of levels are labelled with; None where their photos say it."""
        if not levels or not self.sources.have_targets:
            return None
        targets = {level: self.sources.targets(self.bank.records(level)) for level in levels}
        return SoftLabels(targets, self.spec.sampling.soft_label_power)

    def _whole_images(self, levels: Sequence[int]) -> dict[int, WholeImages]:
        config = self.inputs.train_config
        if not config.transform or not config.whole_photos:
            return {}
        return {level: self.bank.whole(level) for level in levels}

    @property
    def epoch_images(self) -> int:
        """Images of an epoch: whole batches."""
        batch = self.spec.train.batch
        return (self.spec.sampling.images or len(self.train)) // batch * batch

    @cached_property
    def targets(self) -> Targets:
        """What fills an epoch, where all photos are hard that the hard rule selects."""
        return self.targets_of(self.sampler_view)

    def targets_of(self, view: SamplerView) -> Targets:
        """What fills an epoch of the training split as the sampler sees it."""
        classes = len(self.dataset.classes)
        return epoch_targets(self.spec.sampling, view, classes, self.epoch_images)


def _free_memory() -> None:
    """Free what only cycles refer to, and give back what torch keeps of a GPU's memory."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _fetch(part: Scorer | Backbone) -> None:
    """Fetch a part's weights, where it has some to fetch: what is missing is said before work."""
    fetch = getattr(part, "fetch", None)
    if fetch is not None:
        fetch()


def _reopened(spec: Benchmark, home_folder: str, data_folder: str) -> Bench:
    os.environ["DISCL_HOME"] = home_folder
    os.environ["DISCL_DATA"] = data_folder
    return Bench(spec)
