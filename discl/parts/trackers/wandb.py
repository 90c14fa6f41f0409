"""Weights & Biases: a mirror of the record, offline unless a key is set; whatever happens to it, the run goes on."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from discl.files.disk import home
from discl.spec.kinds import EpochReport

_PATIENCE_S = 20.0  # how long the end of a run waits for W&B to catch up


class Wandb:
    """Speaks to W&B from a thread of its own, so that a slow or dead server costs the run nothing but a message.

    Online only where WANDB_API_KEY is set and WANDB_MODE does not say otherwise. Files go to $DISCL_HOME/wandb.
    """

    version = 1

    def __init__(self) -> None:
        self._todo: queue.SimpleQueue[Callable[[], None] | threading.Event] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None
        self._run: Any = None
        self._broken = False

    def start(self, run: Mapping[str, Any]) -> None:
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, name="wandb", daemon=True)
            self._worker.start()
        self._todo.put(lambda: self._open(run))

    def announce(self, what: str, done: int, total: int) -> None:
        return None

    def report(self, report: EpochReport) -> None:
        row: dict[str, Any] = {"epoch": report.epoch, "train/lr": report.lr, "train/steps": report.steps, "cost/epoch_seconds": report.seconds}
        row |= {f"mix/level_{level:03d}": weight for level, weight in report.mix.items()}
        row |= {f"seen/level_{level:03d}": count for level, count in report.seen.items()}
        row |= {f"gain/level_{level:03d}": gain for level, gain in report.gains.items()}
        row |= report.values
        self._todo.put(lambda: self._run and self._run.log(row, step=report.epoch))

    def finish(self, summary: Mapping[str, float] | None) -> None:
        caught_up = threading.Event()
        self._todo.put(lambda: self._close(summary))
        self._todo.put(caught_up)
        if not caught_up.wait(_PATIENCE_S) and not self._broken:
            self._give_up("it did not catch up with the run in time")

    def _work(self) -> None:
        while True:
            job = self._todo.get()
            if isinstance(job, threading.Event):
                job.set()
            elif not self._broken:
                try:
                    job()
                except Exception as error:  # a mirror must not stop what it mirrors
                    self._give_up(f"{type(error).__name__}: {error}")

    def _open(self, run: Mapping[str, Any]) -> None:
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        online = bool(os.environ.get("WANDB_API_KEY")) and os.environ.get("WANDB_MODE", "online") == "online"
        folder = home() / "wandb"
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            id=f"{run['id']}-{run['folder'].name}",
            project=run["project"],
            group=run["group"],
            job_type="train",
            name=run["name"],
            tags=list(run["tags"]),
            config=dict(run["config"]),
            dir=str(folder),
            mode="online" if online else "offline",
            reinit="create_new",
            settings=wandb.Settings(init_timeout=15, console="off", x_disable_stats=True),
        )
        self._run.define_metric("epoch")
        for group in ("train", "val", "mix", "seen", "gain", "cost"):
            self._run.define_metric(f"{group}/*", step_metric="epoch")

    def _close(self, summary: Mapping[str, float] | None) -> None:
        if self._run:
            self._run.summary.update(dict(summary or {}))
            self._run.finish(exit_code=0 if summary is not None else 1)
            self._run = None

    def _give_up(self, why: str) -> None:
        self._broken = True
        print(f"W&B: {why}; the run goes on without it, and events.jsonl has everything", file=sys.stderr)
