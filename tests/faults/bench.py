"""A small finished bench, and the answers that its stored files give when they are read again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from discl.config.benchmark import Benchmark
from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.conventions import LAST
from discl.core.interfaces import EpochReport
from discl.core.progress import no_progress
from discl.core.seals import read_sealed
from discl.files import checkpoints
from discl.files.disk import home
from discl.harness.leaderboard.stored import stored_results
from discl.harness.run import events
from discl.harness.run.assembly import Bench
from discl.harness.run.execute import run
from discl.harness.run.start.first_weights import first_weights
from discl.harness.run.start.kept import kept_weights
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from tests.make_mini import make

SETTINGS = (
    "generator.name=blend",
    "bank.variants=1",
    "train.epochs=2",
    "train.warmup_epochs=1",
    "train.curriculum_epochs=1",
    "train.evaluate_every=1",
    "train.batch=16",
    "backbone.stem_stride=4",
    "trackers=[]",
    "levels=[25,50,100]",
    'strategies=["static"]',
    "store.weights=last",
    "seeds=[0]",
    "select.metric=val/worst_class_acc",  # nought at both epochs, of which val takes the first
    "backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8], stem_type='deep', stem_width=4}",
)
LEVELS = (25, 50)


@contextmanager
def at(folder: Path) -> Any:
    """DISCL_HOME and DISCL_DATA lie in a folder."""
    before = {name: os.environ.get(name) for name in ("DISCL_HOME", "DISCL_DATA")}
    os.environ.update(DISCL_HOME=str(folder / "home"), DISCL_DATA=str(folder / "data"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def spec_of(photos: Path, *settings: str) -> Benchmark:
    return load("folder", "smoke", [*SETTINGS, f"dataset.root={photos}", *settings])


def make_finished(folder: Path) -> None:
    """Photos, and below `done` a home and data with a bench, its caches and a checkpoint."""
    make("folder", folder / "photos", images=60)
    with at(folder / "done"):
        spec = spec_of(folder / "photos")
        bench, store, tracker = Bench(spec), Store(), CompositeTracker.of([])
        for experiment in experiments(spec):
            result = run(experiment, bench, store, tracker)
        bench.close()
        frozen(folder / "photos")
        start(folder / "photos")
        for number in (1, 2):
            tensors = {"weights": torch.arange(5000.0) + number, "steps": torch.tensor(number)}
            checkpoints.save(store.checkpoints(result.id), number, tensors, {"number": number})


def _digest(*arrays: Any) -> str:
    seen = hashlib.sha256()
    for array in arrays:
        whole = np.ascontiguousarray(array)
        seen.update(f"{whole.dtype.str} {whole.shape}".encode() + whole.tobytes())
    return seen.hexdigest()


def _inputs(photos: Path, *settings: str) -> str:
    """All that a run would train on and be measured on."""
    bench = Bench(spec_of(photos, *settings))
    try:
        setup = bench.setup((*LEVELS, 100), no_progress)
        data = setup.data
        splits = [setup.inputs.split(name) for name in ("train", *setup.scored)]
        return _digest(
            *(data.pixels[level] for level in LEVELS),
            *(data.images[level].row for level in LEVELS),
            *(part for split in splits for part in (split.pixels, split.labels, split.ids)),
            np.array([bench.bank.digest()]),
        )
    finally:
        bench.close()


def inputs(photos: Path) -> str:
    return _inputs(photos)


def frozen(photos: Path) -> str:
    return _inputs(photos, "backbone.frozen=true")


def inputs_from_shards(photos: Path) -> str:
    """The same, where no level is in the cache."""
    for path in home().glob("banks/*/cache/*"):
        path.unlink()
    return _inputs(photos)


def alike(photos: Path) -> str:
    bench = Bench(spec_of(photos))
    try:
        return repr((bench.dataset.overlaps(), bench.dataset.remarks()))  # type: ignore[attr-defined]
    finally:
        bench.close()


def board(photos: Path) -> dict[str, float]:
    (result,) = stored_results(spec_of(photos), Store())
    return result.metrics


def epochs(photos: Path) -> list[EpochReport]:
    (attempt,) = Store().root.glob("*/000")
    return events.epochs(attempt)


def predictions(photos: Path) -> str:
    (attempt,) = Store().root.glob("*/000")
    arrays = Store().predictions(attempt)
    return _digest(*(arrays[name] for name in sorted(arrays)))


def last_predictions(photos: Path) -> str:
    (attempt,) = Store().root.glob("*/000")
    arrays = Store().predictions(attempt, LAST.predictions)
    return _digest(*(arrays[name] for name in sorted(arrays)))


def description(photos: Path) -> dict[str, Any]:
    (attempt,) = Store().root.glob("*/000")
    return read_sealed(attempt / "experiment.json", "")


def checkpoint(photos: Path) -> Any:
    """The newest whole checkpoint; the one before it is as good an answer."""
    (folder,) = Store().root.glob("*/checkpoints")
    found = checkpoints.newest(folder)
    if found is None:
        return "none"
    tensors, facts = found
    expected = torch.arange(5000.0) + facts["number"]
    return torch.equal(tensors["weights"], expected) and int(tensors["steps"]) == facts["number"]


def start(photos: Path) -> str:
    """The weights that a run would begin from; made where they are not there."""
    warm = ("train.start.strategy=real_only", "train.start.settings={epochs=1, warmup_epochs=0}")
    bench = Bench(spec_of(photos, *warm))
    try:
        first = first_weights(bench, 0, no_progress)
        assert first
        return _digest(*(first.weights[name].numpy() for name in sorted(first.weights)))
    finally:
        bench.close()


def kept(photos: Path) -> str:
    (attempt,) = Store().root.glob("*/000")
    weights, about = kept_weights(attempt)
    return _digest(*(weights[name].numpy() for name in sorted(weights))) + str(about["epoch"])


# kind of file -> (which files, what reads them)
READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "a level's map": ("home/banks/*/cache/level-*.npy", inputs),
    "a bank's record": ("home/banks/*/bank.json", inputs),
    "a catalogue": ("home/banks/*/catalogue.sqlite", inputs),
    "a shard": ("home/banks/*/shards/*", inputs_from_shards),
    "features of photos": ("home/features/*/splits/*.npy", frozen),
    "features of images": ("home/features/*/levels/*.npy", frozen),
    "decoded photos": ("data/decoded/*/pixels", inputs),
    "small pictures": ("data/decoded/*/small", inputs),
    "digests of photos": ("data/decoded/*/contents", inputs),
    "what is decoded": ("data/decoded/*/done.json", inputs),
    "digests of files": ("data/**/digests.arrow", inputs),
    "a manifest": ("data/**/*.parquet", inputs),
    "photos that look alike": ("data/alike/*.json", alike),
    "a result": ("home/runs/*/000/result.json", board),
    "a record": ("home/runs/*/000/events.jsonl", epochs),
    "predictions": ("home/runs/*/000/predictions.npz", predictions),
    "last predictions": ("home/runs/*/000/last_predictions.npz", last_predictions),
    "settings of a run": ("home/runs/*/000/experiment.json", description),
    "a start": ("home/starts/*/weights.safetensors", start),
    "weights of a run": ("home/runs/*/000/weights.safetensors", kept),
    "a checkpoint": ("home/runs/*/checkpoints/*2.v*.safetensors", checkpoint),
}
