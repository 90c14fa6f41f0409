"""The database of studies: SQLite for the launchers of one machine, PostgreSQL for those of many.

Optuna's own calls are not all safe between launchers. Those here are: `claim`, `finish`, `revive`
and `alone`. What is left to whoever adds trials: a connection may drop between a commit and its
answer, Optuna then adds once more by itself, so of the trials that bear one slot only the first
counts.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from discl.core.errors import UserError
from discl.files.disk import clear_disk_errors, home, one_at_a_time

Value = TypeVar("Value")

HEARTBEAT_SECONDS = 5
# four beats may be missed
GRACE_SECONDS = 20
RETRY_SECONDS = 60.0  # how long an operation is tried again while the connection is down
# one address; a name may have several
CONNECT_SECONDS = 5
# all addresses, and finding them
REACH_SECONDS = 12.0
# the user attribute that says why a trial failed; a failed trial without it died with its launcher
FAILURE = "failure"
# times a trial is queued again because its launcher died
LIVES = 20

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_SECRETS = {"password", "sslpassword"}
_TABLES = {"studies", "trials", "version_info"}
_ADVISORY_LOCK = sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)")

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ExperimentalWarning)
    # A launcher takes down all it runs, so a trial is seldom to blame for a death and a small
    # number would lose innocent ones. Without any number a trial that does kill its launcher would
    # do so for ever under a scheduler that starts it again.
    _retry = RetryHeartbeatStaleTrialCallback(max_retry=LIVES, inherit_intermediate_values=True)


# ---------------------------------------------------------------- opening


def default_url() -> str:
    """$DISCL_STUDIES, else a SQLite file in $DISCL_HOME, whose folder is made."""
    if url := os.environ.get("DISCL_STUDIES"):
        return url
    folder = (home() / "studies").absolute()
    with clear_disk_errors("keeping studies", folder):
        folder.mkdir(parents=True, exist_ok=True)
    return _shown(URL.create("sqlite", database=str(folder / "studies.db")))


def redacted(url: str) -> str:
    """The address without its password; for an address that cannot be read nothing but that."""
    try:
        return _shown(make_url(url))
    except (ArgumentError, ValueError):
        return "(an address that cannot be read)"


def open_storage(
    url: str, *, heartbeat_seconds: int = HEARTBEAT_SECONDS, grace_seconds: int = GRACE_SECONDS
) -> RDBStorage:
    """The studies at `url`, with tables where there were none; UserError where it cannot be reached
    or used within 15 seconds.

    SQLite's locks do not hold between machines on a network file system: there, and for launchers
    of several machines, take PostgreSQL.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    address = _address(url)
    with _sentences(address):
        probe = _probe(address)
        return _with_retries(
            address,
            lambda: _tables(probe, address, heartbeat_seconds, grace_seconds),
            REACH_SECONDS / 4,
        )


def close_storage(storage: RDBStorage) -> None:
    """Give the connections back."""
    storage.remove_session()
    storage.engine.dispose()


def _shown(address: URL) -> str:
    hidden = dict.fromkeys(_SECRETS & set(address.query), "***")
    text: str = address.update_query_dict(hidden).render_as_string(hide_password=True)
    return text


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        address = None
    # a part of a password that bears an @ would be taken for a host, and shown
    if address is None or "@" in (address.host or ""):
        raise UserError(
            "the address of the studies cannot be read; write sqlite:////folder/studies.db or "
            "postgresql://user:password@host/database, with @ as %40 and / as %2F in the password"
        ) from None
    if address.drivername not in _DRIVERS:
        raise UserError(
            f"studies cannot be kept in {address.drivername!r}; write sqlite:////folder/studies.db"
            " or postgresql://user@host/database"
        )
    address = address.set(drivername=_DRIVERS[address.drivername])
    return _absolute(address) if address.drivername == "sqlite" else address


def _absolute(address: URL) -> URL:
    if (
        address.host
        or not address.database
        or address.database == ":memory:"
        or address.database.startswith("file:")
    ):
        raise UserError(
            f"{_shown(address)} names no file that keeps studies; write"
            " sqlite:////folder/studies.db"
        )
    path = Path(address.database).expanduser().absolute()
    if not path.parent.is_dir():
        raise UserError(
            f"{path.parent} is no folder, so no studies can be kept in {path}; make it or name"
            " another one"
        )
    return address.set(database=str(path))


def _probe(address: URL) -> sqlalchemy.Engine:
    try:
        engine = sqlalchemy.create_engine(
            address, poolclass=sqlalchemy.NullPool, connect_args=_connect_args(address)
        )
    except ModuleNotFoundError as error:
        raise UserError(
            f"{_shown(address)} needs psycopg; pip install 'discl[postgres]'"
        ) from error
    if address.drivername != "sqlite":
        _reach(engine, address)
    return engine


def _reach(engine: sqlalchemy.Engine, address: URL) -> None:
    """Connect once, in bounded time: looking a name up knows no limit, and each of its addresses
    has one of its own.
    """
    met: list[BaseException] = []

    def connect() -> None:
        try:
            engine.connect().close()
        except Exception as error:
            met.append(error)

    thread = threading.Thread(target=connect, daemon=True, name="reaching the studies")
    thread.start()
    thread.join(REACH_SECONDS)
    if thread.is_alive():
        raise UserError(
            f"{_shown(address)} does not answer within {REACH_SECONDS:g} s; is the host right, and"
            " does it let you through?"
        )
    if met:
        raise met[0]


def _check_ours(engine: sqlalchemy.Engine, address: URL) -> None:
    tables = set(sqlalchemy.inspect(engine).get_table_names())
    if tables and not tables & _TABLES:
        raise UserError(
            f"{_shown(address)} holds tables of another program ({', '.join(sorted(tables)[:3])});"
            " give the studies a database of their own"
        )


def _tables(
    probe: sqlalchemy.Engine, address: URL, heartbeat_seconds: int, grace_seconds: int
) -> RDBStorage:
    # two launchers would make them at once, which neither database forgives
    with _held(_lock(probe, "opening")):
        _check_ours(probe, address)
        return _storage(address, heartbeat_seconds, grace_seconds)


class _Storage(RDBStorage):
    """Leaves no connection open where it cannot be made."""

    def __init__(self, url: str, **settings: Any) -> None:
        try:
            super().__init__(url, **settings)
        except BaseException:
            if hasattr(self, "engine"):
                self.engine.dispose()
            raise


def _storage(address: URL, heartbeat_seconds: int, grace_seconds: int) -> RDBStorage:
    hook = _prepare_sqlite if address.drivername == "sqlite" else _prepare_postgresql
    # Optuna takes braces for places to fill in
    url = address.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        storage = _Storage(
            url,
            engine_kwargs={
                "pool_pre_ping": True,
                "connect_args": _connect_args(address),
                "pool_events": [(hook, "connect")],
            },
            heartbeat_interval=heartbeat_seconds,
            grace_period=grace_seconds,
            heartbeat_stale_trial_callback=_requeue,
        )
    if address.drivername == "sqlite":
        # Optuna reads a trial's state, then writes it, and asks for the row's lock in between,
        # which SQLite does not know: two launchers would claim one trial. So each of its
        # transactions is alone from its first statement on.
        sqlalchemy.event.listen(storage.engine, "begin", _begin_immediately)
    return storage


def _connect_args(address: URL) -> dict[str, Any]:
    if address.drivername == "sqlite":
        return {"timeout": 60}
    # a machine that vanished is noticed within half a minute, not within two hours
    wanted = {
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        "application_name": "discl",
    }
    return {name: value for name, value in wanted.items() if name not in address.query}


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # readers such as a dashboard do not hold up launchers. A power cut may lose the last trials,
    # whose runs the store still has.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _prepare_postgresql(connection: Any, _: Any) -> None:
    # heartbeats are compared as local times of the session: one zone for all launchers, and none
    # that is put back an hour
    connection.execute("SET timezone TO 'UTC'")
    # what a launcher of a vanished machine had locked is free again soon
    connection.execute("SET tcp_keepalives_idle TO 10")
    connection.execute("SET tcp_keepalives_interval TO 5")
    connection.execute("SET tcp_keepalives_count TO 3")
    connection.commit()


def _begin_immediately(connection: sqlalchemy.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


# ---------------------------------------------------------------- what goes wrong


_SQLITE_SENTENCES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space, or name another file in DISCL_STUDIES",
    sqlite3.SQLITE_READONLY: (
        "it may not be written; name a file in a folder you may write in DISCL_STUDIES"
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened or made; name a file in a folder you may write in DISCL_STUDIES"
    ),
    sqlite3.SQLITE_PERM: (
        "permission denied; name a file in a folder you may write in DISCL_STUDIES"
    ),
    sqlite3.SQLITE_NOTADB: "it is no SQLite database; name another file in DISCL_STUDIES",
    sqlite3.SQLITE_CORRUPT: (
        "it is damaged; move it away and start again: runs that are in the store cost nothing"
    ),
    sqlite3.SQLITE_IOERR: (
        "the disk does not read or write it; if it lies on a network file system, name a local file"
        " in DISCL_STUDIES"
    ),
    sqlite3.SQLITE_BUSY: "another process holds it; end what else has it open",
}
_POSTGRESQL_SENTENCES = {
    "password authentication failed": (
        "user or password is wrong; correct the address, or ~/.pgpass"
    ),
    "no password supplied": (
        "it wants a password; put it into the address (postgresql://user:password@host/database) or"
        " into ~/.pgpass"
    ),
    'database "': "there is no such database; make it with createdb",
    "role ": "there is no such user; make it with createuser",
}
_POSTGRESQL_STATES = {
    "53100": "the server's disk is full; free some space there",
    "42501": "this user may not make or change tables there; grant it, or take another database",
}
# connection lost, server stopping or starting, two launchers in each other's way, too many
# connections
_PASSING_STATES = ("08", "57P", "40001", "40P01", "53300")


@contextmanager
def _sentences(address: URL) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise _sentence(error, address) from error
    except OSError as error:
        raise UserError(
            f"{_shown(address)} cannot be made or locked ({error.strerror}); name a file in a"
            " folder you may write"
        ) from error
    except RuntimeError as error:
        # Optuna's word for tables of another version of its own
        raise UserError(f"{_shown(address)}: {error}") from error


def _sentence(error: BaseException, address: URL) -> UserError:
    cause = _driver_error(error)
    reason = (
        _sqlite_reason(cause)
        or _postgresql_reason(cause)
        or f"the database says: {_first_line(cause)}"
    )
    return UserError(f"{_shown(address)}: {reason}")


def _first_line(cause: BaseException) -> str:
    return str(cause).strip().partition("\n")[0]


def _sqlite_reason(cause: BaseException) -> str | None:
    # the low byte is the plain code, the rest says more closely what
    return _SQLITE_SENTENCES.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF)


def _postgresql_reason(cause: BaseException) -> str | None:
    if reason := _POSTGRESQL_STATES.get(getattr(cause, "sqlstate", None) or ""):
        return reason
    # a refused connection bears no state, only words
    return next(
        (reason for words, reason in _POSTGRESQL_SENTENCES.items() if words in str(cause)), None
    )


def _driver_error(error: BaseException) -> BaseException:
    return next(
        (met.orig for met in _chain(error) if isinstance(met, DBAPIError) and met.orig is not None),
        error,
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _passes(error: BaseException) -> bool:
    """Whether the same operation may do better later."""
    if any(isinstance(met, DBAPIError) and met.connection_invalidated for met in _chain(error)):
        return True
    cause = _driver_error(error)
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in (
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
        )
    if cause is error:
        return False
    # where there is no connection there is no state either
    state = getattr(cause, "sqlstate", None)
    return state is None or state.startswith(_PASSING_STATES)


def with_retries(
    storage: RDBStorage, operation: Callable[[], Value], retry_seconds: float | None = None
) -> Value:
    """`operation()`, again and again while the connection is down; UserError when it stays down, or
    the disk is full.

    Where the connection drops after a commit and before its answer, the operation happens twice. So
    it must be one that may: reading, a heartbeat, a user attribute, an intermediate value,
    `study.tell(..., skip_if_finished=True)`. Adding a trial or creating a study may not: do that in
    `alone`, as "read what is there, add what is missing". `claim`, `finish` and `revive` are
    patient inside.
    """
    return _with_retries(
        storage.engine.url, operation, RETRY_SECONDS if retry_seconds is None else retry_seconds
    )


def _with_retries(address: URL, operation: Callable[[], Value], retry_seconds: float) -> Value:
    give_up = time.monotonic() + retry_seconds
    for pause_seconds in itertools.chain((0.1, 0.3), itertools.repeat(1.0)):
        try:
            return operation()
        except (SQLAlchemyError, StorageInternalError) as error:
            if not _passes(error):
                raise _sentence(error, address) from error
            if time.monotonic() + pause_seconds > give_up:
                reason = _first_line(_driver_error(error))
                raise UserError(
                    f"{_shown(address)} does not answer any more ({reason}); what finished is"
                    " stored, the same command goes on"
                ) from error
            time.sleep(pause_seconds)
    raise AssertionError("the pauses never end")


# ---------------------------------------------------------------- one launcher among many


@contextmanager
def study_lock(storage: RDBStorage, name: str) -> Iterator[None]:
    """Only one launcher is inside for `name`, such as a study's; the others wait.

    A dead one holds nothing.

    Where a connection to PostgreSQL drops inside, the next launcher may come in early. `revive`
    takes a study's lock itself: call it outside, or it waits for ever.
    """
    with _held(with_retries(storage, lambda: _lock(storage.engine, name))):
        yield


@contextmanager
def _held(lock: ExitStack) -> Iterator[None]:
    try:
        yield
    finally:
        # a dropped connection has let go already
        with suppress(DBAPIError):
            lock.close()


def _lock(engine: sqlalchemy.Engine, name: str) -> ExitStack:
    digest = hashlib.sha256(name.encode()).digest()
    with ExitStack() as held:
        if engine.url.drivername == "sqlite":
            held.enter_context(
                one_at_a_time(Path(f"{engine.url.database}.locks") / digest.hex()[:16])
            )
        else:
            # its transaction holds the lock: whatever ends that, a dropped connection too, lets go
            connection = held.enter_context(engine.connect())
            connection.execute(
                _ADVISORY_LOCK, {"key": int.from_bytes(digest[:8], "big", signed=True)}
            )
        return held.pop_all()


class Heartbeat:
    """Records heartbeats of the trials a launcher runs, from a thread, so that others can tell them
    from those of a dead one.
    """

    def __init__(self, storage: RDBStorage) -> None:
        self.storage = storage
        self._trial_ids: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, daemon=True, name="heart")

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        # it may be waiting for a database that does not answer; then it ends with the process
        self._thread.join(0.5)

    def add(self, trial: FrozenTrial) -> None:
        """Beat for `trial` at once, and from now on."""
        with_retries(self.storage, lambda: self.storage.record_heartbeat(trial._trial_id))
        self._trial_ids.add(trial._trial_id)

    def remove(self, trial: FrozenTrial) -> None:
        self._trial_ids.discard(trial._trial_id)

    def beat(self) -> None:
        """Beat for every trial now."""
        for trial_id in tuple(self._trial_ids):
            self.storage.record_heartbeat(trial_id)

    def _keep_beating(self) -> None:
        pause_seconds: float = self.storage.get_heartbeat_interval() or HEARTBEAT_SECONDS
        due = pause_seconds
        while not self._stop.wait(due):
            try:
                self.beat()
                due = pause_seconds
            except (SQLAlchemyError, StorageInternalError):
                due = min(1.0, pause_seconds)
        self.storage.remove_session()


def claim(study: Study, heartbeat: Heartbeat) -> FrozenTrial | None:
    """The first waiting trial, from now on running and ours alone; None where none waits.

    Not `study.ask`: it makes a trial up where none waits, and a launcher killed before the first
    heartbeat would leave a trial that runs for ever, because one that never beat is never taken for
    dead. Here it beats before it runs.
    """
    storage = heartbeat.storage
    for waiting in with_retries(
        storage, lambda: study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    ):
        heartbeat.add(waiting)
        if _claimed(storage, waiting):
            return _stored(storage, waiting)
        heartbeat.remove(waiting)
    return None


def _claimed(storage: RDBStorage, waiting: FrozenTrial) -> bool:
    try:
        return with_retries(
            storage, lambda: storage.set_trial_state_values(waiting._trial_id, TrialState.RUNNING)
        )
    except UpdateFinishedTrialError:
        return False


def finish(
    study: Study,
    heartbeat: Heartbeat,
    trial: FrozenTrial,
    values: Sequence[float] | None = None,
    *,
    pruned: bool = False,
    failure: str | None = None,
) -> FrozenTrial:
    """Tell how `trial` ended: with `values`, pruned, or with a `failure`; once.

    Gives what is stored now.

    That is another end where this launcher was taken for dead: then the trial failed and another
    one stands in its place.
    """
    storage = heartbeat.storage
    state = (
        TrialState.FAIL
        if failure is not None
        else TrialState.PRUNED
        if pruned
        else TrialState.COMPLETE
    )

    def tell() -> None:
        if failure is not None:
            storage.set_trial_user_attr(trial._trial_id, FAILURE, failure)
        study.tell(trial.number, values, state=state, skip_if_finished=True)

    with suppress(UpdateFinishedTrialError):
        with_retries(storage, tell)
    heartbeat.remove(trial)
    return _stored(storage, trial)


def _stored(storage: RDBStorage, trial: FrozenTrial) -> FrozenTrial:
    return with_retries(storage, lambda: storage.get_trial(trial._trial_id))


def requeue_dead(study: Study, heartbeat: Heartbeat) -> None:
    """Fail the trials whose launcher died, and put each into the queue again, once, with its
    parameters, attributes and values.

    To be called again and again: a dead launcher is known by its silence, after the grace period. A
    failed trial that has neither a `FAILURE` nor a successor afterwards has outlived too many
    launchers.
    """
    # after an outage our own trials have been silent too
    with_retries(heartbeat.storage, heartbeat.beat)
    with study_lock(heartbeat.storage, study.study_name):
        with_retries(heartbeat.storage, lambda: _replace_dead(study))


def _replace_dead(study: Study) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
        # Optuna fails a trial first and queues its successor then; who was killed in between left
        # none
        trials = study.get_trials(deepcopy=False)
        replaced = {
            number
            for trial in trials
            for number in RetryHeartbeatStaleTrialCallback.retry_history(trial)
        }
    for trial in trials:
        if trial.state == TrialState.FAIL and trial.number not in replaced:
            _requeue(study, copy.deepcopy(trial))


def _requeue(study: Study, dead: FrozenTrial) -> None:
    # a launcher may die between the reason and the state
    if FAILURE not in dead.user_attrs:
        _retry(study, dead)
