"""trackio: a local dashboard without account or network; `trackio show` opens it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

from discl.core.dashboard_rows import AXIS, DashboardRows
from discl.core.errors import UserError
from discl.core.interfaces import EpochReport
from discl.core.text import echo, printable
from discl.files.disk import home


class Trackio:
    """Keeps its files in $DISCL_HOME/trackio, unless TRACKIO_DIR says otherwise.

    A run that is resumed stays one run there, and each epoch is logged once.
    """

    version = 1

    def __init__(self) -> None:
        self._run: Any = None
        self._rows = DashboardRows()
        self._logged = set[int]()  # epochs that earlier attempts logged

    def start(self, run: Mapping[str, Any]) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(home().absolute() / "trackio"))
        trackio = _library()
        name = f"{printable(str(run['name']), 100)}-{run['id'][:8]}"
        self._rows = DashboardRows()
        self._logged = _epochs(str(run["project"]), name)
        with redirect_stdout(sys.stderr):  # stdout is for the output of the command
            self._run = trackio.init(
                project=str(run["project"]),
                name=name,
                group=str(run["group"]),
                config=dict(run["config"]),
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def progress(self, what: str, done: int, total: int) -> None:
        return None

    def report(self, report: EpochReport) -> None:
        row = self._rows.of(report)
        if self._run and report.epoch not in self._logged:
            try:
                self._run.log(row, step=report.epoch)
            except Exception as error:  # a failing tracker must not stop the run
                self._run = None
                echo(
                    f"trackio: {type(error).__name__}: {error}; the run goes on without it",
                    err=True,
                )

    def finish(self, summary: Mapping[str, float] | None) -> None:
        if self._run:
            with redirect_stdout(sys.stderr):
                _library().finish()
            self._run = None


def _library() -> Any:
    try:
        import trackio
    except ImportError as error:
        raise UserError(
            "the tracker 'trackio' needs trackio; install it with: pip install 'discl[trackio]'"
        ) from error
    return trackio


def _epochs(project: str, name: str) -> set[int]:
    """The epochs that are logged for a run."""
    from trackio.sqlite_storage import SQLiteStorage

    return {int(row[AXIS]) for row in SQLiteStorage.get_logs(project, name) if AXIS in row}
