"""The store of runs: `runs/<id>/<attempt>/`.

Nothing is overwritten, and only a complete run counts as the result of its id.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from discl.config.identity import SCHEMA
from discl.core.conventions import VAL
from discl.core.errors import DiskError, UserError
from discl.core.plain_files import append_line, open_file, parsed_json, plain_bytes, plain_text
from discl.core.renamed_splits import are_old, renamed, splits_of
from discl.core.result import WAY_OUT, Result
from discl.core.seals import damaged, opened_line, sealed_line
from discl.files.disk import clear_disk_errors, home, write_text
from discl.files.disks.leftovers import collect
from discl.files.sealed import load_archive, save_archive
from discl.harness.run.validation import read_result


def _is_of_0_1(record: Path) -> bool:
    try:
        return bool(parsed_json(plain_bytes(record))["identity"]["schema"] == 1)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _bank_of(run: Path) -> str | None:
    """The bank of the last attempt that says which one it uses."""
    for record in sorted(run.glob("*/experiment.json"), reverse=True):
        try:
            bank = parsed_json(plain_bytes(record))["bank"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        return str(bank or "none")
    return None


class BusyError(Exception):
    """Another process makes this run."""


FAILURES = "failures.jsonl"


@dataclass(frozen=True)
class Failure:
    """An attempt that did not complete."""

    # "error": it raised; "lost": its workers died; "stopped": a pruner stopped it; "disk": full
    kind: str
    why: str  # a sentence
    details: str = ""  # the traceback, where there is one
    peak_bytes: int | None = None  # of the process, where it is known
    date: str = ""


class Store:
    """Runs under one root.

    A run's folder is complete when it holds result.json, which is written last.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or home() / "runs"
        self._version_known = False

    def find(self, id: str) -> Result | None:
        """The result of the latest complete attempt; None where there is none.

        Raises UserError where the result cannot be read, and where runs of discl 0.1 lie here.
        """
        self.check_version()
        complete = self._last_complete(self.root / id)
        if complete is None:
            return None
        result = read_result(complete)
        if result.id != id:
            raise damaged(complete, f"is the result of run {result.id!r}", WAY_OUT)
        return result

    @staticmethod
    def _last_complete(run: Path) -> Path | None:
        """The result file of the last attempt that has one."""
        try:
            attempts = sorted(os.listdir(run), reverse=True)
        except OSError:
            return None
        files = (f"{run}/{attempt}/result.json" for attempt in attempts)
        return next((Path(file) for file in files if os.path.exists(file)), None)

    def mark_migrated(self) -> None:
        """Note that no run of discl 0.1 is to be looked for here."""
        if self.root.is_dir():
            write_text(self._version_file, f"{SCHEMA}\n")

    @property
    def _version_file(self) -> Path:
        return self.root.with_name(f"{self.root.name}.version")

    def check_version(self) -> None:
        """Raises UserError where runs of discl 0.1 lie here.

        They have other ids, so they would not be found, and all be trained again.
        """
        if self._version_known:
            return
        if self.root.is_dir() and not self._version_file.exists():
            if any(map(_is_of_0_1, self.root.glob("*/*/experiment.json"))):
                raise UserError(
                    f"{self.root} holds runs of discl 0.1; `discl migrate` gives them the keys and"
                    " ids of this version"
                )
            with suppress(DiskError):  # a store may be read-only
                self.mark_migrated()
        self._version_known = True

    def folder(self, result: Result) -> Path:
        """The folder of a result's attempt."""
        return self.root / result.id / f"{result.attempt:03d}"

    def new_attempt(self, id: str) -> tuple[int, Path]:
        """Number and new folder of the next attempt; what killed ones left unfinished goes."""
        with clear_disk_errors("starting a run", self.root):
            (self.root / id).mkdir(parents=True, exist_ok=True)
            attempts = list((self.root / id).glob("[0-9]*"))
            for attempt in attempts:
                collect(attempt)
            number = len(attempts)
            while True:
                folder = self.root / id / f"{number:03d}"
                try:
                    folder.mkdir()
                    return number, folder
                except FileExistsError:
                    number += 1

    @contextmanager
    def claimed(
        self, id: str, wait: bool = True, waiting: Callable[[int], None] = lambda _: None
    ) -> Iterator[None]:
        """No other process with this store makes the run until the block ends.

        Where one does, it is waited for; without `wait`, raises BusyError. `waiting` is called with
        0 before a wait and with 1 after it. The lock is one of the operating system, so a process
        that dies holds nothing.
        """
        with clear_disk_errors("claiming a run", self.root):
            (self.root / id).mkdir(parents=True, exist_ok=True)
            lock = open_file(self.root / id / ".claim", "w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if not wait:
                    raise BusyError(id) from error
                waiting(0)
                fcntl.flock(lock, fcntl.LOCK_EX)
                waiting(1)
            yield

    def being_made(self, id: str) -> bool:
        """Whether a process makes the run now."""
        try:
            with open_file(self.root / id / ".claim", "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """A sweep with this store is under way until the block ends, or the process dies."""
        with clear_disk_errors("starting a sweep", self.root):
            self.root.parent.mkdir(parents=True, exist_ok=True)
            lock = open_file(self._sweeps_file, "ab")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    def is_swept(self) -> bool:
        """Whether a sweep is under way."""
        try:
            with open_file(self._sweeps_file, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def _sweeps_file(self) -> Path:
        return self.root.with_name(f"{self.root.name}.sweeps")

    def unfinished(self) -> Iterator[tuple[str, str | None]]:
        """(id, bank) of each run without a result that a process makes, or can go on with.

        The bank is None where it is not known: where the run has not come to train yet.
        """
        for folder in sorted(self.root.glob("*")):
            if self.being_made(folder.name) or (
                any(self.checkpoints(folder.name).glob("*"))
                and not any(folder.glob("*/result.json"))
            ):
                yield folder.name, _bank_of(folder)

    def note(self, id: str, failure: Failure) -> None:
        """Append a failed attempt to those of the run."""
        with clear_disk_errors("recording a failure", self.root):
            (self.root / id).mkdir(parents=True, exist_ok=True)
            dated = asdict(failure) | {"date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
            append_line(self.root / id / FAILURES, sealed_line(dated))

    def failures(self, id: str) -> list[Failure]:
        """The failed attempts, oldest first; a line that was cut off by a kill is left out.

        So is a damaged one, which `discl verify` tells: failures are shown, and decide nothing.
        """
        path = self.root / id / FAILURES
        failures = []
        for line in plain_text(path, errors="replace").split("\n") if path.exists() else []:
            try:
                failures.append(Failure(**(opened_line(line) or {})))
            except (ValueError, TypeError):
                continue
        return failures

    def checkpoints(self, id: str) -> Path:
        """The folder of the checkpoints that the next attempt goes on from."""
        return self.root / id / "checkpoints"

    def save_predictions(
        self, folder: Path, predictions: Mapping[str, Any], file: str = VAL.predictions
    ) -> None:
        """Write predictions.npz: `<split>/logits`, `<split>/labels`, `<split>/ids`, no pickles.

        Or another `file`, see `discl.core.conventions.EpochRule`.
        """
        save_archive(folder / file, predictions, _name_of(folder, file))

    def predictions(self, folder: Path, file: str = VAL.predictions) -> dict[str, Any]:
        """The arrays that `save_predictions` wrote, under the splits' names of this version.

        Raises UserError for a damaged file.
        """
        arrays = load_archive(
            folder / file,
            "`discl verify` sets it aside; the numbers of the run's result do not need it",
            _name_of(folder, file),
        )
        return renamed(arrays) if are_old(splits_of(arrays)) else arrays

    def finish(self, folder: Path, result: Result) -> None:
        """Write result.json, which makes the run complete."""
        write_text(folder / "result.json", result.to_json())

    def complete(self, set_aside: Callable[[UserError], object] | None = None) -> Iterator[Result]:
        """The latest complete result of every experiment.

        Raises UserError where one cannot be read; with `set_aside`, that gets the error, and all
        the others come.
        """
        self.check_version()
        for folder in sorted(self.root.glob("*")):
            try:
                result = self.find(folder.name)
            except UserError as error:
                if set_aside is None:
                    raise
                set_aside(error)
                continue
            if result:
                yield result


def _name_of(folder: Path, file: str) -> str:
    """What the predictions in the folder of an attempt are."""
    return f"{folder.parent.name} {Path(file).stem.replace('_', ' ')}"
