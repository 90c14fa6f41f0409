"""Mirrors a bank: one W&B run of its own, with pictures, scores, yields and cost; the bank's folder
is its record.
"""

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
from discl.harness.wandb.final_summary import SIDE
from discl.harness.wandb.sent_log import Note, claimed
from discl.harness.wandb.session import Label, Place, opened

CLASSES = 40  # with pictures: the first ones that images are made of
BINS = 32


def mirror_bank(
    folder: Path, spec: Benchmark, place: Place, tell: Callable[[str], None] = lambda _: None
) -> bool:
    """Tell W&B of a bank as this benchmark looks at it, unless it was told of just these images;
    whether there was anything new.
    """
    facts = artifacts.bank_facts(folder.name)
    project = place.project(f"discl-{spec.name}")
    view = (
        f"{facts['digest']} {spec.levels} {spec.bank.variants} {spec.bank.best_of}"
        f" {spec.bank.threshold}"
    )
    with claimed(folder) as notes:
        if notes.all.get(where := place.named(project)) == (
            note := Note(view, sum(facts["images"].values()), True)
        ):
            return False
        bench = Bench(spec)
        with offline():
            if not _is_of(folder.name, bench):
                return False
            _send(opened(_label(bench, facts, project), place), bench, tell)
        bench.close()
        notes.write(where, note)
    return True


def _is_of(bank: str, bench: Bench) -> bool:
    """Whether the benchmark looks at this bank, by what lies on this machine: its photos, and which
    of them are hard.
    """
    try:
        return bench.dataset.ready and bench.bank_id == bank
    except UserError:
        return False


def _label(bench: Bench, facts: dict[str, Any], project: str) -> Label:
    spec = bench.spec
    made_by = str(spec.generator["name"])
    return Label(
        id=bench.bank_id,
        name=f"bank-{spec.dataset['name']}-{made_by}-{bench.bank_id[:8]}",
        project=project,
        group=f"{spec.name}-{spec.scale}",
        job_type="bank",
        tags=(spec.scale, str(spec.dataset["name"]), made_by),
        config={**facts, "levels": spec.levels, "bank_settings": spec.bank.model_dump()},
    )


def _send(run: Any, bench: Bench, tell: Callable[[str], None]) -> None:
    complete = False
    try:
        levels = [level for level in sorted(bench.spec.levels) if level != PHOTO]
        run.summary.update(_scores(bench, levels) | _cost(bench, levels))
        run.summary["yield"] = _yield(bench, levels)
        tell("scores")
        run.summary["spectrum"] = _spectrum(bench, levels)
        tell("pictures")
        if (artifact := artifacts.of_bank(bench.bank_id)) is not None:
            run.log_artifact(artifact)
        complete = True
    finally:
        run.finish(exit_code=0 if complete else 1)


def _scores(bench: Bench, levels: list[int]) -> dict[str, Any]:
    """A histogram and a median for each level and kind of score, the same bins for all."""
    import wandb

    found: dict[str, Any] = {}
    for level in levels:
        text, photo, _ = bench.bank.scores(level)
        for name, scores in (("text", text), ("photo", photo)):
            if len(known := scores[~np.isnan(scores)]):
                counts, edges = np.histogram(known, BINS, (-1.0, 1.0))
                found[f"scores/{name}/level_{level:03d}"] = wandb.Histogram(
                    np_histogram=(counts.tolist(), edges.tolist())
                )
                found[f"scores/{name}_median/level_{level:03d}"] = float(np.median(known))
    return found


def _cost(bench: Bench, levels: list[int]) -> dict[str, float]:
    made = bench.bank.count()
    grid = bench.generator.steps
    images = {level: made.get(level, 0) for level in levels}
    steps = sum(count * denoising_steps(level, grid) for level, count in images.items())
    size = sum(path.stat().st_size for path in bench.bank.shards.glob("*"))
    failed = len(bench.bank.failures())
    return {
        "bank/images": sum(images.values()),
        "bank/failed": failed,
        "cost/denoising_steps": steps,
        "cost/bytes": size,
    }


def _yield(bench: Bench, levels: list[int]) -> Any:
    """Made and kept images of every class and level."""
    import wandb

    labels = np.asarray(bench.sources.labels)
    names = bench.dataset.classes
    said = bench.spec.bank
    table = wandb.Table(columns=["class", "level", "hard photos", "made", "kept", "kept share"])
    hard = np.bincount(labels, minlength=len(names))
    for level in levels:
        made, kept = (
            np.bincount(
                labels[
                    bench.bank.view(level, said.variants, bench.sources, limit, said.best_of).source
                ],
                minlength=len(names),
            )
            for limit in (None, said.threshold)
        )
        for label in np.flatnonzero(hard).tolist():
            share = float(kept[label] / made[label]) if made[label] else None
            table.add_data(
                names[label], level, int(hard[label]), int(made[label]), int(kept[label]), share
            )
    return table


def _spectrum(bench: Bench, levels: list[int]) -> Any:
    """A line a class: one hard photo, from text only to the photo itself."""
    import wandb
    from PIL import Image

    def picture(pixels: Any, caption: str) -> Any:
        shown = Image.fromarray(np.asarray(pixels))
        shown.thumbnail((SIDE, SIDE))
        return wandb.Image(shown, caption=caption)

    sources = bench.sources
    said = bench.spec.bank
    views = {
        level: bench.bank.view(level, said.variants, sources, None, said.best_of)
        for level in levels
    }
    table = wandb.Table(columns=["class", *(f"level {level}" for level in levels), "photo"])
    for label in np.unique(sources.labels)[:CLASSES].tolist():
        place = int(np.flatnonzero(sources.labels == label)[0])
        line: list[Any] = []
        for level, view in views.items():
            mine = np.flatnonzero(view.source == place)
            if not len(mine):
                line.append(None)
                continue
            pixels, row = bench.bank.image(
                Cell(sources.ids[place], level, int(view.variant[mine[0]]))
            )
            score = "" if row.text_score is None else f", cosine {row.text_score:.3f}"
            line.append(picture(pixels, f"level {level}{score}"))
        table.add_data(bench.dataset.classes[label], *line, picture(sources.photos[place], "photo"))
    return table
