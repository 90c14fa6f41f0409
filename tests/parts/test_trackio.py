import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from discl.core.dashboard_rows import DashboardRows
from discl.core.errors import UserError
from discl.files.disk import home
from discl.parts.trackers.trackio import Trackio
from discl.testing import TrackerContract

CONTRACT = TrackerContract()


@pytest.fixture(autouse=True)
def _trackio_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(home() / "trackio"))
    from trackio import sqlite_storage, utils

    for module in (sqlite_storage, utils):  # it reads its folder once
        monkeypatch.setattr(module, "TRACKIO_DIR", home() / "trackio", raising=False)


def _run(tracker: Trackio, folder: Path, epochs: range, summary: Any) -> None:
    tracker.start(CONTRACT.described(folder, 1))
    for epoch in epochs:
        tracker.report(CONTRACT.report(epoch))
    tracker.finish(summary)


def test_the_same_rows_are_logged_once_though_a_run_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trackio.sqlite_storage import SQLiteStorage

    _run(Trackio(), tmp_path, range(1), None)
    _run(Trackio(), tmp_path, range(3), {"test/macro_acc": 0.5})  # each attempt reports all epochs
    assert capsys.readouterr().out == ""  # which belongs to what a command answers
    rows = DashboardRows()
    expected = [rows.of(CONTRACT.report(epoch)) for epoch in range(3)]
    logged = SQLiteStorage.get_logs("discl-contract", "contract-01234567")
    assert [{key: row[key] for key in expected[i]} for i, row in enumerate(logged)] == expected
    assert [row["step"] for row in logged] == [0, 1, 2]
    assert list((home() / "trackio").glob("*.db"))
    assert sqlite3.connect(next((home() / "trackio").glob("*.db"))).execute(
        "PRAGMA integrity_check"
    ).fetchone() == ("ok",)


def test_without_trackio_a_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(UserError, match=r"pip install 'discl\[trackio\]'"):
        Trackio().start(CONTRACT.described(tmp_path, 1))


def test_names_may_hold_anything_and_a_failure_costs_the_run_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import trackio

    tracker = Trackio()
    name = "<script>alert('x')</script> \"quoted\" 🦊 مرحبا/" + "long" * 75
    tracker.start({**CONTRACT.described(tmp_path, 1), "name": name, "group": name})
    tracker.report(CONTRACT.report(0))
    monkeypatch.setattr(trackio.Run, "log", lambda *_, **__: 1 / 0)
    tracker.report(CONTRACT.report(1))
    tracker.report(CONTRACT.report(2))
    tracker.finish(None)
    assert capsys.readouterr().err.count("the run goes on without it") == 1
