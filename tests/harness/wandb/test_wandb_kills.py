"""A bench with W&B online delivers every row exactly once, whatever is killed or fails."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.harness.run.store import Store
from discl.testing import gone
from tests import wandb_runs
from tests.make_mini import make
from tests.processes import descendants
from tests.sweeps import finished
from tests.wandb_server import Server, serving


def _launched(photos: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "discl.cli",
        "bench",
        *wandb_runs.words(photos),
        "--trackers",
        "wandb",
    ]
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out)


def _follower_of(process: int) -> int:
    """The child that follows it."""
    return next(
        child for child, command in descendants(process).items() if "wandb follow" in command
    )


def _killed_at(done: int, photos: Path, log: Path, home: Path, with_follower: bool) -> None:
    """A launch that is killed once so many runs are complete; its child too, or left an orphan,
    which lets go by itself.
    """
    launch = _launched(photos, log)
    deadline = time.monotonic() + 400
    while finished(home) < done:
        assert launch.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    follower = _follower_of(launch.pid)
    launch.kill()
    launch.wait()
    if with_follower:
        os.kill(follower, signal.SIGKILL)
    else:
        assert gone({follower}, 400), "an orphan went on"


# nine runs against a server that fails, whose client waits two seconds after each failure
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_row_arrives_once_though_the_server_fails_and_the_bench_and_its_child_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, home = make("cifar100_lt", tmp_path / "photos", images=600), tmp_path / "home"
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))
    with serving() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        server.share = 0.3
        log = tmp_path / "log.txt"
        _killed_at(2, photos, log, home, with_follower=True)
        _killed_at(5, photos, log, home, with_follower=False)
        launch = _launched(photos, log)
        assert launch.wait(400) == 0, log.read_text()
        ids = [path.name for path in Store().root.glob("*")]
        assert len(ids) == len(wandb_runs.STRATEGIES) * len(wandb_runs.SEEDS)
        outputs = [_synced(server), _synced(server)]
        wandb_runs.check_whole(server, Store(), ids)
        assert outputs[1].startswith(f"0 runs sent, {len(ids)} were there;")
        (bank,) = (run for run in server.runs.values() if run.labels.get("jobType") == "bank")
        assert bank.exit_code == 0
        (used,) = (
            artifact
            for artifact in server.artifacts.values()
            if artifact.name == f"bank-{bank.name}"
        )
        for run in wandb_runs.trainings(
            server
        ):  # lineage: from the runs that used its images to the bank
            assert run.used == ([used.id] if run.config["strategy"]["value"] != "real_only" else [])
        assert server.failed > 50


def _synced(server: Server) -> str:
    answer = CliRunner().invoke(main, ["wandb", "sync", "cifar100_lt"])
    assert answer.exit_code == 0, answer.output
    return answer.stdout
