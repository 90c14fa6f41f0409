"""The tracker: a run neither waits for W&B nor sees what becomes of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from discl.files.disk import home
from discl.harness.run.store import Store
from discl.parts.trackers import wandb as part
from discl.parts.trackers.jsonl import JsonLines
from discl.parts.trackers.wandb import Wandb
from discl.testing import TrackerContract, alive, gone
from tests import wandb_runs
from tests.processes import descendants, kill
from tests.wandb_server import Server, serving

CONTRACT = TrackerContract()
ID = "0123456789abcde1"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def _until(true: Callable[[], Any], patience_s: float = 90.0) -> None:
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, [
            path.read_text() for path in (home() / "wandb").glob("follow*")
        ]
        time.sleep(0.05)


class _Run:
    """A run that is told to the record and to W&B's tracker, epoch by epoch."""

    def __init__(self, tracker: Wandb, attempt: int = 0, first: int = 0) -> None:
        self.folder = Store().root / ID / f"{attempt:03d}"
        self.folder.mkdir(parents=True)
        self.trackers = (JsonLines(), tracker)
        for one in self.trackers:
            one.start(CONTRACT.described(self.folder, 1))
        for epoch in range(first):  # a record is whole
            self.epoch(epoch)

    def epoch(self, number: int) -> None:
        for one in self.trackers:
            one.report(CONTRACT.report(number))

    def finish(self, summary: dict[str, float] | None) -> None:
        for one in self.trackers:
            one.finish(summary)


def _rows(server: Server) -> list[int]:
    return [int(row["epoch"]) for row in server.runs[ID].rows] if ID in server.runs else []


def test_this_process_never_imports_wandb_and_rows_arrive_while_the_run_goes_on(
    server: Server,
) -> None:
    had = "wandb" in sys.modules
    tracker = Wandb()
    run = _Run(tracker)
    run.epoch(0)
    _until(lambda: _rows(server) == [0])  # W&B's client sends what there is every fifteen seconds
    assert server.runs[ID].exit_code is None
    run.epoch(1)
    run.finish({"test/macro_acc": 0.5})
    tracker.close()
    assert ("wandb" in sys.modules) == had
    assert server.runs[ID].exit_code == 0
    assert [wandb_runs.ours(row) for row in server.runs[ID].rows] == wandb_runs.recorded_rows(
        run.folder
    )
    assert not list((home() / "wandb").glob("follow-*"))  # nothing is left to be looked at


def test_a_killed_child_and_a_killed_run_go_on_as_one_run_with_every_row_once(
    server: Server,
) -> None:
    tracker = Wandb()
    run = _Run(tracker)
    run.epoch(0)
    _until(lambda: _rows(server) == [0])
    assert tracker.child
    left = set(descendants(tracker.child.pid))  # W&B's client has a process of its own
    os.killpg(tracker.child.pid, signal.SIGKILL)
    tracker.child.wait()
    run.epoch(1)  # nobody tells W&B, and nobody minds
    run.finish(None)
    tracker.close()
    other = Wandb()
    again = _Run(other, attempt=1, first=2)
    again.epoch(2)
    again.finish({"test/macro_acc": 0.5})
    other.close()
    assert _rows(server) == [0, 1, 2]
    assert list(server.runs) == [ID]
    assert server.runs[ID].exit_code == 0
    for process in left:
        kill(process)


def test_the_child_of_a_dead_process_tells_what_it_left_and_lets_go(
    server: Server, tmp_path: Path
) -> None:
    script = (
        "import sys, time\nfrom tests.parts.test_wandb import _Run\nfrom discl.parts.trackers.wandb"
        " import Wandb\nrun = _Run(Wandb())\nrun.epoch(0)\nrun.epoch(1)\nprint('told',"
        " flush=True)\ntime.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert owner.stdout
    assert owner.stdout.readline() == b"told\n"
    _until(lambda: ID in server.runs)
    followers = {
        child for child, command in descendants(owner.pid).items() if "wandb follow" in command
    }
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert followers
    assert gone(followers)
    assert _rows(server) == [0, 1]
    assert server.runs[ID].exit_code == 1  # it never said that it was complete


def test_the_terminals_ctrl_c_stops_the_run_and_its_child_says_so(server: Server) -> None:
    script = (
        "import time\nfrom tests.parts.test_wandb import _Run\nfrom discl.parts.trackers.wandb"
        " import Wandb\nrun = _Run(Wandb())\nrun.epoch(0)\nprint('told', flush=True)\ntry:\n   "
        " time.sleep(600)\nfinally:\n    run.finish(None)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    assert owner.stdout
    assert owner.stdout.readline() == b"told\n"
    _until(lambda: ID in server.runs)
    followers = {
        child for child, command in descendants(owner.pid).items() if "wandb follow" in command
    }
    os.killpg(owner.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    owner.wait(60)
    owner.stdout.close()
    assert gone(followers)
    assert _rows(server) == [0]
    assert server.runs[ID].exit_code == 1


def test_nobody_there_costs_a_run_nothing_but_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    tracker = Wandb()
    began = time.monotonic()
    run = _Run(tracker)
    run.epoch(0)
    _until(lambda: tracker.status().get("error"))
    run.finish({"test/macro_acc": 0.5})
    closing = time.monotonic()
    tracker.close()
    assert time.monotonic() - closing < 10 < part.CLOSE_TIMEOUT_S
    assert began < closing
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert "cannot be reached" in message
    assert "`discl wandb sync` sends it later" in message


def test_a_wrong_key_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: Server
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "b" * 40)
    tracker = Wandb()
    _Run(tracker).epoch(0)
    _until(lambda: tracker.status().get("error"))
    tracker.close()
    message = capsys.readouterr().err
    assert "refuses the key from WANDB_API_KEY (401)" in message
    assert "`discl wandb sync`" in message


def test_a_server_that_goes_away_under_way_ends_the_wait_and_sync_sends_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from click.testing import CliRunner

    from discl.cli import main

    monkeypatch.setattr(part, "STALLED_S", 1.0)
    with serving() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        tracker = Wandb()
        run = _Run(tracker)
        run.epoch(0)
        _until(lambda: tracker.status().get("steps", 0) > 1)
        port = int(server.url.rpartition(":")[2])
    run.epoch(1)
    run.finish({"test/macro_acc": 0.5})
    began = time.monotonic()
    child = tracker.child
    assert child
    its_own = set(descendants(child.pid))
    assert its_own  # W&B's client has a process of its own, which would try for hours
    tracker.close()
    assert time.monotonic() - began < part.CLOSE_TIMEOUT_S
    assert gone(its_own, 10)
    assert (
        "1 of 1 runs are not at W&B whole; `discl wandb sync` sends what is missing"
        in capsys.readouterr().err
    )
    assert not alive(child.pid)
    with serving(port, server) as back:
        answer = CliRunner().invoke(main, ["wandb", "sync"])
        assert answer.exit_code == 0, answer.output
        assert _rows(back) == [0, 1]
        import wandb

        wandb.teardown()


def test_disabled_starts_nothing_and_offline_asks_nobody(
    monkeypatch: pytest.MonkeyPatch, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = Wandb()
    _Run(tracker).finish(None)
    assert tracker.child is None
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = _Run(tracker, attempt=1)
    run.epoch(0)
    run.finish({"test/macro_acc": 0.5})
    tracker.close()
    assert not server.asked
    told = capsys.readouterr().err
    assert f"offline; the runs lie in {home() / 'wandb' / 'wandb'}" in told
    assert "waiting" not in told  # nothing is uploaded
    (uploaded,) = (home() / "wandb" / "wandb").glob("offline-run-*/run-*.wandb")
    assert uploaded.name == f"run-{ID}.wandb"  # the experiment's own id
    assert json.loads((Store().root / ID / ".wandb-sent.json").read_text())["offline"] == {
        "attempt": "001",
        "rows": 1,
        "complete": True,
    }


def test_a_disk_without_room_for_the_list_stops_no_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home().mkdir(parents=True)
    (home() / "wandb").write_text("a file where a folder is needed")
    _Run(Wandb()).finish(None)
    assert (
        "the run goes on without it, and `discl wandb sync` sends what is missing"
        in capsys.readouterr().err
    )
