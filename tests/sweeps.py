"""Real sweeps, tiny: begun, watched, killed and read."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from optuna import get_all_study_names, load_study
from optuna.trial import FrozenTrial, TrialState

from discl.core.result import Result
from discl.harness.run.store import Store
from discl.harness.sweep import run_list
from discl.harness.tuning import study
from discl.harness.tuning.slots import RUNS, SLOT
from discl.harness.tuning.storage import database
from discl.parts.executors import local
from tests import processes
from tests.processes import Started

# 600 photos, seen once by a small network: a run takes a tenth of what a process takes to begin
COMMON = """
benchmark = "cifar100_lt"
strategies = ["static", "real_rebalanced"]

[set]
"dataset.root" = "photos"
"backbone.frozen" = true
"backbone.model" = "test_resnet"
"backbone.arguments" = {}
"backbone.stem_stride" = 4
"generator.name" = "blend"
"bank.variants" = 1
"levels" = [0, 50, 100]
"train.epochs" = 6
"train.curriculum_epochs" = 4
"train.evaluate_every" = 2
"train.batch" = 32
"""
EPOCHS = 3  # half of them, for many such sweeps are run; as many times looked at
SHORT = (
    COMMON.replace('epochs" = 6', f'epochs" = {EPOCHS}')
    .replace('epochs" = 4', 'epochs" = 2')
    .replace('every" = 2', 'every" = 1')
)
TUNE = f"""{SHORT}
[space."train.lr"]
type = "float"
low = 1e-4
high = 1.0
log = true

[space."strategy.static.start"]
type = "categorical"
choices = [0, 50]

[tune]
trials = 3
round = 2
startup = 2
seeds = [0, 1]
"""
RUNS_IN_ALL = 12  # 2 strategies x 3 trials x 2 seeds


@dataclass(frozen=True)
class Done:
    """What a sweep came to, without what may differ: who did it, when, at which attempt."""

    trials: dict[tuple[str, int], dict[str, Any]]  # (study, slot)
    results: dict[str, Result]  # by id


def read(home: Path, url: str) -> Done:
    """A finished sweep; fails where a trial or a run is there twice, half, or not at all."""
    return Done(_trials(url), _results(home))


def studies(url: str) -> dict[str, list[FrozenTrial]]:
    """All trials there are, by study."""
    storage = database.open_storage(url)
    try:
        return {
            name: load_study(study_name=name, storage=storage).get_trials()
            for name in get_all_study_names(storage)
        }
    finally:
        database.close_storage(storage)


def _trials(url: str) -> dict[tuple[str, int], dict[str, Any]]:
    found = {}
    for name, trials in studies(url).items():
        unfinished = [trial.number for trial in trials if not trial.state.is_finished()]
        assert not unfinished, f"{name}: {unfinished} run or wait for ever"
        scored = [trial for trial in trials if trial.state != TrialState.FAIL]
        twice = [
            slot
            for slot, count in Counter(trial.user_attrs[SLOT] for trial in scored).items()
            if count > 1
        ]
        assert not twice, f"{name}: slots {twice} are finished more than once"
        for trial in scored:
            runs = {
                unit: (run["curve"], run["costs"]) for unit, run in trial.user_attrs[RUNS].items()
            }
            said = {
                "params": trial.params,
                "scores": trial.intermediate_values,
                "values": trial.values,
                "runs": runs,
            }
            found[name, int(trial.user_attrs[SLOT])] = {**said, "state": trial.state.name}
    return found


def _results(home: Path) -> dict[str, Result]:
    complete = Counter(path.parts[-3] for path in (home / "runs").glob("*/*/result.json"))
    assert set(complete.values()) == {1}, complete
    found = [result for id in complete if (result := Store(home / "runs").find(id))]
    return {result.id: told(result) for result in found}


def told(result: Result) -> Result:
    return replace(
        result,
        attempt=0,
        cost={**result.cost, "seconds": 0.0, "images_generated": 0.0},
        provenance={},
    )


def finished(home: Path) -> int:
    """Runs that are complete."""
    return len(list((home / "runs").glob("*/*/result.json")))


def attempts(home: Path) -> int:
    """Attempts at runs, whatever became of them."""
    return len(list((home / "runs").glob("*/[0-9]*")))


# ---------------------------------------------------------------- places


@dataclass(frozen=True)
class Ready:
    """A folder with sweep files and photos, and a home that has the images and their features, for
    copies to begin with.
    """

    folder: Path
    home: Path
    done: Done  # what the sweep `tiny` comes to at one worker that nobody kills

    def copy(self, to: Path) -> Path:
        """A home with the images and their features, and no run."""
        for kept in ("banks", "features"):
            shutil.copytree(self.home / kept, to / kept)
        return to


def sqlite(home: Path) -> str:
    return f"sqlite:///{home}/studies/studies.db"


def begin(
    ready: Ready,
    home: Path,
    *words: str,
    log: Path,
    more: Mapping[str, str] | None = None,
    retry_s: float = 12.0,
) -> Started:
    """A launcher in a process of its own; a database that is away for `retry_s` is gone."""
    environment = {"DISCL_HOME": str(home), **(more or {})}
    command = ["sweep", *words, "--trackers", ""]
    return processes.begin(
        launch, command, retry_s, log=log, folder=ready.folder, environment=environment
    )


def launch(words: list[str], retry_s: float) -> None:
    """As `discl`, but a launcher counts as dead after seconds, and what is waited for is looked at
    ten times a second: tests would wait for little else.
    """
    database.open_storage = partial(database.open_storage, heartbeat_seconds=1, grace_seconds=3)
    database.RETRY_SECONDS = retry_s
    local.LOOK_SECONDS = run_list.BUSY_PAUSE_SECONDS = 0.1
    study.BUSY_PAUSE_SECONDS = study.DEAD_CHECK_SECONDS = 0.1
    processes.discl(words)


def until(true: Callable[[], Any], launcher: Started, log: Path, patience_s: float = 240.0) -> None:
    """Wait for it, while the launcher lives."""
    deadline = time.monotonic() + patience_s
    while not true():
        assert launcher.poll() is None, (
            f"the launcher ended with {launcher.returncode}:\n{log.read_text()}"
        )
        assert time.monotonic() < deadline, f"it never came true:\n{log.read_text()}"
        time.sleep(0.01)


def ends(launcher: Started, log: Path, code: int = 0, patience_s: float = 240.0) -> str:
    """Wait for the end, which must be this one; gives what was printed."""
    assert ended(launcher, log, patience_s) == code, log.read_text()
    return log.read_text()


def ended(launcher: Started, log: Path, patience_s: float = 240.0) -> int:
    """Wait for the end; gives its exit code."""
    try:
        return launcher.wait(patience_s)
    except subprocess.TimeoutExpired:
        launcher.kill()
        raise AssertionError(f"it did not end in {patience_s} s:\n{log.read_text()}") from None
