"""Studies in SQLite and in a real PostgreSQL, by launchers that die and connections that drop."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import TrialState

from discl.core.errors import UserError
from discl.harness.tuning.storage import address, database
from discl.harness.tuning.storage.database import FAILURE, study_lock, with_retries
from discl.harness.tuning.storage.heartbeat import Heartbeat, claim, finish, requeue_dead
from tests.postgres import Postgres
from tests.processes import SERVER

NAME = "static"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/studies.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create_database()


@pytest.fixture
def storage(url: str) -> Iterator[RDBStorage]:
    with _opened(url) as opened:
        yield opened


@pytest.fixture
def local(tmp_path: Path) -> Iterator[RDBStorage]:
    with _opened(f"sqlite:///{tmp_path}/studies.db") as opened:
        yield opened


@pytest.fixture
def remote(postgres: Postgres) -> Iterator[RDBStorage]:
    with _opened(postgres.create_database()) as opened:
        yield opened


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Listens and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listening:
        yield listening.getsockname()[1]


@pytest.fixture(scope="module")
def other() -> Iterator[ProcessPoolExecutor]:
    """Another launcher on this machine."""
    with ProcessPoolExecutor(1, SERVER) as pool:
        pool.submit(os.getpid).result()
        yield pool


@contextmanager
def _opened(url: str, **settings: int) -> Iterator[RDBStorage]:
    storage = database.open_storage(url, **settings)
    yield storage
    database.close_storage(storage)


def _study(storage: RDBStorage) -> Study:
    return optuna.create_study(
        storage=storage, study_name=NAME, direction="maximize", load_if_exists=True
    )


def _add(study: Study, slot: int) -> None:
    trial = optuna.create_trial(
        state=TrialState.WAITING,
        params={"start": slot / 1000},
        distributions={"start": FloatDistribution(0, 1)},
        user_attrs={"slot": slot},
    )
    study.add_trial(trial)


def _slots(study: Study, *states: TrialState) -> list[int]:
    return sorted(
        trial.user_attrs["slot"]
        for trial in study.get_trials(deepcopy=False, states=states or None)
    )


def _beats(storage: RDBStorage) -> list[Any]:
    with storage.engine.connect() as connection:
        return list(
            connection.execute(
                sqlalchemy.text("SELECT heartbeat FROM trial_heartbeats ORDER BY trial_id")
            ).scalars()
        )


def _soon(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)


# ---------------------------------------------------------------- launchers beside each other


def _add_and_claim(url: str, slots: int, meeting: str) -> list[int]:
    """What a launcher does, once there are two: run what waits, add what is missing."""
    claimed = []
    with _opened(url) as storage:
        study = _study(storage)
        Path(meeting, str(os.getpid())).touch()
        _soon(lambda: len(os.listdir(meeting)) == 2)
        with Heartbeat(storage) as heartbeat:
            for slot in range(slots):
                with study_lock(storage, NAME):
                    if slot not in _slots(study):
                        _add(study, slot)
                while trial := claim(study, heartbeat):
                    claimed.append(trial.user_attrs["slot"])
                    finish(study, heartbeat, trial, [trial.params["start"]])
    return claimed


def test_two_launchers_add_each_trial_once_and_claim_each_once(
    url: str, storage: RDBStorage, other: ProcessPoolExecutor, tmp_path: Path
) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    study = _study(storage)
    for slot in range(100, 112):
        _add(study, slot)
    theirs = other.submit(_add_and_claim, url, 4, str(meeting))
    ours = _add_and_claim(url, 4, str(meeting))
    assert sorted(ours + theirs.result()) == [*range(4), *range(100, 112)]
    assert _slots(study) == _slots(study, TrialState.COMPLETE) == [*range(4), *range(100, 112)]
    assert [trial.number for trial in study.trials] == list(range(16))


def _open_and_close(url: str) -> None:
    with _opened(url) as storage:
        _study(storage)


def test_a_new_database_may_be_opened_by_two_at_once(url: str, other: ProcessPoolExecutor) -> None:
    theirs = other.submit(_open_and_close, url)
    _open_and_close(url)
    theirs.result()


def test_nothing_is_claimed_where_nothing_waits(local: RDBStorage) -> None:
    study = _study(local)
    with Heartbeat(local) as heartbeat:
        assert claim(study, heartbeat) is None
    assert study.trials == []


# ---------------------------------------------------------------- launchers that die


def _claim_and_hang(url: str, told: Connection) -> None:
    storage = database.open_storage(url, heartbeat_seconds=1, grace_seconds=1)
    study = _study(storage)
    with Heartbeat(storage) as heartbeat:
        trial = claim(study, heartbeat)
        assert trial is not None
        storage.set_trial_intermediate_value(trial._trial_id, 0, 0.25)
        told.send(os.getpid())
        time.sleep(600)


def _revive_until_told(url: str, done: str) -> None:
    with _opened(url, heartbeat_seconds=1, grace_seconds=1) as storage:
        study = _study(storage)
        while not Path(done).exists():
            requeue_dead(study, Heartbeat(storage))


def test_the_trial_of_a_killed_launcher_waits_again_once_as_it_was(
    url: str, tmp_path: Path, other: ProcessPoolExecutor
) -> None:
    done = tmp_path / "done"
    with _opened(url, heartbeat_seconds=1, grace_seconds=1) as storage:
        study = _study(storage)
        _add(study, 7)
        ours, theirs = SERVER.Pipe()
        launcher = SERVER.Process(target=_claim_and_hang, args=(url, theirs), daemon=True)
        launcher.start()
        os.kill(ours.recv(), signal.SIGKILL)
        reviving = other.submit(_revive_until_told, url, str(done))

        def revived() -> bool:
            requeue_dead(study, Heartbeat(storage))
            return len(study.trials) > 1

        _soon(revived)
        done.touch()
        reviving.result()
        dead, again = study.trials
        assert (dead.state, again.state) == (TrialState.FAIL, TrialState.WAITING)
        assert (again.params, again.distributions, again.user_attrs) == (
            dead.params,
            dead.distributions,
            {"slot": 7},
        )
        assert again.intermediate_values == {0: 0.25}
        launcher.join()


def test_a_trial_outlives_twenty_launchers_and_then_stays_failed(local: RDBStorage) -> None:
    study = _study(local)
    _add(study, 0)
    heartbeat = Heartbeat(local)
    deaths = 0
    while claimed := claim(study, heartbeat):
        # the launcher that failed it for its silence was killed before it queued the next
        local.set_trial_state_values(claimed._trial_id, TrialState.FAIL)
        deaths += 1
        requeue_dead(study, heartbeat)
    assert deaths == 21
    assert _slots(study, TrialState.FAIL) == [0] * 21


def test_a_trial_that_failed_by_itself_is_not_queued_again(local: RDBStorage) -> None:
    study = _study(local)
    heartbeat = Heartbeat(local)
    for slot in (0, 1):
        _add(study, slot)
    told, untold = claim(study, heartbeat), claim(study, heartbeat)
    assert told is not None
    assert untold is not None
    assert (
        finish(study, heartbeat, told, failure="out of memory").user_attrs[FAILURE]
        == "out of memory"
    )
    # this launcher was killed between the reason and the state
    local.set_trial_user_attr(untold._trial_id, FAILURE, "out of memory")
    local.set_trial_state_values(untold._trial_id, TrialState.FAIL)
    requeue_dead(study, heartbeat)
    assert _slots(study) == _slots(study, TrialState.FAIL) == [0, 1]


def test_the_first_end_of_a_trial_is_its_end(local: RDBStorage) -> None:
    study = _study(local)
    heartbeat = Heartbeat(local)
    _add(study, 0)
    trial = claim(study, heartbeat)
    assert trial is not None
    assert finish(study, heartbeat, trial, [0.5]).values == [0.5]
    assert finish(study, heartbeat, trial, [0.75]).values == [0.5]
    assert finish(study, heartbeat, trial, failure="late").state == TrialState.COMPLETE


def test_a_pruned_trial_is_told_as_pruned(local: RDBStorage) -> None:
    study = _study(local)
    heartbeat = Heartbeat(local)
    _add(study, 0)
    trial = claim(study, heartbeat)
    assert trial is not None
    assert finish(study, heartbeat, trial, pruned=True).state == TrialState.PRUNED


# ---------------------------------------------------------------- hearts


def test_a_heart_beats_at_once_and_goes_on_until_its_trial_ends(tmp_path: Path) -> None:
    with _opened(
        f"sqlite:///{tmp_path}/studies.db", heartbeat_seconds=1, grace_seconds=30
    ) as storage:
        study = _study(storage)
        _add(study, 0)
        with Heartbeat(storage) as heartbeat:
            trial = claim(study, heartbeat)
            assert trial is not None
            first = _beats(storage)
            assert len(first) == 1
            _soon(lambda: _beats(storage) > first)
            heartbeat.remove(trial)


def test_leaving_waits_for_no_heartbeat(tmp_path: Path) -> None:
    with _opened(
        f"sqlite:///{tmp_path}/studies.db", heartbeat_seconds=60, grace_seconds=600
    ) as storage:
        study = _study(storage)
        _add(study, 0)
        with Heartbeat(storage) as heartbeat:
            trial = claim(study, heartbeat)
            assert trial is not None
            heartbeat.remove(trial)
            left = time.monotonic()
        assert time.monotonic() - left < 30


# ---------------------------------------------------------------- connections that drop


def test_dropped_connections_cost_nothing(postgres: Postgres, remote: RDBStorage) -> None:
    study = _study(remote)
    for slot in range(6):
        _add(study, slot)
    with Heartbeat(remote) as heartbeat:
        while trial := claim(study, heartbeat):
            assert postgres.drop_connections() > 0
            with study_lock(remote, NAME):
                postgres.drop_connections()
            finish(study, heartbeat, trial, [1.0])
        requeue_dead(study, heartbeat)
    assert _slots(study) == _slots(study, TrialState.COMPLETE) == list(range(6))


def test_connections_that_drop_all_the_time_lose_and_double_nothing(
    postgres: Postgres, remote: RDBStorage
) -> None:
    study = _study(remote)
    for slot in range(3):
        _add(study, slot)
    over = threading.Event()

    def drop() -> None:
        while not over.wait(0.1):
            postgres.drop_connections()

    dropping = threading.Thread(target=drop)
    dropping.start()
    try:
        with Heartbeat(remote) as heartbeat:
            while trial := claim(study, heartbeat):
                assert finish(study, heartbeat, trial, [1.0]).state == TrialState.COMPLETE
    finally:
        over.set()
        dropping.join()
    assert len(set(_slots(study, TrialState.COMPLETE))) == len(_slots(study, TrialState.COMPLETE))
    # a trial whose claim was stored and not confirmed runs without a heartbeat, and is queued again
    # after the grace period
    assert _slots(study, TrialState.COMPLETE, TrialState.RUNNING) == list(range(3))


def test_a_server_that_comes_back_is_gone_on_with(postgres: Postgres) -> None:
    with _opened(postgres.create_database(), heartbeat_seconds=1, grace_seconds=1) as storage:
        study = _study(storage)
        _add(study, 0)
        with Heartbeat(storage) as heartbeat:
            trial = claim(study, heartbeat)
            assert trial is not None
            before = _beats(storage)
            postgres.stop()
            starting = threading.Timer(1.2, postgres.start)
            starting.start()
            # our own trial was silent for longer than the grace period
            requeue_dead(study, heartbeat)
            starting.join()
            _soon(lambda: _beats(storage) > before)
            assert finish(study, heartbeat, trial, [1.0]).state == TrialState.COMPLETE
        assert _slots(study) == [0]


def test_a_server_that_stays_away_is_given_up(postgres: Postgres, remote: RDBStorage) -> None:
    study = _study(remote)
    postgres.stop()
    began = time.monotonic()
    try:
        with pytest.raises(
            UserError,
            match=f"127.0.0.1:{postgres.port}.*does not answer any more.*the same command goes on",
        ) as caught:
            with_retries(remote, lambda: study.trials, retry_seconds=1)
    finally:
        postgres.start()
    assert time.monotonic() - began < 10
    assert postgres.password not in str(caught.value)


def test_sessions_share_one_clock(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    with _opened(postgres.create_database()) as storage, storage.engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SHOW timezone")).scalar() == "UTC"


# ---------------------------------------------------------------- databases that cannot be used


def test_a_host_that_never_answers_is_refused_in_time(silent_port: int) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=f"127.0.0.1:{silent_port}.*: connection timeout") as caught:
        database.open_storage(
            f"postgresql://me:s3cret@127.0.0.1:{silent_port}/studies?connect_timeout=2"
        )
    assert time.monotonic() - began < 10
    assert "s3cret" not in str(caught.value)
    assert database.CONNECT_SECONDS < database.REACH_SECONDS < 15


def test_looking_for_a_host_ends_too(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "REACH_SECONDS", 0.5)
    with pytest.raises(UserError, match=f"127.0.0.1:{silent_port}.* does not answer within 0.5 s"):
        database.open_storage(
            f"postgresql://me:s3cret@127.0.0.1:{silent_port}/studies?connect_timeout=2"
        )


def test_a_closed_port_is_refused() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(UserError, match="refused") as caught:
            database.open_storage(
                f"postgresql://me:s3cret@127.0.0.1:{closed.getsockname()[1]}/studies"
            )
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda server: server.url("missing"), "no such database; make it with createdb"),
        (
            lambda server: server.url().replace("discl:", "discl:s3cret"),
            "user or password is wrong",
        ),
        (lambda server: server.url().replace("discl:", "nobody:"), "user or password is wrong"),
        (lambda server: f"postgres://discl@127.0.0.1:{server.port}/postgres", "wants a password"),
    ],
)
def test_a_postgresql_that_refuses_says_why(
    postgres: Postgres, change: Callable[[Postgres], str], reason: str
) -> None:
    with pytest.raises(UserError, match=f"127.0.0.1:{postgres.port}/.*{reason}") as caught:
        database.open_storage(change(postgres))
    assert postgres.password not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_user_who_may_make_no_tables_is_told(postgres: Postgres) -> None:
    url = postgres.create_database()
    with postgres.connect() as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    with pytest.raises(UserError, match="may not make or change tables"):
        database.open_storage(
            url.replace(url[url.index("discl:") : url.index("@127")], "guest:guest")
        )


def test_without_psycopg_the_way_to_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match=r"pip install 'discl\[postgres\]'"):
        database.open_storage("postgresql://me:s3cret@127.0.0.1/studies")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://me:s3cret@host/studies", "'mysql'.*sqlite:.*postgresql:"),
        ("studies.db", "cannot be read"),
        ("postgresql://me:s3cret", "cannot be read"),
        ("postgresql://me:half@s3cret@host/studies", "@ as %40"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////missing/folder/studies.db", "/missing/folder is no folder"),
        ("sqlite:////proc/studies.db", "/proc"),
    ],
)
def test_an_address_of_no_use_is_refused_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        database.open_storage(url)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in address.redacted(url) or "@s3cret@" in url


def test_passwords_are_redacted_wherever_an_address_has_them() -> None:
    assert (
        address.redacted("postgresql://me:s3cret@host/studies")
        == "postgresql://me:***@host/studies"
    )
    assert "s3cret" not in address.redacted(
        "postgresql://me@host/studies?password=s3cret&sslmode=require"
    )


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("nothing of that kind\n" * 100)
    with pytest.raises(UserError, match=r"notes.db: it is no SQLite database"):
        database.open_storage(f"sqlite:///{file}")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it cannot be opened or made"):
        database.open_storage(f"sqlite:///{tmp_path}")


def test_a_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE images (id)")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(UserError, match=r"tables of another program \(images\)"):
        database.open_storage(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_a_study_of_another_optuna_is_named(local: RDBStorage) -> None:
    with local.engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = 'v99.0.0'"))
    with pytest.raises(UserError, match="no longer compatible"):
        database.open_storage(str(local.engine.url))


def test_a_full_disk_is_named(local: RDBStorage) -> None:
    study = _study(local)

    def no_more_pages(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    sqlalchemy.event.listen(local.engine, "connect", no_more_pages)
    local.engine.dispose()
    with pytest.raises(UserError, match="the disk is full"):
        with_retries(local, lambda: study.set_user_attr("note", "x" * 100_000))


def test_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    folder = tmp_path / "a {b} 50% c#"
    folder.mkdir()
    _open_and_close(f"sqlite:///{folder}/studies.db")
    assert (folder / "studies.db").stat().st_size > 0


def test_studies_lie_in_the_home_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert address.default_url() == f"sqlite:///{tmp_path}/home/studies/studies.db"
    _open_and_close(address.default_url())
    monkeypatch.setenv("DISCL_STUDIES", "postgresql://host/studies")
    assert address.default_url() == "postgresql://host/studies"
