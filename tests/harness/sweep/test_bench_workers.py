"""`discl bench` with workers: the same results as without, and refusals before any work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from discl.cli import main
from discl.files.disk import home
from discl.harness.run.store import Store
from discl.testing import gone
from tests import processes, sweeps
from tests.processes import workers_of
from tests.sweeps import Ready, until


@pytest.fixture
def words(tiny: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A bench of two strategies on a few photos, whose images are there, and no run."""
    monkeypatch.chdir(tiny.folder)
    tiny.copy(tmp_path / "home")
    said = [line.partition(" = ") for line in sweeps.SHORT.partition("[set]")[2].splitlines()]
    settings = [f"--set={path.strip(chr(34))}={value}" for path, _, value in said if path]
    return [
        *("bench", "cifar100_lt", "--strategies", "static,real_rebalanced", "--seeds", "0"),
        *("--trackers", "", *settings),
    ]


def _bench(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def _stored() -> dict[str, object]:
    found = Store().complete(None)
    return {result.id: sweeps.told(result) for result in found}


def _same_as_one_by_one(words: list[str], *executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _bench(*words, *executor)
    assert made.exit_code == 0, made.output
    side_by_side = _stored()
    assert len(side_by_side) == 2
    again = home().with_name("again")
    (again / "banks").parent.mkdir(parents=True, exist_ok=True)
    for kept in ("banks", "features"):
        (again / kept).symlink_to(home() / kept)
    monkeypatch.setenv("DISCL_HOME", str(again))
    plain = _bench(*words)
    assert plain.exit_code == 0, plain.output
    assert _stored() == side_by_side


def test_an_executors_bench_is_the_bench_of_one_run_after_the_other(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _same_as_one_by_one(words, "--workers", "1", monkeypatch=monkeypatch)


@pytest.mark.slow(reason="two processes, each of which loads torch; the contract has them, too")
def test_two_workers_make_the_same_bench(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _same_as_one_by_one(words, "--workers", "2", monkeypatch=monkeypatch)


@pytest.mark.slow(reason="processes that load torch, and are killed")
def test_a_bench_whose_launcher_is_killed_leaves_no_worker_and_goes_on_from_there(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    launcher = processes.begin(
        processes.discl,
        [*words, "--workers", "2"],
        log=log,
        folder=Path.cwd(),
        environment={"DISCL_HOME": str(home())},
    )
    until(_stored, launcher, log)
    workers = {*workers_of(launcher.pid)}
    launcher.kill()
    assert launcher.wait(60) != 0
    assert gone(workers)
    begun = _stored()
    _same_as_one_by_one(words, "--workers", "1", monkeypatch=monkeypatch)
    assert begun


def test_a_run_that_fails_stops_no_other_and_is_named(words: list[str]) -> None:
    bad = _bench(*words, "--retry", "1", "--set", "backbone.arguments={nonsense=1}")
    assert bad.exit_code == 1
    assert "2 failed (tracebacks: " in bad.stderr
    assert "does not take backbone.arguments {'nonsense': 1}" in bad.stderr
    assert "the same command tries them again" in bad.stderr


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--executor", "locl"], "did you mean 'local'"),
        (["--workers", "2", "--executor-set", "threads=-1"], "threads = -1"),
        (["--workers", "2", "--address", "auto"], "address"),
    ],
)
def test_a_wrong_executor_is_refused_before_any_work(
    words: list[str], more: list[str], says: str
) -> None:
    refused = _bench(*words, *more)
    assert refused.exit_code == 2
    assert says in refused.output
    assert not (home() / "runs").exists()


def test_torchruns_processes_take_no_workers(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused = _bench(*words, "--workers", "2")
    assert refused.exit_code == 2
    assert "torchrun's 2 processes make each run together" in refused.output


@pytest.mark.parametrize(("said", "policy"), [({}, "PASSIVE"), ({"GOMP_SPINCOUNT": "1000"}, None)])
def test_threads_sleep_while_they_wait_unless_the_environment_says_how(
    said: dict[str, str], policy: str | None
) -> None:
    unsaid = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    shown = "import os, json, discl; print(json.dumps(os.environ.get('OMP_WAIT_POLICY')))"
    told = subprocess.run(
        [sys.executable, "-c", shown], env=unsaid | said, capture_output=True, check=True
    )
    assert json.loads(told.stdout) == policy
