"""The whole path, small: photos, bank, training, predictions, metrics, store."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.config.benchmark import Benchmark
from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.interfaces import EpochReport
from discl.core.result import Result
from discl.core.seals import opened_line
from discl.harness.leaderboard.publish import publish
from discl.harness.leaderboard.stored import runs_of, stored_results
from discl.harness.run.assembly import Bench
from discl.harness.run.execute import run
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.cost import estimate_cost
from discl.harness.sweep.sequential import sweep
from tests.metrics import all_metrics

TINY = [
    "generator.name=blend",
    "dataset.largest=40",
    "dataset.smallest=4",
    "dataset.ood_photos=10",
    "bank.variants=1",
    "train.epochs=3",
    "train.warmup_epochs=1",
    "train.curriculum_epochs=2",
    "train.evaluate_every=3",
    "train.batch=32",
    "backbone.stem_stride=4",
    "trackers=[]",
    "levels=[0,50,100]",
    "backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8], stem_type='deep', stem_width=4}",
]

# on 600 photos laid out as CIFAR-100's, of which fewer are predicted
SMALL = [setting for setting in TINY if not setting.startswith(("dataset.", "trackers"))]


def _spec(*settings: str) -> Benchmark:
    return load("cifar10_lt", settings=[*TINY, *settings])


def _small(photos: Path, *settings: str) -> Benchmark:
    quiet = ["trackers=[]", f"dataset.root={photos}"]
    return load("cifar100_lt", settings=[*SMALL, *quiet, *settings])


def _sweep(spec: Benchmark) -> list[Result]:
    return list(sweep(spec, Store(), CompositeTracker.of([])))


OTHER = ("strategies=['real_only']", "seeds=[2]", "train.lr=0.01")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the runs of two strategies, and one of another comparison."""
    home = tmp_path_factory.mktemp("swept") / "home"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DISCL_HOME", str(home))
        _sweep(_spec("strategies=['static','real_only']"))
        _sweep(_spec(*OTHER))
    return home


@pytest.fixture
def after_a_sweep(swept: Path, tmp_path: Path) -> None:
    """A home of our own, as it is after the sweeps."""
    shutil.copytree(swept, tmp_path / "home")


@pytest.mark.usefixtures("after_a_sweep")
def test_a_sweep_runs_once_and_every_number_comes_from_its_predictions() -> None:
    spec, store = _spec("strategies=['static','real_only']"), Store()
    first = stored_results(spec, store)
    assert [result.strategy for result in first] == ["static", "real_only"]
    for result in first:
        folder = store.folder(result)
        assert {path.name for path in folder.iterdir()} == {
            "experiment.json",
            "events.jsonl",
            "predictions.npz",
            "result.json",
        }
        saved = store.predictions(folder)
        assert saved["test/logits"].shape == (10_000, 10)
        assert all_metrics(saved, np.array(result.counts)) == result.metrics
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        assert [event["event"] for event in events] == [
            "start",
            "epoch",
            "epoch",
            "epoch",
            "finish",
        ]
    assert first[0].cost["steps"] == first[1].cost["steps"]
    again = _sweep(spec)
    assert [result.to_json() for result in again] == [result.to_json() for result in first]
    assert all(result.attempt == 0 for result in again)
    assert estimate_cost(experiments(spec), store, lambda *_: None).optimiser_steps == 0


def test_the_bank_makes_only_the_levels_somebody_needs(cifar100_photos: Path) -> None:
    spec = _small(cifar100_photos, "strategies=['text_only','real_rebalanced']")
    _sweep(spec)
    assert list(Bench(spec).bank.count()) == [0]


class Stopping:
    """A tracker that presses Ctrl-C after the first epoch."""

    version = 1

    def start(self, run: Any) -> None: ...
    def progress(self, what: str, done: int, total: int) -> None: ...
    def finish(self, summary: Any) -> None: ...
    def report(self, report: EpochReport) -> None:
        raise KeyboardInterrupt


def test_a_stopped_run_does_not_answer_for_a_finished_one(cifar100_photos: Path) -> None:
    spec, store = _small(cifar100_photos, "strategies=['real_only']"), Store()
    (experiment,) = experiments(spec)
    tracker = CompositeTracker([*CompositeTracker.of([]).trackers, Stopping()])
    with pytest.raises(KeyboardInterrupt):
        run(experiment, Bench(spec), store, tracker)
    assert store.find(experiment.id()) is None
    record = next(store.root.glob("*/000/events.jsonl")).read_text().splitlines()
    assert opened_line(record[-1]) == {"event": "finish", "complete": False, "metrics": {}}
    finished = run(experiment, Bench(spec), store, CompositeTracker.of([]))
    assert finished.attempt == 1
    assert store.find(experiment.id()) == finished


@pytest.mark.usefixtures("after_a_sweep")
def test_publishing_copies_results_and_renders_a_page(tmp_path: Path) -> None:
    spec = _spec("strategies=['real_only']")
    publish(spec, Store(), tmp_path)
    (result,) = stored_results(spec, Store())
    assert (
        Result.read(tmp_path / "results" / "cifar10_lt" / "smoke" / f"{result.id}.json") == result
    )
    assert "| real_only | 1 |" in (tmp_path / "cifar10_lt.md").read_text()


@pytest.mark.usefixtures("after_a_sweep")
def test_a_board_shows_every_seed_there_is_of_its_comparison() -> None:
    assert runs_of(_spec("strategies=['real_only']", "seeds=[7]"), Store())[0].seeds == [0]
    assert runs_of(_spec(*OTHER, "seeds=[7]"), Store())[0].seeds == [2]


@pytest.mark.slow  # a run that is killed and continued elsewhere is compared in test_checkpointing
def test_the_same_experiment_in_two_processes_gives_the_same_numbers_bit_for_bit(
    tmp_path: Path, cifar100_photos: Path
) -> None:
    command = [sys.executable, "-m", "discl.cli", "run", "cifar100_lt"]
    command += ["--strategies", "adaptive", "--seeds", "3", "--trackers", ""]
    settings = [*SMALL, f"dataset.root={cifar100_photos}"]
    command += [word for setting in settings for word in ("--set", setting)]
    homes = [tmp_path / "one", tmp_path / "two"]
    # passive: threads that spin while they wait for each other take minutes on busy cores
    threads = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **threads, "DISCL_HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for home in homes
    ]
    for process in processes:
        _, printed = process.communicate()
        assert process.returncode == 0, printed.decode()
    results = []
    for home in homes:
        (path,) = home.glob("runs/*/*/result.json")
        results.append(json.loads(path.read_text()))
    for key in ("id", "metrics", "class_recalls", "chosen_epoch", "seen", "comparability"):
        assert results[0][key] == results[1][key]
