"""Tuning that is killed again and again, or stopped, comes to what it would have come to."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np

from discl.testing import gone
from tests.sweeps import RUNS_IN_ALL, Ready, attempts, begin, descendants, ends, finished, kill, read, sqlite, until, workers_of


def test_workers_and_launchers_killed_at_random_change_nothing(tiny: Ready, tmp_path: Path) -> None:
    home, log, chance = tiny.copy(tmp_path / "home"), tmp_path / "log", np.random.default_rng()
    moments = sorted(int(at) for at in chance.choice(np.arange(1, RUNS_IN_ALL - 3), 3, replace=False))
    victims = ["worker", "launcher", str(chance.choice(["worker", "launcher"]))]
    chance.shuffle(victims)
    why = f"killed {victims} after {moments} runs"
    launcher = begin(tiny, home, "tiny", "--workers", "2", log=log)
    for at, victim in zip(moments, victims, strict=True):
        until(lambda at=at: finished(home) >= at, launcher, log)
        time.sleep(chance.uniform(0, 0.5))
        if victim == "worker":
            until(lambda: workers_of(launcher.pid), launcher, log)
            kill(int(chance.choice(workers_of(launcher.pid))))
            continue
        orphans = set(descendants(launcher.pid))
        kill(launcher.pid)
        launcher.wait()
        assert gone(orphans, 20), why
        launcher = begin(tiny, home, "tiny", "--workers", "2", log=log)
    said = ends(launcher, log)
    assert gone(set(descendants(launcher.pid)), 5), why
    assert read(home, sqlite(home)) == tiny.done, why
    assert attempts(home) <= RUNS_IN_ALL + 2 * len(victims), why  # what was at work when somebody died, and no more
    assert said.count("a worker died (SIGKILL)") == victims.count("worker"), why


def test_one_ctrl_c_drains_two_stop_and_the_next_launch_goes_on(tiny: Ready, tmp_path: Path) -> None:
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
