"""The database of studies: SQLite for the launchers of one machine, PostgreSQL for several.

Optuna's own calls are not all safe between launchers. `study_lock` here and `claim`, `finish` and
`requeue_dead` of `heartbeat` are. One case is left to callers that add trials: where a connection
drops between a commit and its answer, Optuna adds the trial once more, so only the first of the
trials that bear one slot counts.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from discl.core.errors import UserError
from discl.files.disk import folder_lock
from discl.harness.tuning.storage.address import make_own_folder, parse_address, shown
from discl.harness.tuning.storage.errors import is_transient, reason_of, user_error, user_errors

Value = TypeVar("Value")

HEARTBEAT_SECONDS = 5
# four heartbeats may be missed
GRACE_SECONDS = 20
# how long an operation is tried again while the connection is down
RETRY_SECONDS = 60.0
# one address; a name may have several
CONNECT_SECONDS = 5
# all addresses, and finding them
REACH_SECONDS = 12.0
# the user attribute with the reason of a failed trial; one without it died with its launcher
FAILURE = "failure"
# times a trial is queued again because its launcher died
MAX_RESTARTS = 20

_TABLES = {"studies", "trials", "version_info"}
_ADVISORY_LOCK = sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)")

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ExperimentalWarning)
    # All trials of a launcher fail when it dies, so a trial is seldom the cause, and with a small
    # limit other trials would be lost. Without a limit, a trial that does kill its launcher would
    # do so for ever under a scheduler that starts it again.
    _retry = RetryHeartbeatStaleTrialCallback(
        max_retry=MAX_RESTARTS, inherit_intermediate_values=True
    )


def requeue(study: optuna.Study, dead: FrozenTrial) -> None:
    """Queue a copy of a trial that died with its launcher; one that has a reason stays failed."""
    # a launcher may die between the reason and the state
    if FAILURE not in dead.user_attrs:
        _retry(study, dead)


# ---------------------------------------------------------------- opening


def open_storage(
    url: str, *, heartbeat_seconds: int = HEARTBEAT_SECONDS, grace_seconds: int = GRACE_SECONDS
) -> RDBStorage:
    """The studies at `url`, with tables where there were none.

    Raises UserError within 15 seconds where it cannot be reached or used. SQLite's locks do not
    hold between machines on a network file system: there, and for launchers of several machines,
    take PostgreSQL.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    address = parse_address(url)
    make_own_folder(address)
    with user_errors(address):
        engine = _engine(address)
        return _with_retries(
            address,
            lambda: _create_tables(engine, address, heartbeat_seconds, grace_seconds),
            REACH_SECONDS / 4,
        )


def close_storage(storage: RDBStorage) -> None:
    """Give the connections back."""
    storage.remove_session()
    storage.engine.dispose()


def _engine(address: URL) -> sqlalchemy.Engine:
    """Connections to a database that answers; raises UserError where the driver is missing."""
    try:
        engine = sqlalchemy.create_engine(
            address, poolclass=sqlalchemy.NullPool, connect_args=_connect_args(address)
        )
    except ModuleNotFoundError as error:
        raise UserError(f"{shown(address)} needs psycopg; pip install 'discl[postgres]'") from error
    if address.drivername != "sqlite":
        _check_reachable(engine, address)
    return engine


def _check_reachable(engine: sqlalchemy.Engine, address: URL) -> None:
    """Connect once, in bounded time.

    Looking a name up has no limit, and each of its addresses has one of its own. Raises UserError
    where nothing answers, or the error of the connection.
    """
    errors: list[BaseException] = []

    def connect() -> None:
        try:
            engine.connect().close()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=connect, daemon=True, name="reaching the studies")
    thread.start()
    thread.join(REACH_SECONDS)
    if thread.is_alive():
        raise UserError(
            f"{shown(address)} does not answer within {REACH_SECONDS:g} s; is the host right, and"
            " does it let you through?"
        )
    if errors:
        raise errors[0]


def _create_tables(
    engine: sqlalchemy.Engine, address: URL, heartbeat_seconds: int, grace_seconds: int
) -> RDBStorage:
    # two launchers would create them at once, which is an error in both databases
    with _held(_lock(engine, "opening")):
        _check_ours(engine, address)
        return _storage(address, heartbeat_seconds, grace_seconds)


def _check_ours(engine: sqlalchemy.Engine, address: URL) -> None:
    """Raise UserError where the database holds tables of another program."""
    tables = set(sqlalchemy.inspect(engine).get_table_names())
    if tables and not tables & _TABLES:
        raise UserError(
            f"{shown(address)} holds tables of another program ({', '.join(sorted(tables)[:3])});"
            " give the studies a database of their own"
        )


class _Storage(RDBStorage):
    """Leaves no connection open where it cannot be created."""

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
            heartbeat_stale_trial_callback=requeue,
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
    arguments = {
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        "application_name": "discl",
    }
    return {name: value for name, value in arguments.items() if name not in address.query}


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


# ---------------------------------------------------------------- retries


def with_retries(
    storage: RDBStorage, operation: Callable[[], Value], retry_seconds: float | None = None
) -> Value:
    """`operation()`, repeated while the connection is down, for `RETRY_SECONDS` by default.

    Raises UserError when the connection stays down, or on an error that will not pass. Where the
    connection drops after a commit and before its answer, the operation happens twice. So it must
    be one that may: reading, a heartbeat, a user attribute, an intermediate value, `study.tell(...,
    skip_if_finished=True)`. Adding a trial or creating a study may not: do that in `study_lock`, as
    "read what is there, add what is missing". `claim`, `finish` and `requeue_dead` retry by
    themselves.
    """
    return _with_retries(
        storage.engine.url, operation, RETRY_SECONDS if retry_seconds is None else retry_seconds
    )


def _with_retries(address: URL, operation: Callable[[], Value], retry_seconds: float) -> Value:
    deadline = time.monotonic() + retry_seconds
    for pause_seconds in itertools.chain((0.1, 0.3), itertools.repeat(1.0)):
        try:
            return operation()
        except (SQLAlchemyError, StorageInternalError) as error:
            if not is_transient(error):
                raise user_error(error, address) from error
            if time.monotonic() + pause_seconds > deadline:
                raise UserError(
                    f"{shown(address)} does not answer any more ({reason_of(error)}); what"
                    " finished is stored, the same command goes on"
                ) from error
            time.sleep(pause_seconds)
    raise AssertionError("the pauses never end")


# ---------------------------------------------------------------- locks


@contextmanager
def study_lock(storage: RDBStorage, name: str) -> Iterator[None]:
    """Only one launcher is inside for `name`, such as a study's; the others wait.

    A dead launcher holds nothing. Where a connection to PostgreSQL drops inside, the next launcher
    may come in early. `requeue_dead` takes a study's lock itself: called inside, it would wait for
    ever.
    """
    with _held(with_retries(storage, lambda: _lock(storage.engine, name))):
        yield


@contextmanager
def _held(lock: ExitStack) -> Iterator[None]:
    try:
        yield
    finally:
        # a dropped connection has released it already
        with suppress(DBAPIError):
            lock.close()


def _lock(engine: sqlalchemy.Engine, name: str) -> ExitStack:
    digest = hashlib.sha256(name.encode()).digest()
    with ExitStack() as held:
        if engine.url.drivername == "sqlite":
            folder = Path(f"{engine.url.database}.locks") / digest.hex()[:16]
            held.enter_context(folder_lock(folder))
        else:
            # its transaction holds the lock: whatever ends that, a dropped connection too,
            # releases it
            connection = held.enter_context(engine.connect())
            key = int.from_bytes(digest[:8], "big", signed=True)
            connection.execute(_ADVISORY_LOCK, {"key": key})
        return held.pop_all()
