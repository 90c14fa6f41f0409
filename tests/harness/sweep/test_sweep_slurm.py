"""Tuning by jobs of a cluster comes to what it comes to here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweeps import RUNS_IN_ALL, Ready, attempts, begin, ends, read, sqlite


@pytest.mark.slow  # each run is a job, and each job a process that imports torch
def test_jobs_come_to_the_same_bit_for_bit(tiny: Ready, tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed")
    home, log = tiny.copy(tmp_path / "home"), tmp_path / "log"
    ends(
        begin(
            tiny,
            home,
            "tiny",
            "--executor",
            "slurm",
            "--executor-set",
            "cluster=local",
            "--workers",
            "2",
            log=log,
        ),
        log,
    )
    assert read(home, sqlite(home)) == tiny.done
    assert attempts(home) == RUNS_IN_ALL
