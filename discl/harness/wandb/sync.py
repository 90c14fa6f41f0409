"""Sends W&B what it lacks of the runs in the store; W&B says what it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.interfaces import Progress
from discl.core.plain_files import plain_bytes
from discl.core.seals import opened_line
from discl.harness.run import events
from discl.harness.run.store import Store
from discl.harness.wandb.client import (
    OFFLINE,
    ONLINE,
    ServerRun,
    UnreachableError,
    WandbSettings,
    read_settings,
    server_runs,
    whoami,
)
from discl.harness.wandb.run import upload_bank_of, upload_run, used_bank
from discl.harness.wandb.sent_log import SentRecord, sent_records
from discl.harness.wandb.session import Destination, offline_folder

MAX_FAILURES_IN_A_ROW = 3  # more of them come from the server rather than from the runs


@dataclass(frozen=True)
class LocalRun:
    """A run of the store, by the attempt that is complete or has most epochs."""

    id: str
    folder: Path
    rows: int
    complete: bool
    start: dict[str, Any]

    @property
    def project(self) -> str:
        return str(self.start.get("project", "discl"))

    @property
    def title(self) -> str:
        return f"{self.start.get('name', self.id)} ({self.id})"

    def matches(self, benchmark: str | None, scale: str | None) -> bool:
        config = self.start.get("config") or {}
        return benchmark in (None, config.get("name")) and scale in (None, config.get("scale"))


@dataclass
class SyncResult:
    """How many runs a sync found or sent, and a sentence for each that is not at W&B whole."""

    already_there: int = 0
    sent: int = 0
    busy: int = 0  # running, or being uploaded by another process
    failures: list[str] = field(default_factory=list)


def local_runs(store: Store, ids: Sequence[str] = ()) -> Iterator[LocalRun]:
    """Every run of the store (or these) that has a record, sorted by folder name.

    Raises UserError for an id that is not in the store, and where runs of discl 0.1 lie there.
    """
    store.check_version()
    for id in ids:
        if not (store.root / id).is_dir():
            raise UserError(f"no run {id!r} in {store.root}; `discl runs ls` lists what there is")
    for folder in [store.root / id for id in ids] or sorted(store.root.glob("*")):
        if run := _local_run(folder):
            yield run


def _local_run(folder: Path) -> LocalRun | None:
    """The latest complete attempt, else the one with most epochs: each repeats those before it."""
    attempts = sorted(folder.glob("[0-9]*"))
    complete = [attempt for attempt in attempts if (attempt / "result.json").exists()]
    longest: LocalRun | None = None
    for attempt in complete[-1:] or attempts:
        start, rows = _start_and_epochs(attempt)
        if start and (longest is None or rows >= longest.rows):
            longest = LocalRun(folder.name, attempt, rows, bool(complete), start)
    return longest


def _start_and_epochs(attempt: Path) -> tuple[dict[str, Any] | None, int]:
    """The start event, and how many epochs follow; epochs are counted without being parsed."""
    try:
        lines = plain_bytes(attempt / events.NAME).split(b"\n")[:-1]
        start = opened_line(lines[0].decode("utf-8")) if lines else None
    except (OSError, ValueError):
        return None, 0
    if not isinstance(start, dict) or start.get("event") != "start":
        return None, 0
    return start, sum(line.startswith(b'{"event": "epoch"') for line in lines)


def study_groups(store: Store, benchmark: str) -> list[str]:
    """The W&B groups of a benchmark's tuning runs."""
    groups = {
        str(run.start.get("group"))
        for run in local_runs(store)
        if run.matches(benchmark, None) and run.start.get("job_type") == "tune"
    }
    return sorted(groups)


def online_destination() -> Destination:
    """Where runs are sent online, whatever WANDB_MODE says.

    Raises UserError where there is no key, and UnreachableError where the server does not take it.
    """
    settings = read_settings()
    if not settings.key:
        raise UserError(
            f"there is no key for W&B at {settings.shown}; set WANDB_API_KEY or run `wandb login`"
        )
    settings = replace(settings, requested_mode=ONLINE)
    return Destination(settings, whoami(settings))


def sync(
    store: Store, runs: Iterable[LocalRun], progress: Progress, destination: Destination
) -> SyncResult:
    """Send what is missing. A run that fails stops no other run; a server that fails does."""
    by_project: dict[str, list[LocalRun]] = defaultdict(list)
    for run in runs:
        by_project[destination.project(run.project)].append(run)
    result = SyncResult()
    todo = list[LocalRun]()
    for project, members in by_project.items():
        held = server_runs(destination.settings, project, destination.entity)
        key = destination.key(project)
        for run in members:
            if is_sent(run, held.get(run.id), sent_records(run.folder.parent).get(key)):
                result.already_there += 1
            else:
                todo.append(run)
    failed_in_a_row = 0
    for done, run in enumerate(todo):
        progress("sending runs to W&B", done, len(todo))
        if store.being_made(run.id):
            result.busy += 1
            continue
        try:
            _send(run, destination, result)
            failed_in_a_row = 0
        except Exception as error:
            reason = (
                str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            )
            result.failures.append(f"{run.title}: {reason}")
            failed_in_a_row += 1
            if failed_in_a_row == MAX_FAILURES_IN_A_ROW or isinstance(error, UnreachableError):
                result.failures.append(f"{len(todo) - done - 1} more runs were not tried")
                break
    if todo:
        progress("sending runs to W&B", len(todo), len(todo))
    if not result.failures:
        for members in by_project.values():
            _send_banks(members, destination)
    return result


def _send(run: LocalRun, destination: Destination, result: SyncResult) -> None:
    """Upload a run and count it."""
    upload = upload_run(run.folder, destination, lambda: True)
    if upload is None:
        result.busy += 1
    elif upload.all_arrived:
        result.sent += 1
    else:
        result.failures.append(f"{run.title}: {upload.arrived} of {upload.rows} epochs arrived")


def _send_banks(runs: Sequence[LocalRun], destination: Destination) -> None:
    """Upload banks that were not sent with their runs, because the process died between the two."""
    folders = {used_bank(run.folder): run.folder for run in reversed(runs) if run.complete}
    for bank, folder in folders.items():
        if bank:
            upload_bank_of(folder, bank, destination)


def is_sent(run: LocalRun, held: ServerRun | None, record: SentRecord | None) -> bool:
    """Whether W&B says it holds all epochs, and the sent log says the summary went with them."""
    if held is None or record is None or held.rows < run.rows:
        return False
    if run.complete and held.state != "finished":
        return False
    return record.attempt == run.folder.name and record.complete == run.complete


# ---------------------------------------------------------------- status


@dataclass(frozen=True)
class SyncStatus:
    """W&B's settings and the runs that wait to be sent, as known without asking a server."""

    url: str
    key_from: str  # "" = there is no key
    requested_mode: str
    mode: str
    entity: str | None
    project: str | None
    runs: int
    sent: int  # of those, by the sent logs of this machine
    waiting: tuple[str, ...]  # ids of the others
    offline: int  # folders of W&B's own client that were written without a server
    offline_folder: Path  # where they lie
    error: str = ""  # what is wrong with the settings, as a sentence


def status(store: Store | None = None) -> SyncStatus:
    """Settings, and which runs wait to be sent; reads the store and asks no server."""
    store = store or Store()
    error = ""
    try:
        settings = read_settings()
    except UserError as invalid:
        settings = WandbSettings("", None, "", OFFLINE, None, None)
        error = str(invalid)
    runs = 0
    waiting = list[str]()
    for folder in sorted(store.root.glob("*")):
        complete = any(folder.glob("*/result.json"))
        if not complete and not any(folder.glob("[0-9]*/events.jsonl")):
            continue
        runs += 1
        records = [
            record
            for key, record in sent_records(folder).items()
            if key.startswith(f"{settings.url}/")
        ]
        if not any(record.complete or not complete for record in records):
            waiting.append(folder.name)
    return SyncStatus(
        settings.url,
        settings.key_from,
        settings.requested_mode,
        settings.mode,
        settings.entity,
        settings.project,
        runs,
        runs - len(waiting),
        tuple(waiting),
        sum(1 for _ in offline_folder().glob("offline-run-*")),
        offline_folder(),
        error,
    )


def run_title(store: Store, id: str) -> str:
    """The name of a run and its id; the id alone where no record has a name."""
    for attempt in sorted((store.root / id).glob("[0-9]*"), reverse=True):
        start, _ = _start_and_epochs(attempt)
        if start and start.get("name"):
            return f"{start['name']} ({id})"
    return id
