"""Sends W&B what it lacks of the runs in the store.

W&B says what it has, so a second time sends nothing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.interfaces import Progress
from discl.harness.run import events
from discl.harness.run.store import Store
from discl.harness.wandb.client import ONLINE, Access, Held, UnreachableError, access, held, whoami
from discl.harness.wandb.run import mirror, tell_bank, used_bank
from discl.harness.wandb.sent_log import Note, notes
from discl.harness.wandb.session import Place

FAILURES_IN_A_ROW = 3  # then it is hardly the runs


@dataclass(frozen=True)
class Local:
    """A run of the store, by the attempt that tells most of it."""

    id: str
    folder: Path
    rows: int
    complete: bool
    start: dict[str, Any]

    @property
    def project(self) -> str:
        return str(self.start.get("project", "discl"))

    def fits(self, benchmark: str | None, scale: str | None) -> bool:
        config = self.start.get("config") or {}
        return benchmark in (None, config.get("name")) and scale in (None, config.get("scale"))


@dataclass(frozen=True)
class Synced:
    """What a sync came to."""

    there: int  # were there already
    sent: int
    busy: int  # are being made, or mirrored by another process
    troubles: list[str]  # a sentence for each run that is not there whole


def local_runs(store: Store, ids: Sequence[str] = ()) -> Iterator[Local]:
    """Every run of the store (or these), oldest folder name first."""
    for id in ids:
        if not (store.root / id).is_dir():
            raise UserError(f"no run {id!r} in {store.root}; `discl runs ls` lists what there is")
    for folder in [store.root / id for id in ids] or sorted(store.root.glob("*")):
        if found := _told_most(folder):
            yield found


def _told_most(folder: Path) -> Local | None:
    """The latest complete attempt, else the one that got farthest: each tells again what was before
    it.
    """
    attempts = sorted(folder.glob("[0-9]*"))
    for attempt in reversed(attempts):
        if (attempt / "result.json").exists():
            attempts = [attempt]
            break
    found: Local | None = None
    for attempt in attempts:
        start, rows = _counted(attempt)
        if start and (found is None or rows >= found.rows):
            found = Local(folder.name, attempt, rows, (attempt / "result.json").exists(), start)
    return found


def _counted(attempt: Path) -> tuple[dict[str, Any] | None, int]:
    """The start event, and how many epochs follow; epochs are counted without being parsed."""
    try:
        lines = (attempt / events.NAME).read_bytes().split(b"\n")[:-1]
    except OSError:
        return None, 0
    if not lines:
        return None, 0
    try:
        start = json.loads(lines[0])
    except ValueError:
        return None, 0
    epochs = sum(line.startswith(b'{"event": "epoch"') for line in lines)
    return (
        (start, epochs) if isinstance(start, dict) and start.get("event") == "start" else (None, 0)
    )


def studies(store: Store, benchmark: str) -> list[str]:
    """Groups that runs of a benchmark were made for, beside its own."""
    groups = {
        str(run.start.get("group"))
        for run in local_runs(store)
        if run.fits(benchmark, None) and run.start.get("job_type") == "tune"
    }
    return sorted(groups)


def online() -> Place:
    """Where runs are sent; a sentence where there is no key, or nobody who takes it.

    Whoever asks for it means it: WANDB_MODE is not asked.
    """
    found: Access = access()
    if not found.key:
        raise UserError(
            f"there is no key for W&B at {found.url}; set WANDB_API_KEY or run `wandb login`"
        )
    found = replace(found, wanted=ONLINE)
    return Place(found, whoami(found))


def sync(store: Store, runs: Iterable[Local], progress: Progress, place: Place) -> Synced:
    """Send what is missing. A run that fails does not stop the others, a server that fails does."""
    by_project: dict[str, list[Local]] = defaultdict(list)
    for run in runs:
        by_project[place.project(run.project)].append(run)
    todo = list[Local]()
    there = 0
    for project, mine in by_project.items():
        known = held(place.access, project, place.entity)
        for run in mine:
            if is_there(run, known.get(run.id), notes(run.folder.parent).get(place.named(project))):
                there += 1
            else:
                todo.append(run)
    sent = 0
    busy = 0
    troubles = list[str]()
    failed = 0
    for done, run in enumerate(todo):
        progress("sending runs to W&B", done, len(todo))
        if store.being_made(run.id):
            busy += 1
            continue
        try:
            arrived = mirror(run.folder, place, lambda: True)
            failed = 0
        except Exception as error:
            why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            troubles.append(f"{run.start.get('name', run.id)} ({run.id}): {why}")
            failed += 1
            if failed == FAILURES_IN_A_ROW or isinstance(error, UnreachableError):
                troubles.append(f"{len(todo) - done - 1} more runs were not tried")
                break
            continue
        if arrived is None:
            busy += 1
        elif arrived.whole:
            sent += 1
        else:
            troubles.append(
                f"{run.start.get('name', run.id)} ({run.id}): {arrived.arrived} of {arrived.rows}"
                " epochs arrived"
            )
    if todo:
        progress("sending runs to W&B", len(todo), len(todo))
    if not troubles:
        _banks(by_project, place)
    return Synced(there, sent, busy, troubles)


def _banks(by_project: Mapping[str, Sequence[Local]], place: Place) -> None:
    """A bank that was not told of with its runs, because the mirror died between the two."""
    for runs in by_project.values():
        seen = set[str]()
        for run in runs:
            if run.complete and (bank := used_bank(run.folder)) and bank not in seen:
                seen.add(bank)
                tell_bank(run.folder, bank, place)


def is_there(run: Local, at_wandb: Held | None, note: Note | None) -> bool:
    """Whether W&B holds all rows, by its own word, and we remember that the rest went with them."""
    if (
        at_wandb is None
        or at_wandb.rows < run.rows
        or (run.complete and at_wandb.state != "finished")
    ):
        return False
    return note is not None and note.attempt == run.folder.name and note.complete == run.complete


# ---------------------------------------------------------------- how things stand


@dataclass(frozen=True)
class Standing:
    """What there is to know of the mirror without asking anybody."""

    url: str
    key_from: str  # "" = there is no key
    wanted: str  # mode, as the environment says
    mode: str  # and as it is
    entity: str | None
    project: str | None
    runs: int
    mirrored: int  # of those, sent whole, as far as remembered here
    waiting: tuple[str, ...]  # ids of the others
    error: str = ""  # what is wrong with the settings, as a sentence


def status(store: Store | None = None) -> Standing:
    """Key, mode and place, and which runs wait to be sent; reads the store and asks no server."""
    store = store or Store()
    try:
        found = access()
        error = ""
    except UserError as wrong:
        found = Access("", None, "", "offline", None, None)
        error = str(wrong)
    runs = 0
    waiting = list[str]()
    for folder in sorted(store.root.glob("*")):
        complete = any(folder.glob("*/result.json"))
        if not complete and not any(folder.glob("[0-9]*/events.jsonl")):
            continue
        runs += 1
        told = [note for where, note in notes(folder).items() if where.startswith(f"{found.url}/")]
        if not any(note.complete or not complete for note in told):
            waiting.append(folder.name)
    return Standing(
        found.url,
        found.key_from,
        found.wanted,
        found.mode,
        found.entity,
        found.project,
        runs,
        runs - len(waiting),
        tuple(waiting),
        error,
    )
