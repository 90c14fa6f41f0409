"""The child of a training process that mirrors its runs: told what to follow by a list, and watched
by nobody.

The list is a file to which the parent appends a line a run, and a last one when no more will come.
Whether the parent lives is told by whose child we are: a pipe would stay open in whatever the
parent forked. Beside the list stands what the child says of itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from discl.config.benchmark import Benchmark
from discl.core.errors import UserError
from discl.files.disk import write_text
from discl.harness.wandb.bank import mirror_bank
from discl.harness.wandb.client import (
    DISABLED,
    ONLINE,
    SYNC_LATER,
    UnreachableError,
    access,
    whoami,
)
from discl.harness.wandb.run import mirror
from discl.harness.wandb.session import Place

PAUSE_S = 0.3
ORPHAN_PATIENCE_S = 60.0  # without a sign of life an orphan ends itself: nobody else would
NICENESS = 10  # training goes first


@dataclass
class Status:
    """What the parent may want to know of its mirror."""

    taken: int = 0  # lines of the list that were dealt with, whatever came of it
    missing: int = 0  # of those, runs that W&B does not hold whole
    steps: int = 0  # signs of life
    given_up: str = ""  # why nothing more is mirrored, as a sentence
    troubles: list[str] = field(default_factory=list)  # a sentence each


class Follower:
    """Mirrors what the list names, in order."""

    def __init__(self, listed: Path, parent: int) -> None:
        self.listed, self.parent = listed, parent
        self.status = Status()
        self._offset = 0
        self._written = 0.0
        self._said = 0
        self.waiting: deque[dict[str, Any]] = deque()
        self.ended = False  # no more will come
        self.alive_at = time.monotonic()

    @property
    def orphaned(self) -> bool:
        return os.getppid() != self.parent

    @property
    def over(self) -> bool:
        """Whether the run in work will be written no more: the next one has begun, or the process
        that made it is done or dead.
        """
        self._look()
        self._say_now_and_then()
        return bool(self.waiting) or self.ended or self.orphaned

    def run(self) -> None:
        """Until the list ends, or the parent does and all it left is told."""
        os.nice(NICENESS)
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # the terminal's Ctrl-C is the parent's to deal with
        signal.signal(signal.SIGTERM, lambda *_: let_go())
        threading.Thread(target=self._guard, daemon=True).start()
        place = self._place()
        self.tell("")
        while True:
            last = self.over
            while self.waiting:
                self._take(self.waiting.popleft(), place)
            if last and not self.waiting and (self.ended or self.orphaned):
                return self._say()
            time.sleep(PAUSE_S)

    def _place(self) -> Place | None:
        """Where runs go; None where nothing can be sent, and the list is only counted."""
        try:
            found = access()
            if found.mode == DISABLED:
                return None
            return Place(found, whoami(found) if found.mode == ONLINE else None)
        except UserError as error:
            self.status.given_up = f"{error}; the run goes on without it: {SYNC_LATER}"
            self._say()
            return None

    def _take(self, line: dict[str, Any], place: Place | None) -> None:
        whole = False
        try:
            if place and "bank" in line:
                mirror_bank(
                    Path(line["bank"]), Benchmark.model_validate(line["spec"]), place, self.tell
                )
                whole = True
            elif place:
                sent = mirror(Path(line["run"]), place, lambda: self.over, self.tell)
                whole = sent is not None and sent.whole
        except Exception as error:  # a mirror must not stop at what one run did to it
            traceback.print_exc()
            name = Path(line.get("run") or line.get("bank") or "?")
            self.status.troubles.append(f"{name.parent.name}/{name.name}: {_sentence(error)}")
        self.status.taken += 1
        self.status.missing += not whole
        self._say()

    def tell(self, what: str) -> None:
        """A sign of life."""
        self.alive_at = time.monotonic()
        self.status.steps += 1
        if what:
            print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)
        self._say_now_and_then()

    def _say_now_and_then(self) -> None:
        if self.status.steps != self._said and time.monotonic() - self._written > 1.0:
            self._say()

    def _say(self) -> None:
        self._written = time.monotonic()
        self._said = self.status.steps
        write_text(status_path(self.listed), json.dumps(asdict(self.status)) + "\n")

    def _look(self) -> None:
        """Take up new lines of the list."""
        with self.listed.open("rb") as opened:
            opened.seek(self._offset)
            fresh = opened.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            said = json.loads(line)
            if "end" in said:
                self.ended = True
            else:
                self.waiting.append(said)

    def _guard(self) -> None:
        """An orphan that nothing moves any more lets go."""
        orphan_since = None
        while True:
            time.sleep(1.0)
            if self.orphaned:
                orphan_since = orphan_since or time.monotonic()
                if time.monotonic() - max(self.alive_at, orphan_since) > ORPHAN_PATIENCE_S:
                    let_go()


def let_go() -> None:
    """End now, and W&B's own process with us: left alone it would try to reach a server that went
    away for hours.
    """
    for told in Path("/proc/self/task").glob(
        "*/children"
    ):  # nothing where the system has no such list
        with contextlib.suppress(OSError):
            for child in told.read_text("ascii").split():
                os.kill(int(child), signal.SIGKILL)
    os._exit(1)


def _sentence(error: Exception) -> str:
    return (
        str(error)
        if isinstance(error, (UserError, UnreachableError))
        else f"{type(error).__name__}: {error}"
    )


def status_path(listed: Path) -> Path:
    """Where the child of a list says how far it is."""
    return listed.with_suffix(".status")
