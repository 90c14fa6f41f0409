"""Uploads a bank as a W&B run of its own, with pictures, scores, yields and cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from discl.config.benchmark import Benchmark
from discl.core.errors import UserError
from discl.core.levels import PHOTO, denoising_steps
from discl.engine.bank.catalogue import Cell
from discl.files.fetch import offline
from discl.harness.run.assembly import Bench
from discl.harness.wandb import artifacts
from discl.harness.wandb.final_summary import PICTURE_SIDE
from discl.harness.wandb.sent_log import SentRecord, locked_log
from discl.harness.wandb.session import Destination, RunInit, open_run

MAX_CLASSES = 40  # with pictures: the first ones that images are made of
BINS = 32


def upload_bank(
    folder: Path,
    spec: Benchmark,
    destination: Destination,
    on_step: Callable[[str], None] = lambda _: None,
) -> bool:
    """Upload a bank as a benchmark sees it; false where just these images were sent before."""
    metadata = artifacts.bank_metadata(folder.name)
    project = destination.project(f"discl-{spec.name}")
    key = destination.key(project)
    view = (
        f"{metadata['digest']} {spec.levels} {spec.bank.variants} {spec.bank.best_of}"
        f" {spec.bank.threshold}"
    )
    record = SentRecord(view, sum(metadata["images"].values()), True)
    with locked_log(folder) as log:
        if log.records.get(key) == record:
            return False
        bench = Bench(spec)
        with offline():
            if not _uses_bank(bench, folder.name):
                return False
            init = _init_arguments(bench, metadata, project)
            _log(open_run(init, destination), bench, on_step)
        bench.close()
        log.write(key, record)
    return True


def _uses_bank(bench: Bench, bank: str) -> bool:
    """Whether the benchmark uses this bank, judged by the files on this machine only."""
    try:
        return bench.dataset.ready and bench.bank_id == bank
    except UserError:
        return False


def _init_arguments(bench: Bench, metadata: dict[str, Any], project: str) -> RunInit:
    spec = bench.spec
    generator = str(spec.generator["name"])
    return RunInit(
        id=bench.bank_id,
        name=f"bank-{spec.dataset['name']}-{generator}-{bench.bank_id[:8]}",
        project=project,
        group=f"{spec.name}-{spec.scale}",
        job_type="bank",
        tags=(spec.scale, str(spec.dataset["name"]), generator),
        config={**metadata, "levels": spec.levels, "bank_settings": spec.bank.model_dump()},
    )


def _log(run: Any, bench: Bench, on_step: Callable[[str], None]) -> None:
    complete = False
    try:
        levels = [level for level in sorted(bench.spec.levels) if level != PHOTO]
        run.summary.update(_scores(bench, levels) | _cost(bench, levels))
        run.summary["yield"] = _yield(bench, levels)
        on_step("scores")
        run.summary["spectrum"] = _spectrum(bench, levels)
        on_step("pictures")
        artifact = artifacts.bank_artifact(bench.bank_id)
        if artifact is not None:
            run.log_artifact(artifact)
        complete = True
    finally:
        run.finish(exit_code=0 if complete else 1)


def _scores(bench: Bench, levels: list[int]) -> dict[str, Any]:
    """A histogram and a median of the text and photo scores of each level, with equal bins."""
    import wandb

    summary: dict[str, Any] = {}
    for level in levels:
        text, photo, _ = bench.bank.scores(level)
        for name, all_scores in (("text", text), ("photo", photo)):
            scores = all_scores[~np.isnan(all_scores)]
            if len(scores):
                counts, edges = np.histogram(scores, BINS, (-1.0, 1.0))
                summary[f"scores/{name}/level_{level:03d}"] = wandb.Histogram(
                    np_histogram=(counts.tolist(), edges.tolist())
                )
                summary[f"scores/{name}_median/level_{level:03d}"] = float(np.median(scores))
    return summary


def _cost(bench: Bench, levels: list[int]) -> dict[str, float]:
    counts = bench.bank.count()
    images = {level: counts.get(level, 0) for level in levels}
    return {
        "bank/images": sum(images.values()),
        "bank/failed": len(bench.bank.failures()),
        "cost/denoising_steps": sum(
            count * denoising_steps(level, bench.counting) for level, count in images.items()
        ),
        "cost/bytes": sum(path.stat().st_size for path in bench.bank.shards.glob("*")),
    }


def _yield(bench: Bench, levels: list[int]) -> Any:
    """A table of made and kept images by class and level."""
    import wandb

    labels = np.asarray(bench.sources.labels)
    names = bench.dataset.classes
    bank = bench.spec.bank

    def images_by_class(level: int, threshold: float | None) -> Any:
        view = bench.bank.view(level, bank.variants, bench.sources, threshold, bank.best_of)
        return np.bincount(bench.train.labels[view.row], minlength=len(names))

    table = wandb.Table(columns=["class", "level", "hard photos", "made", "kept", "kept share"])
    hard = np.bincount(labels, minlength=len(names))
    for level in levels:
        made = images_by_class(level, None)
        kept = images_by_class(level, bank.threshold)
        for label in np.flatnonzero(hard).tolist():
            share = float(kept[label] / made[label]) if made[label] else None
            table.add_data(
                names[label], level, int(hard[label]), int(made[label]), int(kept[label]), share
            )
    return table


def _spectrum(bench: Bench, levels: list[int]) -> Any:
    """A table with one hard photo per class, and its images from text only to the photo itself."""
    import wandb
    from PIL import Image

    def picture(pixels: Any, caption: str) -> Any:
        image = Image.fromarray(np.asarray(pixels))
        image.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
        return wandb.Image(image, caption=caption)

    sources = bench.sources
    bank = bench.spec.bank
    views = {
        level: bench.bank.view(level, bank.variants, sources, None, bank.best_of)
        for level in levels
    }
    table = wandb.Table(columns=["class", *(f"level {level}" for level in levels), "photo"])
    for label in np.unique(sources.labels)[:MAX_CLASSES].tolist():
        photo = int(np.flatnonzero(sources.labels == label)[0])
        cells: list[Any] = []
        for level, view in views.items():
            images = np.flatnonzero(view.row == sources.rows[photo])
            if not len(images):
                cells.append(None)
                continue
            cell = Cell(sources.ids[photo], level, int(view.variant[images[0]]))
            pixels, record = bench.bank.image(cell)
            score = "" if record.text_score is None else f", cosine {record.text_score:.3f}"
            cells.append(picture(pixels, f"level {level}{score}"))
        cells.append(picture(sources.photos[photo], "photo"))
        table.add_data(bench.dataset.classes[label], *cells)
    return table
