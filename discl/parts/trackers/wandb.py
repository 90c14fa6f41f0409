"""Weights & Biases: a child process uploads each run's record; the run never waits for it."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discl.core.interfaces import EpochReport
from discl.core.plain_files import open_file, parsed_json, plain_text
from discl.core.text import echo
from discl.files.disk import home

CLOSE_TIMEOUT_S = 20.0  # how long the end of this process waits for uploads that make progress
STALLED_S = 8.0  # and for uploads that make none
QUIET_S = 4.0  # of that without a word, where the child has not said yet whether it is offline
SYNC_LATER = "`discl wandb sync` sends what is missing"


class Wandb:
    """Names each run's folder to the child process `discl wandb follow`, which uploads its record.

    This process never imports wandb, so nothing that W&B does or fails to do can reach a run.
    Online only where there is a key (WANDB_API_KEY or `wandb login`) and WANDB_MODE does not say
    otherwise; WANDB_MODE=disabled starts no child.
    """

    version = 1

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self._list: Path | None = None
        self._listed = 0
        self._warned = False

    def start(self, run: Mapping[str, Any]) -> None:
        self.follow({"run": str(Path(run["folder"]).absolute())})

    def progress(self, what: str, done: int, total: int) -> None:
        return None

    def report(self, report: EpochReport) -> None:
        return None

    def finish(self, summary: Mapping[str, float] | None) -> None:
        self._warn_of_error()

    def follow(self, line: Mapping[str, Any]) -> None:
        """Append a run or a bank to the child's list; the first call starts the child.

        A full disk costs the upload and not the run.
        """
        if os.environ.get("WANDB_MODE") == "disabled":
            return
        try:
            if self._list is None:
                self._start_child()
            self._append(line)
            self._listed += 1
        except OSError as error:
            self._warn(f"{error.strerror or error}; the run goes on without it, and {SYNC_LATER}")

    def _start_child(self) -> None:
        folder = home().absolute() / "wandb"
        folder.mkdir(parents=True, exist_ok=True)
        self._list = folder / f"follow-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        self._list.touch()
        command = [sys.executable, "-m", "discl.cli", "wandb", "follow", str(self._list)]
        command += ["--parent", str(os.getpid())]
        with open_file(self._list.with_suffix(".log"), "wb") as log:
            # a session of its own: the terminal's Ctrl-C is not for it
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        atexit.register(self.close)

    def _append(self, line: Mapping[str, Any]) -> None:
        if self._list:
            with open_file(self._list, "a") as opened:
                opened.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """End the list, wait for the child within limits, then end it; Ctrl-C skips the wait."""
        child = self.child
        self.child = None
        if child is None or self._list is None:
            return
        atexit.unregister(self.close)
        with contextlib.suppress(OSError):
            self._append({"end": True})
        with contextlib.suppress(KeyboardInterrupt):
            self._wait(child)
        self._warn_of_error()
        status = self.status()
        left = self._listed - status.get("processed", 0) + status.get("incomplete", 0)
        if child.poll() is None:
            child.terminate()
        if left > 0:
            reason = "".join(f" ({failure})" for failure in status.get("failures", [])[:1])
            self._warn(f"{left} of {self._listed} runs are not at W&B whole{reason}; {SYNC_LATER}")
        elif status.get("offline"):
            _print(f"W&B: offline; the runs lie in {status['offline']}, and {SYNC_LATER}")
        self._collect(child, complete=left <= 0)

    def _wait(self, child: subprocess.Popen[bytes]) -> None:
        """Wait until the child ends, reports an error, or makes no progress."""
        started = progressed = time.monotonic()
        steps = None  # until the child has started and written its first status
        announced = False
        while child.poll() is None:
            status = self.status()
            if status.get("error"):
                return
            now = time.monotonic()
            if steps is None or status.get("steps") != steps:
                steps = status.get("steps")
                progressed = now
            if now - progressed > STALLED_S or now - started > CLOSE_TIMEOUT_S:
                return
            # before its first status nobody knows whether anything is uploaded at all
            tells = not status.get("offline") and (status or now - started > QUIET_S)
            if tells and not announced and now - started > 1.0:
                announced = True
                _print(f"W&B: waiting up to {CLOSE_TIMEOUT_S:.0f} s for uploads; Ctrl-C skips it")
            time.sleep(0.05)

    def _warn_of_error(self) -> None:
        """Print, once, why nothing is uploaded."""
        if error := self.status().get("error"):
            self._warn(error)

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            _print(reason if reason.startswith("W&B") else f"W&B: {reason}")

    def status(self) -> dict[str, Any]:
        """The status that the child wrote last; empty before it wrote any."""
        if self._list is None:
            return {}
        try:
            status = parsed_json(plain_text(self._list.with_suffix(".status")))
        except (OSError, ValueError):
            return {}
        return status if isinstance(status, dict) else {}

    def _collect(self, child: subprocess.Popen[bytes], complete: bool) -> None:
        """Reap the child; its list and log are kept where something is missing."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5.0)
        if complete and self._list:
            for suffix in (".jsonl", ".log", ".status"):
                self._list.with_suffix(suffix).unlink(missing_ok=True)


def _print(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # standard error may be closed
        echo(line, err=True)
