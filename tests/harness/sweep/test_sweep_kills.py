"""Tuning that is killed again and again, or stopped, comes to what it would have come to."""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from discl.harness.run.store import Store
from discl.testing import gone
from tests import sweeps
from tests.processes import descendants, kill, workers_of
from tests.sweeps import (
    RUNS_IN_ALL,
    Done,
    Ready,
    attempts,
    begin,
    ends,
    finished,
    read,
    sqlite,
    studies,
    until,
)

TUNED = ("static", "real_rebalanced", "text_only")

DOOMED = f"""{sweeps.SHORT}
[space."strategy.doomed.end"]
type = "categorical"
choices = ["well", "killed", "starved"]

[tune]
trials = 3
round = 3
startup = 3
seeds = [0]
sampler = "random"
""".replace('["static", "real_rebalanced"]', '["doomed"]')
PLUG_IN = """
import os
import signal
import time

import numpy as np


class Doomed:
    "Ends as it is told, unless it is cured."

    version = 1
    rebalanced = True
    ordered = False
    probe = None

    def __init__(self, end="well"):
        self.end = end

    def uses(self, levels):
        return (levels[-1],)

    def mix(self, context):
        if "CURED" not in os.environ:
            ENDS[self.end]()
        return {context.levels[-1]: 1.0}


def killed():
    held = np.ones(50_000_000)  # 400 MB
    time.sleep(0.3)  # until somebody has looked
    os.kill(os.getpid(), signal.SIGKILL)


ENDS = {"well": lambda: None, "killed": killed, "starved": lambda: np.ones(1 << 48)}
"""


def test_workers_and_launchers_killed_at_random_change_nothing(tiny: Ready, tmp_path: Path) -> None:
    _kill_at_random(tiny, "tiny", tmp_path)


@pytest.mark.slow  # hundreds of runs, twice
@pytest.mark.timeout(3 * 3600)
def test_thirty_trials_of_each_of_three_strategies_survive_the_same(tmp_path: Path) -> None:
    """The shipped sweep as it stands."""
    home, log = tmp_path / "undisturbed", tmp_path / "log of the undisturbed"
    elsewhere = Ready(tmp_path, home, Done({}, {}))
    ends(begin(elsewhere, home, "tune_static", log=log), log, patience_s=3600)
    undisturbed = Ready(tmp_path, home, read(home, sqlite(home)))
    assert Counter(study for study, _ in undisturbed.done.trials) == {
        f"tune_static/cifar10_lt/smoke/{name}": 30 for name in TUNED
    }
    _kill_at_random(undisturbed, "tune_static", tmp_path)


def _kill_at_random(ready: Ready, sweep: str, folder: Path) -> None:
    """Two workers, three deaths; in the end all is as it was without."""
    home, log, chance, runs = (
        ready.copy(folder / "home"),
        folder / "log",
        np.random.default_rng(),
        len(ready.done.results),
    )
    moments = sorted(int(at) for at in chance.choice(np.arange(1, runs * 2 // 3), 3, replace=False))
    victims = ["worker", "launcher", str(chance.choice(["worker", "launcher"]))]
    chance.shuffle(victims)
    why = f"killed {victims} after {moments} of {runs} runs"
    launcher = begin(ready, home, sweep, "--workers", "2", log=log)
    for at, victim in zip(moments, victims, strict=True):
        until(lambda at=at: finished(home) >= at, launcher, log, patience_s=3600)
        time.sleep(chance.uniform(0, 0.2))
        if victim == "worker":
            until(lambda launcher=launcher: workers_of(launcher.pid), launcher, log)
            kill(workers_of(launcher.pid)[0])
            continue
        orphans = set(descendants(launcher.pid))
        kill(launcher.pid)
        launcher.wait()
        assert gone(orphans, 20), why
        launcher = begin(ready, home, sweep, "--workers", "2", log=log)
    print(why, ends(launcher, log, patience_s=3600), sep="\n")
    assert gone(set(descendants(launcher.pid)), 5), why
    assert read(home, sqlite(home)) == ready.done, why
    assert attempts(home) <= runs + 2 * len(victims), (
        why
    )  # what was at work when somebody died, and no more


def test_one_ctrl_c_drains_two_stop_and_the_next_launch_goes_on(
    tiny: Ready, tmp_path: Path
) -> None:
    home, log = tiny.copy(tmp_path / "home"), tmp_path / "log"
    launcher = begin(tiny, home, "tiny", log=log)
    until(lambda: finished(home) >= 3, launcher, log)
    launcher.send_signal(signal.SIGINT)
    assert "stopping when the runs under way are done" in ends(launcher, log, 130)
    drained = finished(home)
    assert drained < RUNS_IN_ALL
    assert attempts(home) == drained  # what was begun was finished

    launcher = begin(tiny, home, "tiny", "--workers", "2", log=log)
    until(lambda: attempts(home) >= drained + 2, launcher, log)
    crew = set(descendants(launcher.pid))
    launcher.send_signal(signal.SIGINT)
    time.sleep(0.05)
    launcher.send_signal(signal.SIGINT)
    pressed = time.monotonic()
    ends(launcher, log, 130)
    assert time.monotonic() - pressed < 10
    assert gone(crew, 5)
    assert finished(home) < RUNS_IN_ALL

    pressed = time.monotonic()
    ends(begin(tiny, home, "tiny", log=log), log)
    assert read(home, sqlite(home)) == tiny.done
    assert attempts(home) <= RUNS_IN_ALL + 2


def test_a_trial_that_kills_its_workers_or_runs_out_of_memory_fails_alone(
    tiny: Ready, tmp_path: Path
) -> None:
    home, log, plug_in = (
        tiny.copy(tmp_path / "home"),
        tmp_path / "log",
        _plug_in(tmp_path / "plug_in"),
    )
    (tiny.folder / "sweeps" / "doomed.toml").write_text(DOOMED)
    said = ends(
        begin(tiny, home, "doomed", "--workers", "2", log=log, more={"PYTHONPATH": str(plug_in)}),
        log,
        1,
    )
    failures = {
        failure.kind: failure
        for path in (home / "runs").iterdir()
        for failure in Store(home / "runs").failures(path.name)
    }
    assert set(failures) == {"lost", "error"}
    assert re.search(
        r"^failed: doomed trial [12]: MemoryError: Unable to allocate", said, re.MULTILINE
    )
    assert re.search(r"^failed: doomed trial [12]: 3 workers died at item", said, re.MULTILINE)
    assert said.rstrip().endswith(
        "2 failed (tracebacks: failures.jsonl in each run's folder); the same command tries them"
        " again"
    )
    killed, starved = failures["lost"].peak_bytes, failures["error"].peak_bytes
    assert killed is not None
    assert starved is not None
    assert 300e6 < killed - starved < 800e6  # it held 400 MB more
    peaks = [
        trial.user_attrs["peak_bytes"]
        for trials in studies(sqlite(home)).values()
        for trial in trials
        if "peak_bytes" in trial.user_attrs
    ]
    assert sorted(peaks) == [starved, killed]
    assert finished(home) == 1

    ends(
        begin(tiny, home, "doomed", log=log, more={"PYTHONPATH": str(plug_in), "CURED": "yes"}), log
    )
    done = read(home, sqlite(home))
    assert {trial["params"]["strategy.doomed.end"] for trial in done.trials.values()} == {
        "well",
        "killed",
        "starved",
    }
    assert len({trial["values"][0] for trial in done.trials.values()}) == 1
    assert finished(home) == 3


def _plug_in(folder: Path) -> Path:
    """A package beside ours that registers a strategy, as pip would leave it."""
    about = folder / "discl_doomed-0.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: discl-doomed\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[discl.strategies]\ndoomed = discl_doomed:Doomed\n")
    (folder / "discl_doomed.py").write_text(PLUG_IN)
    return folder
