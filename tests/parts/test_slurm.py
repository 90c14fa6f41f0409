import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from discl.core.errors import UserError
from discl.core.interfaces import WorkersDied
from discl.parts.executors.base import work_queue
from discl.parts.executors.slurm import Slurm
from discl.testing import squares


@pytest.fixture(autouse=True)
def _jobs_find_this_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"minutes": 0},
        {"cpus": 0},
        {"gpus": -1},
        {"memory_gb": -1.0},
        {"memory_gb": float("nan")},
        {"cluster": "debug"},
    ],
)
def test_amounts_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"executor 'slurm': {next(iter(wrong))} = "):
        Slurm(**wrong)


def test_without_submitit_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"submitit is not installed; pip install 'discl\[slurm\]'"):
        next(Slurm(cluster="local").run(partial(squares, tmp_path), iter([1])))


def _command(folder: Path, name: str, *lines: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(["#!/bin/sh", *lines, ""]))
    (folder / name).chmod(0o755)


def test_where_no_slurm_is_nothing_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _command(tmp_path / "bin", "srun")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    started = time.monotonic()
    with pytest.raises(UserError, match=r"no Slurm here \(sbatch, sacct, scancel not found\)"):
        next(Slurm().run(partial(squares, tmp_path), iter([1])))
    assert time.monotonic() - started < 30  # its imports take seconds on a busy machine
    assert not (tmp_path / "home" / "slurm").exists()


@pytest.mark.parametrize(
    ("command", "says", "told"),
    [
        (
            "sacct",
            "Slurm accounting storage is disabled",
            r"`sacct` does not work \(Slurm accounting storage is disabled\)",
        ),
        (
            "sbatch",
            "sbatch: error: invalid partition specified: gpu",
            r"Slurm refused a job \(sbatch: error: invalid partition",
        ),
    ],
)
def test_what_slurm_refuses_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, says: str, told: str
) -> None:
    for each in ("sbatch", "srun", "sacct", "scancel"):
        _command(tmp_path / "bin", each)
    _command(tmp_path / "bin", command, f"echo {says} >&2", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(UserError, match=told):
        next(Slurm(partition="gpu").run(partial(squares, tmp_path), iter([1])))
    assert list((tmp_path / "home").glob("slurm/*/*.pkl")) == []


def tells() -> Callable[[str], tuple[str | None, list[str], int]]:
    """A variable, the pickles that lie in the job's folder, and what others may do there."""
    folder = Path(os.environ["SUBMITIT_FOLDER"])
    print("words of a job")
    return lambda name: (
        os.environ.get(name),
        [path.name for path in folder.glob("*.pkl")],
        folder.stat().st_mode & 0o077,
    )


def test_a_job_has_the_callers_surroundings_and_leaves_only_what_it_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "at the call")
    running = Slurm(cluster="local", workers=1, cpus=1, folder=str(tmp_path)).run(
        tells, iter(["WANDB_PROJECT", "OMP_NUM_THREADS"])
    )
    (_, (project, pickles, others_may)), (_, (threads, *_)) = running
    assert (project, threads) == ("at the call", "1")
    assert len(pickles) == 1
    assert others_may == 0
    (folder,) = tmp_path.iterdir()
    assert list(folder.glob("*.pkl")) == []
    assert ["words of a job" in log.read_text() for log in folder.glob("*.out")] == [True, True]


def is_ended_by_the_cluster() -> Callable[[int], None]:
    def work(item: int) -> None:
        os.kill(os.getpid(), signal.SIGUSR2)  # time is nearly up
        try:
            os.kill(os.getpid(), signal.SIGTERM)  # time is up
            time.sleep(600)
        except BaseException:
            print("the work took it for its own")

    return work


def test_a_job_that_is_ended_by_the_cluster_is_lost_and_no_failure_of_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(work_queue, "TRIES", 1)
    ((_, lost),) = Slurm(cluster="local", cpus=1, folder=str(tmp_path)).run(
        is_ended_by_the_cluster, iter([0])
    )
    assert isinstance(lost, WorkersDied)
    log = Path(lost.how.partition("see ")[2])
    assert log.exists()
    assert "its own" not in log.with_suffix(".out").read_text()
