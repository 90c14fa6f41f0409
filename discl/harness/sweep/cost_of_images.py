"""The images that runs need and the bank lacks, and the models that find the hard photos."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.core.interfaces import Progress
from discl.core.levels import PHOTO, denoising_steps
from discl.harness.run.assembly import Bench
from discl.harness.run.inputs import FeatureInputs
from discl.harness.sweep.cost_totals import EMBEDDING, IMAGES, TRAINING, Totals
from discl.harness.sweep.run_times import RunTimes
from discl.harness.sweep.throughput import image_speed


def decides_images(benchmark: Benchmark) -> object:
    """The settings that decide which images there are to make.

    Where models find the hard photos, also those that decide the models.
    """
    fold_models: list[object] = []
    if benchmark.part("hard_rules").build().models:
        fold_models = [benchmark.backbone, benchmark.loss, benchmark.train.model_dump()]
    return [
        benchmark.dataset,
        [benchmark.generator, benchmark.levels_as],
        benchmark.scorer,
        benchmark.prompts,
        benchmark.hard_rule,
        benchmark.bank.model_dump(exclude={"threshold", "batch"}),
        fold_models,
    ]


def add_images(
    totals: Totals, group: Sequence[Experiment], progress: Progress, run_times: RunTimes
) -> None:
    """Add the images of experiments that share them, and the models that find the hard photos."""
    bench = Bench(group[0].benchmark)
    bench.dataset.prepare(progress)
    patience = run_times.patience
    if patience:
        run_times.pace(bench)  # takes a second or two; a sample of images may take all the others
    levels = _levels(group)
    fold_model_images = _fold_model_images(bench)
    if fold_model_images:
        hard = bench.hard_photos.expected()
        images, steps = _images_of(bench, levels, hard or 0)
        _add_fold_models(totals, bench, fold_model_images, run_times)
    else:
        hard = len(bench.hard)
        images, steps = _missing_images(bench, levels)
    totals.hard.append(hard)
    totals.images += images
    totals.denoising_steps += steps
    if images:
        photo = bench.sources_of(np.arange(1)).photos[0]
        # the image, and its pixels as a run reads them
        totals.bytes += images * (int(photo.size * 0.8) + math.prod(bench.train.pixels.shape[1:]))
    if steps and patience:
        speed = image_speed(bench, patience=patience)
        seconds = steps * speed.step_seconds + images * speed.image_seconds
        totals.add(seconds, IMAGES, speed.by_flops)
        totals.load(IMAGES, speed.loading_seconds)
    if patience:
        by_flops = run_times.pace(bench).by_flops
        totals.add(_embedding_seconds(bench, levels, images, run_times), EMBEDDING, by_flops)
    totals.classes.add(len(bench.dataset.classes))
    known = None if fold_model_images else len(set(bench.train.labels[bench.hard].tolist()))
    totals.hard_classes.add(known)


def _embedding_seconds(
    bench: Bench, levels: Sequence[int], images: int, run_times: RunTimes
) -> float:
    """Seconds in which a frozen trunk embeds photos and images that it has not seen yet."""
    if not isinstance(bench.inputs, FeatureInputs):
        return 0.0
    made = [level for level in levels if not images and level in bench.bank.count()]
    rows = bench.inputs.missing_rows(made) + images
    return rows * run_times.pace(bench).embedding_seconds if rows else 0.0


def _levels(group: Sequence[Experiment]) -> list[int]:
    """The levels that images are made of; a seed makes no other image."""
    one_a_strategy = {(id(e.benchmark), e.strategy): e for e in group}.values()
    levels = {level for experiment in one_a_strategy for level in experiment.used_levels()}
    return sorted(levels - {PHOTO})


def _fold_model_images(bench: Bench) -> list[int]:
    """Images that each out-of-fold model to be trained will see."""
    out_of_fold = bench.hard_photos.out_of_fold
    if out_of_fold is None:
        return []
    batch = bench.spec.train.batch
    counts = []
    for number in out_of_fold.missing():
        batches = int((out_of_fold.fold != number).sum()) // batch
        counts.append(batches * batch * out_of_fold.models.epochs)
    return counts


def _add_fold_models(
    totals: Totals, bench: Bench, images: Sequence[int], run_times: RunTimes
) -> None:
    batch = bench.spec.train.batch
    totals.fold_models += len(images)
    totals.trained_images += sum(images)
    totals.optimiser_steps += sum(images) // batch
    out_of_fold = bench.hard_photos.out_of_fold
    if run_times.patience and out_of_fold:
        speed = run_times.pace(bench)
        held_out = len(bench.train) // out_of_fold.models.folds
        predicted = held_out + len(bench.dataset.split("val"))
        totals.add(
            sum(
                count // batch * speed.step_seconds + predicted * speed.prediction_seconds
                for count in images
            ),
            TRAINING,
            speed.by_flops,
        )


def _images_of(bench: Bench, levels: Sequence[int], hard: int) -> tuple[int, int]:
    """Images and denoising steps of `hard` photos.

    While the photos are not known, there is no bank that could hold some of the images.
    """
    a_level = hard * bench.spec.bank.variants * bench.spec.bank.best_of
    steps = sum(denoising_steps(level, bench.counting) for level in levels)
    return a_level * len(levels), a_level * steps


def _missing_images(bench: Bench, levels: Sequence[int]) -> tuple[int, int]:
    """Images the bank lacks, and their denoising steps."""
    if not levels:
        return 0, 0
    if not bench.has_bank:  # none is made for a plan
        return _images_of(bench, levels, len(bench.hard))
    missing = bench.bank.count_missing(bench.wanted(levels))
    return sum(missing.values()), sum(
        count * denoising_steps(level, bench.counting) for level, count in missing.items()
    )
