"""Runs one experiment, from names to a stored result."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from discl.engine.bank import Bank, Made, id_of
from discl.engine.leases import Wanted
from discl.engine.making import Sources, Workshop
from discl.engine.metrics import DEFINITIONS_ID, all_metrics, class_recalls
from discl.engine.sampling import Tail, Targets, Usable, hard_rows
from discl.files.disk import data_home, home, write_text
from discl.harness.provenance import provenance
from discl.harness.store import Store
from discl.spec.benchmark import MAKERS, Benchmark, Experiment
from discl.spec.errors import UserError
from discl.spec.identity import canonical, digest, short
from discl.spec.kinds import Announce, Dataset, Executor, Generator, Prompts, Scorer, Split, Task, Tracker
from discl.spec.levels import PHOTO
from discl.spec.registry import bind, singular
from discl.spec.result import Result


class Bench:
    """The parts of one benchmark, built once and shared by all its experiments."""

    def __init__(self, spec: Benchmark) -> None:
        self.spec = spec

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to another process as its description and the places it lives in; the parts are built again there."""
        return _reopened, (self.spec, str(home().absolute()), str(data_home().absolute()))

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
        return Task(classes, tuple(self.dataset.prompts(label) for label in range(len(classes))), min(self.train.pixels.shape[1:3]))

    @cached_property
    def counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Real training photos by label."""
        return np.bincount(self.train.labels, minlength=len(self.dataset.classes))

    @cached_property
    def tail(self) -> Tail:
        return Tail(self.train.labels, hard_rows(self.train.labels, len(self.dataset.classes), self.spec.hard.below))

    @cached_property
    def hard(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Training rows images are made from."""
        return np.flatnonzero(self.tail.hard)

    @cached_property
    def sources(self) -> Sources:
        return Sources(
            ids=tuple(str(name) for name in self.train.ids[self.hard]),
            labels=self.train.labels[self.hard],
            photos=np.asarray(self.train.pixels[self.hard]),
            classes=self.dataset.classes,
            usual=self.task.prompts,
            prompts=self.prompts,
        )

    @cached_property
    def process(self) -> dict[str, object]:
        """All that the images depend on: levels, variants and the threshold are views and stay out."""
        sources = self.sources
        photos = [f"{name} {label}" for name, label in zip(sources.ids, sources.labels.tolist(), strict=True)]
        captions = [[sources.choices(place), sources.caption(place)] for place in range(len(sources.ids))]
        return {
            "dataset": {"name": self.spec.dataset["name"], "photos": digest(photos), "captions": digest(captions)},
            "hard": self.spec.hard.model_dump(),
            **{singular(kind): self.spec.part(kind).identity() | getattr(self, singular(kind)).identity() for kind in MAKERS},
            "seed": self.spec.bank.seed,
        }

    @property
    def bank_id(self) -> str:
        """The bank's name; opens and makes nothing."""
        return id_of(self.process)

    @cached_property
    def bank(self) -> Bank:
        return Bank(home() / "banks", self.process)

    def wanted(self, levels: Sequence[int]) -> Wanted:
        """Every image the given levels need."""
        bank = self.spec.bank
        return Wanted(self.sources.ids, tuple(level for level in sorted(levels) if level != PHOTO), bank.variants * bank.best_of)

    def workshop(self) -> Workshop:
        """What makes the images, here or in another process."""
        return Workshop(self.bank.id, self.bank.shards, self.sources, self.generator, self.scorer)

    def fill(self, levels: Sequence[int], announce: Announce, executor: Executor | None = None) -> Made:
        """Make the images of `levels` that the bank lacks."""
        if not len(self.hard):
            raise UserError(
                f"no class of {self.spec.dataset['name']} has fewer than {self.spec.hard.below} photos, so there is nothing to make; "
                "raise hard.below, or compare real_only and real_rebalanced alone"
            )
        executor = executor or bind("executors", "local", {}).build()
        return self.bank.build(self.wanted(levels), self.generator.steps, executor, self.workshop, self.spec.bank.batch, announce)

    def usable(self, level: int) -> Usable:
        """The images of `level` that pass the threshold, as the sampler wants them."""
        bank = self.spec.bank
        view = self.bank.view(level, bank.variants, self.sources, bank.threshold, bank.best_of)
        return Usable(self.hard[view.source], view.place)

    @cached_property
    def targets(self) -> Targets:
        sampling = self.spec.sampling
        share = len(self.tail.hard_labels) / len(self.dataset.classes) if sampling.tail_share == "classes" else float(sampling.tail_share)
        batch = self.spec.train.batch
        images = (sampling.images or len(self.train)) // batch * batch
        return Targets(images, share, sampling.max_repeats)


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

    def announce(self, what: str, done: int, total: int) -> None:
        for tracker in self.trackers:
            tracker.announce(what, done, total)


def run(experiment: Experiment, bench: Bench, store: Store, audience: Audience, place: tuple[int, int] = (1, 1)) -> Result:
    """The stored result of an experiment, made now unless it is there. `place` says which of how many, for the eye."""
    found = store.find(experiment.id())
    return found or _run(experiment, bench, store, audience, place)


def _run(experiment: Experiment, bench: Bench, store: Store, audience: Audience, place: tuple[int, int]) -> Result:
    import torch

    from discl.engine.prediction import Normaliser, predict
    from discl.engine.training import Material, Recipe, fit

    spec, started = bench.spec, time.monotonic()
    levels = experiment.used_levels()
    made = bench.fill(levels, audience.announce) if any(level != PHOTO for level in levels) else None
    attempt, folder = store.new_attempt(experiment.id())
    config = experiment.benchmark.model_dump() | {"strategy": experiment.strategy, "seed": experiment.seed}
    write_text(folder / "experiment.json", json.dumps({"identity": experiment.identity(), "config": config}, indent=1) + "\n")

    strategy = spec.chosen_strategy(experiment.strategy).build()
    synthetic = [level for level in levels if level != PHOTO]
    material = Material(
        train=bench.train,
        tail=bench.tail,
        classes=len(bench.dataset.classes),
        levels=levels or (PHOTO,),
        usable={level: bench.usable(level) for level in synthetic},
        pixels={level: bench.bank.pixels(level) for level in synthetic},
        val=bench.dataset.split("val"),
    )
    backbone = spec.part("backbones").build()
    network = backbone.build(bench.task, experiment.seed)
    normaliser = Normaliser(backbone.mean, backbone.std)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recipe = Recipe(**spec.train.model_dump())
    for tracker in audience.trackers:
        tracker.start(_described(experiment, folder, config, place))
    summary: dict[str, float] | None = None
    try:
        best, chosen, chosen_epoch, seen, steps = float("-inf"), None, -1, dict[int, int](), 0
        loss = spec.part("losses").build()
        for report in fit(network, strategy, loss, material, recipe, bench.targets, normaliser, experiment.seed, device):
            for tracker in audience.trackers:
                tracker.report(report)
            steps += report.steps
            for level, count in report.seen.items():
                seen[level] = seen.get(level, 0) + count
            value = _selected(report.values, spec.select.metric)
            if value is not None and value > best:
                best, chosen_epoch = value, report.epoch
                chosen = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
        if chosen is None:
            raise UserError(f"{spec.select.metric} was never measured; lower train.evaluate_every")
        network.load_state_dict(chosen)
        splits = {name: bench.dataset.split(name) for name in bench.dataset.splits if name != "train"}
        store.save_predictions(folder, predict(network, splits, normaliser, device))
        predictions = store.predictions(folder)
        summary = all_metrics(predictions, bench.counts)
        result = Result(
            id=experiment.id(),
            attempt=attempt,
            name=experiment.name,
            benchmark=spec.name,
            scale=spec.scale,
            strategy=experiment.strategy,
            seed=experiment.seed,
            identity=experiment.identity(),
            passport={
                "definitions": DEFINITIONS_ID,
                "comparison": short(experiment.comparison()),
                "bank": bench.bank.id if made else None,
                "threshold": spec.bank.threshold if made else None,
                "splits": digest({name: digest(split.ids.tolist()) for name, split in splits.items()})[:16],
            },
            metrics=summary,
            class_recalls=class_recalls(predictions, "test", len(bench.dataset.classes)),
            classes=list(bench.dataset.classes),
            counts=[int(count) for count in bench.counts],
            chosen_epoch=chosen_epoch,
            seen=dict(sorted(seen.items())),
            cost={"steps": steps, "seconds": time.monotonic() - started, "images_generated": float(made.images if made else 0)},
            provenance=canonical(provenance()),
        )
        store.finish(folder, result)
        return result
    finally:
        for tracker in audience.trackers:
            tracker.finish(summary)


def _selected(values: dict[str, float], metric: str) -> float | None:
    if not values:
        return None
    if metric not in values:
        raise UserError(f"select.metric = {metric!r} is not measured; there is {', '.join(sorted(values))}")
    return values[metric]


def _described(experiment: Experiment, folder: Path, config: dict[str, Any], place: tuple[int, int]) -> dict[str, Any]:
    """What a tracker is told of a run."""
    bench = experiment.benchmark
    return {
        "id": experiment.id(),
        "name": experiment.name,
        "folder": folder,
        "group": f"{bench.name}-{bench.scale}",
        "project": f"discl-{bench.name}",
        "tags": [bench.scale, experiment.strategy, str(bench.backbone["name"])],
        "config": config,
        "epochs": bench.train.epochs,
        "place": place,
    }
