"""The runs of a store at a glance, whatever became of them."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from discl.core.errors import UserError
from discl.core.result import Result
from discl.harness.leaderboard import columns
from discl.harness.run import events
from discl.harness.run.store import Failure, Store
from discl.harness.run.validation import checked

COMPLETE, RUNNING, STOPPED, GIVEN_UP, FAILED, UNREADABLE = STATES = (
    "complete",
    "running",
    "stopped",
    "given up",
    "failed",
    "unreadable",
)
BAD = (FAILED, UNREADABLE)  # those a person should look at
_TAIL = 4096
_DATE = re.compile(rb'"date": "(\d{4}-\d\d-\d\dT[\d:]{8}Z)"')
_REPLACED, _JOINS = (
    "\N{REPLACEMENT CHARACTER}",
    " \N{ZERO WIDTH JOINER}",
)  # the latter makes one picture of several emoji


class Main(NamedTuple):
    """A metric that a board would show of a run."""

    metric: str
    value: float


@dataclass(frozen=True)
class Run:
    """What the store knows of one run; words that are not known are empty."""

    id: str
    folder: Path  # with its attempts
    state: str  # one of STATES
    why: str = (
        ""  # of what is not complete: how far it came, why it failed, what is wrong with its file
    )
    name: str = ""
    benchmark: str = ""
    scale: str = ""
    strategy: str = ""
    seed: int | None = None
    when: str = (
        ""  # the end of a complete run, the last sign of life of another; UTC, to the second
    )
    result: Result | None = None
    attempts: tuple[Path, ...] = ()  # oldest first
    failures: tuple[Failure, ...] = field(default=(), repr=False)

    @cached_property
    def main(self) -> dict[str, Main]:
        """Title -> metric, as a board would show them where there is little room."""
        if self.result is None:
            return {}
        try:
            titles = columns.of([self.result]).titles
        except (
            UserError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
        ):  # other metrics, or a file of another version
            return {}
        return {
            title: Main(name, self.result.metrics[name])
            for name, title in titles.items()
            if title in columns.BRIEF
        }

    @property
    def minutes(self) -> float | None:
        return None if self.result is None else self.result.cost.get("seconds", math.nan) / 60

    @property
    def commit(self) -> str:
        return "" if self.result is None else str(self.result.provenance.get("commit", ""))


def legible(text: str, most: int = 0) -> str:
    """`text` on one line of a terminal: what would move the cursor or turn the writing around is
    replaced, what is too long is cut.
    """
    safe = "".join(each if each.isprintable() or each in _JOINS else _REPLACED for each in text)
    return safe if not most or len(safe) <= most else f"{safe[: most - 1]}…"


# ---------------------------------------------------------------- reading


def every(store: Store) -> list[Run]:
    """All runs there are, newest first."""
    return list(newest(store))


def newest(store: Store) -> Iterator[Run]:
    """All runs, newest first; each is read when its turn comes.

    A damaged file makes its run unreadable and no other.
    """
    for begun in sorted(
        filter(None, map(_begun, _folders(store))),
        key=lambda begun: (begun.when, begun.folder.name),
        reverse=True,
    ):
        yield _read(store, begun)


def ids(store: Store) -> list[str]:
    """Names of the folders, in their order."""
    return [folder.name for folder in _folders(store)]


def count(store: Store) -> int:
    """How many runs there are."""
    return sum(_begun(folder) is not None for folder in _folders(store))


def read(store: Store, folder: Path) -> Run | None:
    """A run from its folder; None where nobody has begun one."""
    begun = _begun(folder)
    return _read(store, begun) if begun else None


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


class _Begun(NamedTuple):
    """What a look at a folder tells, without reading what lies in it."""

    folder: Path
    when: str
    attempts: tuple[Path, ...]  # oldest first
    result: Path | None  # the one that counts
    problem: str = ""


def _begun(folder: Path) -> _Begun | None:
    try:
        inside = sorted(os.listdir(folder))
    except FileNotFoundError:  # removed meanwhile
        return None
    except OSError as error:
        return _Begun(folder, "", (), None, f"{folder} cannot be read ({error.strerror})")
    attempts = tuple(folder / name for name in inside if name.isdecimal())
    result = next(
        (path for attempt in reversed(attempts) if (path := attempt / "result.json").exists()), None
    )
    if result:
        return _Begun(folder, _dated(result) or _changed(result), attempts, result)
    if not (attempts or "failures.jsonl" in inside or Store(folder.parent).being_made(folder.name)):
        return None
    signs = [
        *(attempt / events.NAME for attempt in attempts[-1:]),
        *attempts[-1:],
        folder / "failures.jsonl",
        folder,
    ]
    return _Begun(
        folder, next((date for path in signs if (date := _changed(path))), ""), attempts, None
    )


def _dated(result: Path) -> str:
    """The date a result says it was made, from the end of its file: reading it whole takes a
    hundred times as long.
    """
    try:
        with result.open("rb") as opened:
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - _TAIL))
            found = _DATE.findall(opened.read())
    except OSError:
        return ""
    return found[-1].decode() if found else ""


def _read(store: Store, begun: _Begun) -> Run:
    problem = begun.problem
    try:
        if not problem:
            failures = tuple(store.failures(begun.folder.name))
            return (
                _complete(begun, begun.result, failures)
                if begun.result
                else _unfinished(begun, failures)
            )
    except OSError as error:
        problem = f"{error.filename or begun.folder} cannot be read ({error.strerror})"
    return Run(
        begun.folder.name,
        begun.folder,
        UNREADABLE,
        problem,
        when=begun.when,
        attempts=begun.attempts,
    )


def _complete(begun: _Begun, path: Path, failures: tuple[Failure, ...]) -> Run:
    folder = begun.folder
    found = checked(path, begun.folder.name)
    place: dict[str, Any] = {"when": begun.when, "attempts": begun.attempts, "failures": failures}
    if isinstance(found, str):
        return Run(
            folder.name,
            folder,
            UNREADABLE,
            f"{path}: {found}",
            **_said_at_start(begun.attempts[-1]),
            **place,
        )
    words = {
        name: getattr(found, name) for name in ("name", "benchmark", "scale", "strategy", "seed")
    }
    return Run(folder.name, folder, COMPLETE, **words, **place, result=found)


def _unfinished(begun: _Begun, failures: tuple[Failure, ...]) -> Run:
    folder = begun.folder
    last = begun.attempts[-1:]
    far = progress(last[0]) if last else "before its first epoch"
    state, why = STOPPED, far
    if failures:
        state = GIVEN_UP if failures[-1].kind == "stopped" else FAILED
        why = str(failures[-1].why)
    if Store(folder.parent).being_made(folder.name):
        state, why = RUNNING, far
    known = _said_at_start(last[0]) if last else {}
    return Run(
        folder.name,
        folder,
        state,
        why,
        **known,
        when=begun.when,
        attempts=begun.attempts,
        failures=failures,
    )


def progress(attempt: Path) -> str:
    """'epoch 12 of 30', as far as the record tells."""
    done = 0
    planned = None
    for event in events.events(attempt):
        planned = event.get("epochs", planned) if event.get("event") == "start" else planned
        done += event.get("event") == "epoch"
    return f"epoch {done} of {planned}" if isinstance(planned, int) else f"epoch {done}"


def _said_at_start(attempt: Path) -> dict[str, Any]:
    """Name, benchmark, scale, strategy and seed from what an attempt began with."""
    config = description(attempt).get("config")
    if not isinstance(config, Mapping):
        return {}
    words = {"benchmark": "name", "scale": "scale", "strategy": "strategy"}
    known: dict[str, Any] = {word: str(config.get(key, "")) for word, key in words.items()}
    seed = config.get("seed")
    start = next(events.events(attempt), {})
    return {
        **known,
        "seed": seed if isinstance(seed, int) else None,
        "name": str(start.get("name", "")),
    }


def description(attempt: Path) -> dict[str, Any]:
    """`identity` and `config` of an attempt; empty where its file is gone or damaged."""
    try:
        said = json.loads((attempt / "experiment.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _changed(path: Path) -> str:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OSError:
        return ""
