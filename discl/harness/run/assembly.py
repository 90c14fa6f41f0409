"""The parts of a benchmark, built once, and those who watch its runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from discl.config.benchmark import MAKERS, Benchmark
from discl.core.errors import UserError
from discl.core.hashing import digest
from discl.core.interfaces import (
    Dataset,
    EpochReport,
    Executor,
    Generator,
    Ints,
    Progress,
    Prompts,
    Scorer,
    Split,
    Task,
    Tracker,
)
from discl.core.levels import PHOTO, denoising_steps
from discl.core.registry import bind, singular
from discl.engine.bank.bank import Bank, Made, id_of
from discl.engine.bank.generate import ImageMaker, SourceImages
from discl.engine.bank.leases import CellGrid
from discl.engine.training.sampler import SamplerView, Targets, Usable, tail_shares
from discl.files.disk import data_home, home
from discl.files.photos import PhotoRows, fitted
from discl.harness.hard.rules import RULES, Rule
from discl.harness.run.inputs import Feed, feed_of


class Bench:
    """The parts of one benchmark, built once and shared by all its experiments."""

    def __init__(self, spec: Benchmark) -> None:
        self.spec = spec

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to another process as its description and the places it lives in; the parts are
        built again there.
        """
        return _reopened, (self.spec, str(home().absolute()), str(data_home().absolute()))

    def close(self) -> None:
        """Let go of all parts.

        They refer to each other, and what is left to the garbage collector stays for hours beside
        torch.
        """
        if "bank" in self.__dict__:
            self.bank.close()
        spec = self.spec
        self.__dict__.clear()
        self.spec = spec

    @cached_property
    def dataset(self) -> Dataset:
        built: Dataset = self.spec.part("datasets").build()
        return built

    @cached_property
    def generator(self) -> Generator:
        built: Generator = self.spec.part("generators").build()
        return built

    @cached_property
    def scorer(self) -> Scorer:
        built: Scorer = self.spec.part("scorers").build()
        return built

    @cached_property
    def prompts(self) -> Prompts:
        built: Prompts = self.spec.part("prompts").build()
        return built

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
        """Real training photos by label."""
        return np.bincount(self.train.labels, minlength=len(self.dataset.classes))

    @cached_property
    def tail(self) -> SamplerView:
        return SamplerView(self.train.labels, self.hard_rule.rows())

    @cached_property
    def hard_rule(self) -> Rule:
        return RULES[self.spec.hard.rule](self)

    @cached_property
    def hard(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Training rows images are made from."""
        return np.flatnonzero(self.tail.hard)

    @cached_property
    def sources(self) -> SourceImages:
        return self.sources_of(self.hard)

    def sources_of(self, rows: Ints) -> SourceImages:
        """Training photos as images are made from them."""
        return SourceImages(
            ids=tuple(str(name) for name in self.train.ids[rows]),
            labels=self.train.labels[rows],
            photos=self._photos(rows),
            classes=self.dataset.classes,
            dataset_captions=self.task.prompts,
            prompts=self.prompts,
        )

    def _photos(self, rows: Ints) -> PhotoRows:
        """At a size of the bank's own they come from the photos as they were taken, where the
        dataset has those.
        """
        if not self.spec.bank.size:
            return PhotoRows.of(self.train.pixels, rows)
        size = (self.spec.bank.size[0], self.spec.bank.size[1])
        whole = self.train.original or (lambda row: np.asarray(self.train.pixels[row]))
        return PhotoRows(
            lambda wanted: np.stack([fitted(whole(int(row)), size) for row in wanted]),
            rows,
            (*size, 3),
        )

    @cached_property
    def process(self) -> dict[str, object]:
        """All that the images depend on: levels, variants and the threshold are views and stay out."""
        sources = self.sources
        photos = [
            f"{name} {label}"
            for name, label in zip(sources.ids, sources.labels.tolist(), strict=True)
        ]
        captions = [
            [sources.choices(place), sources.caption(place)] for place in range(len(sources.ids))
        ]
        return {
            "dataset": {
                "name": self.spec.dataset["name"],
                "photos": digest(photos),
                "captions": digest(captions),
            },
            "hard": self.spec.hard.said(),
            **{
                singular(kind): (
                    self.spec.part(kind).identity() | getattr(self, singular(kind)).identity()
                )
                for kind in MAKERS
            },
            "seed": self.spec.bank.seed,
            **({"size": size} if (size := self._size()) else {}),
        }

    def _size(self) -> list[int]:
        """[height, width] of the photos images are made from; [] where they have but one."""
        decoded = list(self.train.pixels.shape[1:3]) if self.train.original else []
        return self.spec.bank.size or decoded

    @property
    def bank_id(self) -> str:
        """The bank's name; opens and makes nothing."""
        return id_of(self.process)

    @cached_property
    def bank(self) -> Bank:
        return Bank(home() / "banks", self.process, self.train.pixels.shape[1:3])

    def wanted(self, levels: Sequence[int]) -> CellGrid:
        """Every image the given levels need."""
        bank = self.spec.bank
        return CellGrid(
            self.sources.ids,
            tuple(level for level in sorted(set(levels)) if level != PHOTO),
            bank.variants * bank.best_of,
        )

    def image_maker(self) -> ImageMaker:
        """What makes the images, here or in another process."""
        return ImageMaker(self.bank.id, self.bank.shards, self.sources, self.generator, self.scorer)

    def fill(
        self, levels: Sequence[int], progress: Progress, executor: Executor | None = None
    ) -> Made:
        """Make the images of `levels` that the bank lacks."""
        if not len(self.hard):
            raise UserError(
                f"no class of {self.spec.dataset['name']} has fewer than {self.spec.hard.below}"
                " photos, so there is nothing to make; raise hard.below, or compare real_only and"
                " real_rebalanced alone"
            )
        executor = executor or bind("executors", "local", {}).build()
        return self.bank.build(
            self.wanted(levels),
            self.generator.steps,
            executor,
            self.image_maker,
            self.spec.bank.batch,
            progress,
        )

    def usable(self, level: int) -> Usable:
        """The images of `level` that pass the threshold, as the sampler wants them."""
        bank = self.spec.bank
        view = self.bank.view(level, bank.variants, self.sources, bank.threshold, bank.best_of)
        return Usable(self.hard[view.source], view.place)

    def costs(self, levels: Sequence[int]) -> dict[str, float]:
        """What the images of `levels` take, whether they have to be made or are there."""
        made = [level for level in levels if level != PHOTO]
        each = len(self.hard) * self.spec.bank.variants * self.spec.bank.best_of if made else 0
        grid = self.generator.steps if made else 0
        return {
            "cost/images": float(each * len(made)),
            "cost/denoising_steps": float(
                each * sum(denoising_steps(level, grid) for level in made)
            ),
        }

    @cached_property
    def feed(self) -> Feed:
        return feed_of(self)

    @property
    def epoch_images(self) -> int:
        """Images of an epoch: whole batches."""
        batch = self.spec.train.batch
        return (self.spec.sampling.images or len(self.train)) // batch * batch

    @cached_property
    def targets(self) -> Targets:
        said = self.spec.sampling
        shares = tail_shares(
            self.tail, len(self.dataset.classes), said.tail_share, said.shares, said.amount
        )
        return Targets(self.epoch_images, shares, said.max_repeats, said.originals, said.easy)


def _reopened(spec: Benchmark, home_folder: str, data_folder: str) -> Bench:
    os.environ["DISCL_HOME"], os.environ["DISCL_DATA"] = home_folder, data_folder
    return Bench(spec)


@dataclass
class Audience:
    """The trackers of a sweep, spoken to as one."""

    trackers: list[Tracker]

    @staticmethod
    def of(names: Sequence[str]) -> Audience:
        """The record comes first, whatever else watches."""
        wanted = ["jsonl", *(name for name in names if name != "jsonl")]
        return Audience([bind("trackers", name, {}).build() for name in wanted])

    def progress(self, what: str, done: int, total: int) -> None:
        for tracker in self.trackers:
            tracker.progress(what, done, total)

    def report(self, report: EpochReport) -> None:
        for tracker in self.trackers:
            tracker.report(report)
