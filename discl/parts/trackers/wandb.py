"""Weights & Biases: a child process mirrors the record of each run, offline unless there is a key;
the run never waits for it.
"""

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
from discl.files.disk import home

PATIENCE_S = (
    20.0  # how long the end of the process waits for the mirror to catch up, while it gets on
)
STALLED_S = 8.0  # without a sign of life nobody waits longer
SYNC_LATER = "`discl wandb sync` sends what is missing"


class Wandb:
    """Names each run's folder to a child process, `discl wandb follow`, which reads the record
    there and speaks to W&B.

    This process never imports wandb, so nothing that W&B does or fails to do can reach a run.
    Online only where there is a key (WANDB_API_KEY or `wandb login`) and WANDB_MODE does not say
    otherwise; WANDB_MODE=disabled starts no child.
    """

    version = 1

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._list: Path | None = None
        self._named = 0
        self._said = False

    def start(self, run: Mapping[str, Any]) -> None:
        self.follow({"run": str(Path(run["folder"]).absolute())})

    def progress(self, what: str, done: int, total: int) -> None:
        return None

    def report(self, report: EpochReport) -> None:
        return None

    def finish(self, summary: Mapping[str, float] | None) -> None:
        self._complain()

    def follow(self, line: Mapping[str, Any]) -> None:
        """Name something to the child, which is started with the first; a disk that is full costs
        the mirror, not the run.
        """
        if os.environ.get("WANDB_MODE") == "disabled":
            return
        try:
            if self._list is None:
                self._begin()
            self._append(line)
            self._named += 1
        except OSError as error:
            self._say(f"{error.strerror or error}; the run goes on without it, and {SYNC_LATER}")

    def _begin(self) -> None:
        folder = home().absolute() / "wandb"
        folder.mkdir(parents=True, exist_ok=True)
        self._list = folder / f"follow-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        self._list.touch()
        command = [
            sys.executable,
            "-m",
            "discl.cli",
            "wandb",
            "follow",
            str(self._list),
            "--parent",
            str(os.getpid()),
        ]
        with self._list.with_suffix(".log").open(
            "wb"
        ) as log:  # a session of its own: the terminal's Ctrl-C is not for it
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        atexit.register(self.close)

    def _append(self, line: Mapping[str, Any]) -> None:
        if self._list:
            with self._list.open("a", encoding="utf-8") as opened:
                opened.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """No more runs will come: wait while the mirror gets on, but not for long, then let it go;
        Ctrl-C ends the wait.
        """
        child = self._child
        self._child = None
        if child is None or self._list is None:
            return
        atexit.unregister(self.close)
        with contextlib.suppress(OSError):
            self._append({"end": True})
        with contextlib.suppress(KeyboardInterrupt):
            self._wait(child)
        self._complain()
        left = self._named - self._status().get("taken", 0) + self._status().get("missing", 0)
        if child.poll() is None:
            child.terminate()
        if left > 0 and not self._said:
            why = "".join(f" ({trouble})" for trouble in self._status().get("troubles", [])[:1])
            self._say(f"{left} of {self._named} runs are not mirrored whole{why}; {SYNC_LATER}")
        self._tidy(child, clean=left <= 0)

    def _wait(self, child: subprocess.Popen[bytes]) -> None:
        """Until the child ends, says that nothing can be sent, or stands still."""
        began = moved = time.monotonic()
        steps = -1
        told = False
        while (
            child.poll() is None
            and time.monotonic() - began < PATIENCE_S
            and not self._status().get("given_up")
        ):
            if (now := self._status().get("steps", 0)) != steps:
                steps = now
                moved = time.monotonic()
            if time.monotonic() - moved > STALLED_S:
                return
            if not told and time.monotonic() - began > 1.0:
                told = True
                self._print(
                    f"W&B: waiting up to {PATIENCE_S:.0f} s for its mirror; Ctrl-C leaves it"
                )
            time.sleep(0.05)

    def _complain(self) -> None:
        """Pass on, once, why nothing is mirrored."""
        if self._list and not self._said and (why := self._status().get("given_up")):
            self._say(why)

    def _say(self, why: str) -> None:
        if not self._said:
            self._said = True
            self._print(why if why.startswith("W&B") else f"W&B: {why}")

    def _print(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            print(line, file=sys.stderr, flush=True)

    def _status(self) -> dict[str, Any]:
        """What the child says of itself."""
        try:
            said = (
                json.loads(self._list.with_suffix(".status").read_text("utf-8"))
                if self._list
                else {}
            )
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}

    def _tidy(self, child: subprocess.Popen[bytes], clean: bool) -> None:
        """Collect the child; its list and log stay where something is missing, to be looked at."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5.0)
        if clean and self._list:
            for suffix in (".jsonl", ".log", ".status"):
                self._list.with_suffix(suffix).unlink(missing_ok=True)
