"""The runs of a store at a glance, complete or not."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from discl.core.errors import UserError
from discl.core.plain_files import open_file
from discl.core.result import Result
from discl.core.seals import DamagedFileError, read_sealed
from discl.harness.leaderboard import columns
from discl.harness.run import events
from discl.harness.run.store import Failure, Store
from discl.harness.run.validation import validated

COMPLETE = "complete"
RUNNING = "running"
STOPPED = "stopped"
GIVEN_UP = "given up"
FAILED = "failed"
UNREADABLE = "unreadable"
STATES = (COMPLETE, RUNNING, STOPPED, GIVEN_UP, FAILED, UNREADABLE)
BAD_STATES = (FAILED, UNREADABLE)  # `discl runs ls --failed` lists them
_TAIL_BYTES = 4096
_DATE = re.compile(rb'"date": "(\d{4}-\d\d-\d\dT[\d:]{8}Z)"')


class BoardMetric(NamedTuple):
    """A metric that a board shows."""

    metric: str
    value: float


@dataclass(frozen=True)
class StoredRun:
    """A run as the store knows it; unknown texts are empty."""

    id: str
    folder: Path  # with its attempts
    state: str  # one of STATES
    # of a run that is not complete: its progress, why it failed, or what is wrong with its file
    why: str = ""
    name: str = ""
    benchmark: str = ""
    scale: str = ""
    strategy: str = ""
    seed: int | None = None
    # when a complete run ended, when another last wrote to its files; UTC, to the second
    when: str = ""
    result: Result | None = None
    attempts: tuple[Path, ...] = ()  # oldest first
    failures: tuple[Failure, ...] = field(default=(), repr=False)
    # of runs that are listed together: what titles follow from -> titles, of those that were asked
    known_titles: dict[str, dict[str, str]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def board_metrics(self) -> dict[str, BoardMetric]:
        """Title -> metric, for the columns that a narrow board shows."""
        if self.result is None:
            return {}
        key = _decides_titles(self.result)
        try:
            if key not in self.known_titles:
                self.known_titles[key] = columns.of([self.result]).titles
            titles = self.known_titles[key]
        except (UserError, ValueError, TypeError, KeyError, AttributeError):
            return {}  # other metrics, or a file of another version
        return {
            title: BoardMetric(name, self.result.metrics[name])
            for name, title in titles.items()
            if title in columns.BRIEF
        }

    @property
    def minutes(self) -> float | None:
        return None if self.result is None else self.result.cost.get("seconds", math.nan) / 60

    @property
    def commit(self) -> str:
        return "" if self.result is None else str(self.result.provenance.get("commit", ""))


def _decides_titles(result: Result) -> str:
    """All that the titles of columns follow from, as text: most runs have it in common."""
    settings = [result.identity.get(key) for key in ("metrics", "metric", "select", "backbone")]
    return json.dumps([settings, result.plugins, [*result.metrics], [*result.confusion_counts]])


# ---------------------------------------------------------------- reading


class RunListing:
    """The runs in a store as they are now; what lies there is looked up once."""

    def __init__(self, store: Store) -> None:
        self.root = store.root
        self._store = store
        self._paths = _folders(store)

    @property
    def ids(self) -> list[str]:
        """Names of the run folders, sorted."""
        return [path.name for path in self._paths]

    @cached_property
    def _runs(self) -> list[_RunFolder]:
        return [folder for folder in map(_run_folder, self._paths) if folder]

    def __len__(self) -> int:
        return len(self._runs)

    def newest_first(self) -> Iterator[StoredRun]:
        """All runs, newest first; each is read when it is asked for.

        A damaged file makes its own run unreadable and no other.
        """
        known = dict[str, dict[str, str]]()
        for folder in sorted(self._runs, key=lambda run: (run.when, run.path.name), reverse=True):
            yield replace(_read(self._store, folder), known_titles=known)


def read_run(store: Store, folder: Path) -> StoredRun | None:
    """A run from its folder; None where no run was started there."""
    run_folder = _run_folder(folder)
    return _read(store, run_folder) if run_folder else None


def _folders(store: Store) -> list[Path]:
    try:
        with os.scandir(store.root) as entries:
            return sorted(Path(entry) for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(
            f"{store.root} cannot be read ({error.strerror}); point DISCL_HOME at a folder you may"
            " read"
        ) from error


class _RunFolder(NamedTuple):
    """A run folder as its file names and dates describe it; no file was read whole."""

    path: Path
    when: str
    attempts: tuple[Path, ...]  # oldest first
    result: Path | None  # of the latest complete attempt
    problem: str = ""


def _run_folder(path: Path) -> _RunFolder | None:
    """None where no run was started in the folder."""
    try:
        names = sorted(os.listdir(path))
    except FileNotFoundError:  # removed meanwhile
        return None
    except OSError as error:
        return _RunFolder(path, "", (), None, f"{path} cannot be read ({error.strerror})")
    attempts = tuple(path / name for name in names if name.isdecimal())
    for attempt in reversed(attempts):
        file = f"{attempt}/result.json"
        if os.path.exists(file):
            result = Path(file)
            return _RunFolder(path, _result_date(file) or _modified(result), attempts, result)
    if not (attempts or "failures.jsonl" in names or Store(path.parent).being_made(path.name)):
        return None
    last = attempts[-1:]
    candidates = [*(attempt / events.NAME for attempt in last), *last]
    candidates += [path / "failures.jsonl", path]
    dates = [_modified(file) for file in candidates]
    return _RunFolder(path, next(filter(None, dates), ""), attempts, None)


def _result_date(file: str) -> str:
    """The date in a result file, read from its end: reading it whole takes far longer."""
    try:
        with open_file(file, "rb") as opened:  # which waits for no pipe
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - _TAIL_BYTES))
            dates = _DATE.findall(opened.read())
    except OSError:
        return ""
    return dates[-1].decode() if dates else ""


def _read(store: Store, folder: _RunFolder) -> StoredRun:
    problem = folder.problem
    try:
        if not problem:
            failures = tuple(store.failures(folder.path.name))
            if folder.result:
                return _complete(folder, folder.result, failures)
            return _incomplete(folder, failures)
    except DamagedFileError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename or folder.path} cannot be read ({error.strerror})"
    return StoredRun(
        folder.path.name,
        folder.path,
        UNREADABLE,
        problem,
        when=folder.when,
        attempts=folder.attempts,
    )


def _complete(folder: _RunFolder, path: Path, failures: tuple[Failure, ...]) -> StoredRun:
    result = validated(path, folder.path.name)
    if isinstance(result, str):
        return StoredRun(
            folder.path.name,
            folder.path,
            UNREADABLE,
            f"{path}: {result}",
            **_start_words(folder.attempts[-1]),
            when=folder.when,
            attempts=folder.attempts,
            failures=failures,
        )
    return StoredRun(
        folder.path.name,
        folder.path,
        COMPLETE,
        name=result.name,
        benchmark=result.benchmark,
        scale=result.scale,
        strategy=result.strategy,
        seed=result.seed,
        when=folder.when,
        result=result,
        attempts=folder.attempts,
        failures=failures,
    )


def _incomplete(folder: _RunFolder, failures: tuple[Failure, ...]) -> StoredRun:
    last = folder.attempts[-1] if folder.attempts else None
    progress = progress_text(last) if last else "before its first epoch"
    state = STOPPED
    why = progress
    if failures:
        state = GIVEN_UP if failures[-1].kind == "stopped" else FAILED
        why = str(failures[-1].why)
    if Store(folder.path.parent).being_made(folder.path.name):
        state = RUNNING
        why = progress
    return StoredRun(
        folder.path.name,
        folder.path,
        state,
        why,
        **(_start_words(last) if last else {}),
        when=folder.when,
        attempts=folder.attempts,
        failures=failures,
    )


def progress_text(attempt: Path) -> str:
    """'epoch 12 of 30', as far as the record of an attempt goes."""
    done = 0
    planned = None
    for event in events.events(attempt):
        planned = event.get("epochs", planned) if event.get("event") == "start" else planned
        done += event.get("event") == "epoch"
    return f"epoch {done} of {planned}" if isinstance(planned, int) else f"epoch {done}"


def _start_words(attempt: Path) -> dict[str, Any]:
    """Name, benchmark, scale, strategy and seed, from the files an attempt starts with."""
    config = experiment_file(attempt).get("config")
    if not isinstance(config, Mapping):
        return {}
    seed = config.get("seed")
    try:
        start = next(events.events(attempt), {})
    except DamagedFileError:
        start = {}
    return {
        "benchmark": str(config.get("name", "")),
        "scale": str(config.get("scale", "")),
        "strategy": str(config.get("strategy", "")),
        "seed": seed if isinstance(seed, int) else None,
        "name": str(start.get("name", "")),
    }


def experiment_file(attempt: Path) -> dict[str, Any]:
    """`identity` and `config` of an attempt; empty where the file is missing or damaged."""
    try:
        return read_sealed(attempt / "experiment.json", "")
    except DamagedFileError:
        return {}


def _modified(path: Path) -> str:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OSError:
        return ""
