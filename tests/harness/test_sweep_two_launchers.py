"""Two launchers at one store: every run is made once, whatever becomes of the database between them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import sweeps
from tests.postgres import Postgres
from tests.sweeps import RUNS_IN_ALL, Ready, attempts, begin, ends, finished, read, until

GRID = f"""{sweeps.COMMON}
[grid]
"seed" = [0, 1, 2]
"train.lr" = [0.001, 0.01, 0.02]
"""


@pytest.fixture
def server(postgres: Postgres) -> Iterator[Postgres]:
    """One that may be stopped: in the end it runs."""
    yield postgres
    if not postgres.running():
        postgres.start()


def _scored(log: Path, of: int) -> list[int]:
    """How many runs were done each time a launcher said so."""
    return [int(line.partition("/")[0]) for line in log.read_text().splitlines() if f"/{of} " in line]


def _made(home: Path) -> list[list[str]]:
    """The events that each attempt at a run has recorded."""
    records = [path.read_text().splitlines() for path in (home / "runs").glob("*/*/events.jsonl")]
    return [[json.loads(line)["event"] for line in record] for record in records]


def test_two_launchers_of_one_study_make_each_run_once_though_every_connection_is_killed(tiny: Ready, tmp_path: Path, server: Postgres) -> None:
    home, url, logs = tiny.copy(tmp_path / "home"), server.create_database(), [tmp_path / "log a", tmp_path / "log b"]
    launchers = [begin(tiny, home, "tiny", "--storage", url, log=log) for log in logs]
    for launcher, log in zip(launchers, logs, strict=True):
        until(lambda log=log: _scored(log, RUNS_IN_ALL), launcher, log)  # both are at work
    dropped = 0
    for at in (6, 9, 12):
        until(lambda at=at: finished(home) >= at, launchers[0], logs[0])
        dropped += server.drop_connections()
    assert dropped >= 2
    until(lambda: finished(home) >= 15, launchers[0], logs[0])
    server.stop()
    server.start()
    for launcher, log in zip(launchers, logs, strict=True):
        assert "error" not in ends(launcher, log)
    assert read(home, url) == tiny.done
    assert attempts(home) == RUNS_IN_ALL  # nobody began what somebody else was at
    assert _made(home) == [["start", *["epoch"] * 6, "finish"]] * RUNS_IN_ALL


def test_two_launchers_of_one_grid_make_each_cell_once(tiny: Ready, tmp_path: Path) -> None:
    home, logs = tiny.copy(tmp_path / "home"), [tmp_path / "log a", tmp_path / "log b"]
    (tiny.folder / "sweeps" / "cells.toml").write_text(GRID)
    launchers = [begin(tiny, home, "cells", "--json", str(tmp_path / f"{log.name}.json"), log=log) for log in logs]
    for launcher, log in zip(launchers, logs, strict=True):
        assert "18 of 18 runs are complete" in ends(launcher, log)
    assert attempts(home) == finished(home) == 18
    assert _made(home) == [["start", *["epoch"] * 6, "finish"]] * 18
    one, two = (json.loads((tmp_path / f"{log.name}.json").read_text()) for log in logs)
    assert one == two


def test_a_database_that_is_gone_for_good_is_told_and_the_same_command_goes_on_when_it_is_back(
    tiny: Ready, tmp_path: Path, server: Postgres
) -> None:
    home, url, log = tiny.copy(tmp_path / "home"), server.create_database(), tmp_path / "log"
    launcher = begin(tiny, home, "tiny", "--storage", url, log=log)
    until(lambda: finished(home) >= 5, launcher, log)
    server.stop()
    said = ends(launcher, log, 2, patience_s=60)
    assert said.splitlines()[-1].startswith("error: postgresql+psycopg://discl:***@127.0.0.1")
    assert "does not answer any more" in said
    assert finished(home) < RUNS_IN_ALL
    server.start()
    ends(begin(tiny, home, "tiny", "--storage", url, log=log), log)
    assert read(home, url) == tiny.done
    assert attempts(home) <= RUNS_IN_ALL + 1
