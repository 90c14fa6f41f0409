"""Progress of a run: written to a file by its worker, read by the launcher."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from discl.config.experiment import Experiment
from discl.core.interfaces import EpochReport
from discl.core.plain_files import parsed_json, plain_text
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker


@contextmanager
def noting_status(
    store: Store, experiment: Experiment, tracker: CompositeTracker
) -> Iterator[CompositeTracker]:
    """`tracker` with one more that notes how far the run is; the note goes with the block."""
    note = _StatusNote(_path(store, experiment))
    try:
        yield CompositeTracker([*tracker.trackers, note])
    finally:
        with suppress(OSError):
            note.path.unlink()


def status(experiment: Experiment) -> tuple[str, int, int] | None:
    """(what is being done, done, of how many) of a run under way; None where nothing is noted."""
    try:
        what, done, total = parsed_json(plain_text(_path(Store(), experiment)))
        return str(what), int(done), int(total)
    except (OSError, ValueError):
        return None


def _path(store: Store, experiment: Experiment) -> Path:
    return store.root / experiment.id() / ".status"


class _StatusNote:
    """A tracker that writes how far a run is, once a second at most."""

    version = 1

    def __init__(self, path: Path) -> None:
        self.path = path
        self.epochs = 0
        self.written = 0.0

    def start(self, run: Mapping[str, Any]) -> None:
        self.epochs = run["epochs"]

    def progress(self, what: str, done: int, total: int) -> None:
        if time.monotonic() - self.written > 1.0:
            self.written = time.monotonic()
            with suppress(OSError):  # it is only shown
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.write_text(json.dumps([what, done, total]), "utf-8")

    def report(self, report: EpochReport) -> None:
        self.progress("training", report.epoch + 1, self.epochs)

    def finish(self, summary: Mapping[str, float] | None) -> None:
        return None
