"""A real PostgreSQL on loopback, started for the first test that asks for one."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest


class Postgres:
    """A server of its own, with a folder, a port and a password of its own; `url` is a database on
    it.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder = programs, folder
        self.port = _free_port()
        self.password = f"p@ss/{secrets.token_hex(8)}"
        self._server: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root
        self._as_nobody: dict[str, Any] = (
            {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        )
        self._make()

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        if self._as_nobody:
            for path in (self.folder, secret):
                shutil.chown(path, "nobody", "nogroup")
        asked = [
            "--username=discl",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        command = [self.programs / "initdb", f"--pgdata={self.folder / 'data'}", *asked]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self._as_nobody
        )

    def url(self, database: str = "postgres") -> str:
        quoted = self.password.replace("@", "%40").replace("/", "%2F")
        return f"postgresql://discl:{quoted}@127.0.0.1:{self.port}/{database}"

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url(), autocommit=True, connect_timeout=5)

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"studies_{secrets.token_hex(4)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def drop_connections(self) -> int:
        """Kill every connection but the one that does it; how many there were."""
        with self.connect() as connection:
            killed = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <>"
                " pg_backend_pid() AND backend_type = 'client backend'"
            )
            return len(killed.fetchall())

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": 50,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._as_nobody,
            )
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while True:
            try:
                return self.connect().close()
            except psycopg.OperationalError:
                assert self._server is not None
                if self._server.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.05)

    def running(self) -> bool:
        return self._server is not None

    def stop(self) -> None:
        """Stop it as an administrator would who does not wait for clients."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(60)
            self._server = None


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _programs() -> Path | None:
    """Where initdb and postgres lie: Debian keeps them out of PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    return next(
        (
            folder
            for folder in folders
            if (folder / "initdb").exists() and (folder / "postgres").exists()
        ),
        None,
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    programs = _programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's server: apt-get install postgresql")
    # not in pytest's folder, which is root's alone
    with tempfile.TemporaryDirectory(prefix="discl-postgres-") as folder:
        server = Postgres(programs, Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
