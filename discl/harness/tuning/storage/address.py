"""The address of the database of studies: SQLite or PostgreSQL, never shown with its password."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from discl.core.errors import UserError
from discl.files.disk import clear_disk_errors, home

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_SECRETS = {"password", "sslpassword"}


def default_url() -> str:
    """$DISCL_STUDIES, else a SQLite file in $DISCL_HOME."""
    if url := os.environ.get("DISCL_STUDIES"):
        return url
    return shown(URL.create("sqlite", database=str(_own_folder() / "studies.db")))


def make_own_folder(address: URL) -> None:
    """Make the folder of the SQLite file in $DISCL_HOME, where the address is that of it."""
    folder = _own_folder()
    if address.drivername == "sqlite" and Path(address.database or "").parent == folder:
        with clear_disk_errors("keeping studies", folder):
            folder.mkdir(parents=True, exist_ok=True)


def _own_folder() -> Path:
    return (home() / "studies").absolute()


def redacted(url: str) -> str:
    """The address without its password; a fixed phrase where it cannot be read."""
    try:
        return shown(make_url(url))
    except (ArgumentError, ValueError):
        return "(an address that cannot be read)"


def shown(address: URL) -> str:
    """An address as messages show it: passwords are starred."""
    hidden = dict.fromkeys(_SECRETS & set(address.query), "***")
    text: str = address.update_query_dict(hidden).render_as_string(hide_password=True)
    return text


def parse_address(url: str) -> URL:
    """The address with the driver we use; raises UserError where it names no database of ours."""
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
    return _with_absolute_path(address) if address.drivername == "sqlite" else address


def _with_absolute_path(address: URL) -> URL:
    database = address.database or ""
    if address.host or database in ("", ":memory:") or database.startswith("file:"):
        raise UserError(
            f"{shown(address)} names no file that keeps studies; write sqlite:////folder/studies.db"
        )
    path = Path(database).expanduser().absolute()
    if not path.parent.is_dir() and path.parent != _own_folder():  # that is made when it is used
        raise UserError(
            f"{path.parent} is no folder, so no studies can be kept in {path}; make it or name"
            " another one"
        )
    return address.set(database=str(path))
