"""Child process that uploads the runs listed in a file; unsupervised.

The parent appends a line per run to the list, and a last line when no more will come. A dead parent
is noticed by the parent process id: a pipe would stay open in whatever the parent forked. The child
writes its status into a file beside the list.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
import traceback
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from discl.config.benchmark import Benchmark
from discl.core.errors import UserError
from discl.core.plain_files import open_file, parsed_json, plain_text
from discl.core.text import echo
from discl.files.disk import write_text
from discl.harness.wandb.bank import upload_bank
from discl.harness.wandb.client import (
    DISABLED,
    ONLINE,
    SYNC_LATER,
    read_settings,
    whoami,
)
from discl.harness.wandb.run import upload_run
from discl.harness.wandb.session import Destination, offline_folder

PAUSE_S = 0.3
ORPHAN_TIMEOUT_S = 60.0  # an orphan without progress ends itself
NICENESS = 10  # training goes first


@dataclass
class FollowerStatus:
    """Progress of the child, read by its parent."""

    processed: int = 0  # lines of the list that were handled, successfully or not
    incomplete: int = 0  # of those, runs that W&B does not hold whole
    steps: int = 0  # grows while uploads make progress
    offline: str = ""  # the folder that runs are written to where there is no server
    error: str = ""  # why nothing more is uploaded, as a sentence
    failures: list[str] = field(default_factory=list)  # a sentence each


class Follower:
    """Uploads what the list names, in order."""

    def __init__(self, list_path: Path, parent: int) -> None:
        self.list_path = list_path
        self.parent = parent
        self.status = FollowerStatus()
        self.waiting: deque[dict[str, Any]] = deque()
        self.ended = False  # the list holds its last line
        self.last_step_at = time.monotonic()
        self._offset = 0
        self._written_at = 0.0
        self._written_steps = 0

    @property
    def orphaned(self) -> bool:
        return os.getppid() != self.parent

    @property
    def is_finished(self) -> bool:
        """Whether the current run is over: the next was listed, or its process ended or died."""
        self._read_list()
        self._write_status_at_times()
        return bool(self.waiting) or self.ended or self.orphaned

    def run(self) -> None:
        """Upload until the list ends, or until the parent is dead and all it listed is done."""
        os.nice(NICENESS)
        # the parent handles the terminal's Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: exit_now())
        threading.Thread(target=self._end_stalled_orphan, daemon=True).start()
        destination = self._destination()
        self.on_step("")
        while True:
            finished = self.is_finished
            while self.waiting:
                self._process(self.waiting.popleft(), destination)
            if finished and not self.waiting and (self.ended or self.orphaned):
                return self._write_status()
            time.sleep(PAUSE_S)

    def _destination(self) -> Destination | None:
        """Where runs go; None where nothing can be sent and lines are only counted."""
        try:
            settings = read_settings()
            if settings.mode == DISABLED:
                return None
            self.status.offline = "" if settings.mode == ONLINE else str(offline_folder())
            return Destination(settings, whoami(settings) if settings.mode == ONLINE else None)
        except UserError as error:
            self.status.error = f"{error}; the run goes on without it: {SYNC_LATER}"
            self._write_status()
            return None

    def _process(self, line: dict[str, Any], destination: Destination | None) -> None:
        """Upload the run or bank of a line; an exception costs this line only."""
        complete = False
        try:
            if destination and "bank" in line:
                spec = Benchmark.model_validate(line["spec"])
                upload_bank(Path(line["bank"]), spec, destination, self.on_step)
                complete = True
            elif destination:
                folder = Path(line["run"])
                upload = upload_run(folder, destination, lambda: self.is_finished, self.on_step)
                complete = upload is not None and upload.all_arrived
        except Exception as error:
            traceback.print_exc()
            path = Path(line.get("run") or line.get("bank") or "?")
            self.status.failures.append(f"{path.parent.name}/{path.name}: {_sentence(error)}")
        self.status.processed += 1
        self.status.incomplete += not complete
        self._write_status()

    def on_step(self, description: str) -> None:
        """Record progress, and write what was done to the log."""
        self.last_step_at = time.monotonic()
        self.status.steps += 1
        if description:
            clock = time.strftime("%H:%M:%S")
            echo(f"{clock} {description}", err=True)
        self._write_status_at_times()

    def _write_status_at_times(self) -> None:
        changed = self.status.steps != self._written_steps
        if changed and time.monotonic() - self._written_at > 1.0:
            self._write_status()

    def _write_status(self) -> None:
        self._written_at = time.monotonic()
        self._written_steps = self.status.steps
        write_text(status_path(self.list_path), json.dumps(asdict(self.status)) + "\n")

    def _read_list(self) -> None:
        """Take up the new complete lines of the list."""
        with open_file(self.list_path, "rb") as opened:
            opened.seek(self._offset)
            appended = opened.read()
        complete = appended[: appended.rfind(b"\n") + 1]
        self._offset += len(complete)
        for text in complete.splitlines():
            line = parsed_json(text)
            if "end" in line:
                self.ended = True
            else:
                self.waiting.append(line)

    def _end_stalled_orphan(self) -> None:
        """End this process once it is an orphan that makes no progress."""
        orphan_since = None
        while True:
            time.sleep(1.0)
            if self.orphaned:
                orphan_since = orphan_since or time.monotonic()
                last_progress = max(self.last_step_at, orphan_since)
                if time.monotonic() - last_progress > ORPHAN_TIMEOUT_S:
                    exit_now()


def exit_now() -> None:
    """End this process and W&B's own service process, which would otherwise retry for hours."""
    # the files do not exist on systems without such lists
    for children in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in plain_text(children, "ascii").split():
                os.kill(int(child), signal.SIGKILL)
    os._exit(1)


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def status_path(list_path: Path) -> Path:
    """The status file of the child that follows a list."""
    return list_path.with_suffix(".status")
