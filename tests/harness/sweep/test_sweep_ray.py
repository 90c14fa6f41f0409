"""Tuning on a Ray cluster, a worker of which is killed, comes to what it comes to here."""

from __future__ import annotations

from pathlib import Path

import pytest

from discl.testing import gone
from tests.processes import descendants, kill, workers_of
from tests.sweeps import RUNS_IN_ALL, Ready, attempts, begin, ends, finished, read, sqlite, until


@pytest.mark.slow  # the contract of executors kills Ray's workers, and that of sweeps others
def test_a_cluster_with_a_killed_worker_comes_to_the_same_bit_for_bit(
    tiny: Ready, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    home, log = tiny.copy(tmp_path / "home"), tmp_path / "log"
    launcher = begin(tiny, home, "tiny", "--executor", "ray", "--workers", "2", log=log)
    until(
        lambda: finished(home) >= RUNS_IN_ALL // 3 and attempts(home) > finished(home),
        launcher,
        log,
    )
    cluster = set(descendants(launcher.pid))
    kill(workers_of(launcher.pid)[0])
    said = ends(launcher, log)
    assert gone(cluster, 30)
    assert read(home, sqlite(home)) == tiny.done
    assert attempts(home) <= RUNS_IN_ALL + 1
    assert (
        "a worker died (ActorDiedError" in said or attempts(home) == RUNS_IN_ALL
    )  # it may have been idle
