"""Errors of the databases as sentences, and which of them may pass by themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from discl.core.errors import UserError
from discl.harness.tuning.storage.address import shown

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
# connection lost, server stopping or starting, serialisation failure, deadlock, too many
# connections
_TRANSIENT_STATES = ("08", "57P", "40001", "40P01", "53300")


@contextmanager
def user_errors(address: URL) -> Iterator[None]:
    """Errors of the database inside are raised as UserError."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise user_error(error, address) from error
    except OSError as error:
        raise UserError(
            f"{shown(address)} cannot be made or locked ({error.strerror}); name a file in a"
            " folder you may write"
        ) from error
    except RuntimeError as error:
        # Optuna's error for tables of another version of its own
        raise UserError(f"{shown(address)}: {error}") from error


def user_error(error: BaseException, address: URL) -> UserError:
    """The cause and the way out, as far as the driver says them."""
    cause = _driver_error(error)
    reason = (
        _sqlite_reason(cause)
        or _postgresql_reason(cause)
        or f"the database says: {reason_of(error)}"
    )
    return UserError(f"{shown(address)}: {reason}")


def reason_of(error: BaseException) -> str:
    """The first line of what the driver says."""
    return str(_driver_error(error)).strip().partition("\n")[0]


def is_transient(error: BaseException) -> bool:
    """Whether the same operation may succeed later."""
    for cause in _causes(error):
        if isinstance(cause, DBAPIError) and cause.connection_invalidated:
            return True
    cause = _driver_error(error)
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    if cause is error:
        return False
    # where there is no connection there is no state either
    state = getattr(cause, "sqlstate", None)
    return state is None or state.startswith(_TRANSIENT_STATES)


def _sqlite_code(cause: BaseException) -> int:
    """The low byte is the plain code; the rest is a finer one."""
    return int(getattr(cause, "sqlite_errorcode", 0)) & 0xFF


def _sqlite_reason(cause: BaseException) -> str | None:
    return _SQLITE_SENTENCES.get(_sqlite_code(cause))


def _postgresql_reason(cause: BaseException) -> str | None:
    if reason := _POSTGRESQL_STATES.get(getattr(cause, "sqlstate", None) or ""):
        return reason
    # a refused connection has no state, only a message
    for words, reason in _POSTGRESQL_SENTENCES.items():
        if words in str(cause):
            return reason
    return None


def _driver_error(error: BaseException) -> BaseException:
    for cause in _causes(error):
        if isinstance(cause, DBAPIError) and cause.orig is not None:
            original: BaseException = cause.orig
            return original
    return error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
