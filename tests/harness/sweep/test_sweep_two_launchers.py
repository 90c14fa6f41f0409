"""Two launchers at one store: every run is made once, whatever becomes of the database between
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from discl.harness.tuning.storage.database import close_storage, open_storage, study_lock
from tests import sweeps
from tests.postgres import Postgres
from tests.sweeps import EPOCHS, RUNS_IN_ALL, Ready, attempts, begin, ends, finished, read, until

GRID = f"""{sweeps.COMMON}
[grid]
"seed" = [0, 1]
"train.lr" = [0.001, 0.01]
"""


@pytest.fixture
def server(postgres: Postgres) -> Iterator[Postgres]:
    """One that may be stopped: in the end it runs."""
    yield postgres
    if not postgres.running():
        postgres.start()


@contextmanager
def _held_up(url: str, study: str) -> Iterator[None]:
    """Launchers wait at this study until the block ends."""
    storage = open_storage(url)
    try:
        with study_lock(storage, study):
            yield
    finally:
        close_storage(storage)


def _waiting(server: Postgres) -> int:
    with server.connect() as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ).fetchall()[0]
        return int(count)


def _complete(home: Path) -> list[list[str]]:
    """The events that each complete run has recorded."""
    records = [
        path.with_name("events.jsonl").read_text().splitlines()
        for path in (home / "runs").glob("*/*/result.json")
    ]
    return [[json.loads(line)["event"] for line in record] for record in records]


@pytest.mark.slow  # test_database cuts every connection and restarts the server, without training
def test_a_launch_whose_database_goes_ends_and_two_go_on_though_every_connection_is_killed(
    tiny: Ready, tmp_path: Path, server: Postgres
) -> None:
    home, url, log = tiny.copy(tmp_path / "home"), server.create_database(), tmp_path / "log"
    launcher = begin(tiny, home, "tiny", "--storage", url, log=log, retry_s=2.0)
    until(lambda: finished(home) >= 3, launcher, log)
    server.stop()
    said = ends(launcher, log, 2, patience_s=60).splitlines()[-1]
    assert said.startswith("error: postgresql+psycopg://discl:***@127.0.0.1")
    assert "what finished is stored, the same command goes on" in said
    server.start()

    stored, left = finished(home), attempts(home)
    assert stored < 7
    logs = [tmp_path / "log a", tmp_path / "log b"]
    with _held_up(url, "tiny/cifar100_lt/smoke/static"):
        launchers = [begin(tiny, home, "tiny", "--storage", url, log=log) for log in logs]
        until(lambda: _waiting(server) == 2, launchers[0], logs[0])
    dropped = 0
    for at in (stored + 2, stored + 4, 12, 14):
        until(lambda at=at: finished(home) >= at, launchers[0], logs[0])
        dropped += server.drop_connections()
    assert dropped >= 4
    server.stop()
    server.start()
    for launcher, log in zip(launchers, logs, strict=True):
        said = ends(launcher, log)
        assert f"/{RUNS_IN_ALL} " in said  # it made some of the runs
        assert "error" not in said
    assert read(home, url) == tiny.done
    assert attempts(home) - left == RUNS_IN_ALL - stored  # nobody began what somebody else was at
    assert _complete(home) == [["start", *["epoch"] * EPOCHS, "finish"]] * RUNS_IN_ALL


def test_two_launchers_of_one_grid_make_each_cell_once(tiny: Ready, tmp_path: Path) -> None:
    home, logs = tiny.copy(tmp_path / "home"), [tmp_path / "log a", tmp_path / "log b"]
    (tiny.folder / "sweeps" / "cells.toml").write_text(GRID)
    launchers = [begin(tiny, home, "cells", "--format", "json", log=log) for log in logs]
    for launcher, log in zip(launchers, logs, strict=True):
        assert "8 of 8 runs are complete" in ends(launcher, log)
    assert attempts(home) == 8
    assert _complete(home) == [["start", *["epoch"] * 6, "finish"]] * 8
    outcomes = [re.search(r"^\{.*^\}", log.read_text(), re.S | re.M) for log in logs]
    one, two = (json.loads(outcome.group()) for outcome in outcomes if outcome)
    assert one == two
