"""The record of a run: one line an event in events.jsonl, on disk before the run goes on.

Each line ends with a seal; see `discl.core.seals`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from discl.core.interfaces import EpochReport
from discl.core.plain_files import open_file
from discl.core.seals import sealed_line


class JsonLines:
    version = 1

    def __init__(self) -> None:
        self._path: Path | None = None

    def start(self, run: Mapping[str, Any]) -> None:
        self._path = Path(run["folder"]) / "events.jsonl"
        described = {key: run[key] for key in run if key not in ("folder", "position")}
        self._write({"event": "start", **described})

    def progress(self, what: str, done: int, total: int) -> None:
        return None

    def report(self, report: EpochReport) -> None:
        self._write({"event": "epoch", **asdict(report)})

    def finish(self, summary: Mapping[str, float] | None) -> None:
        self._write(
            {"event": "finish", "complete": summary is not None, "metrics": dict(summary or {})}
        )

    def _write(self, event: Mapping[str, Any]) -> None:
        if self._path is None:
            raise RuntimeError("start() has to be called first")
        with open_file(self._path, "a") as record:
            record.write(sealed_line(event) + "\n")
            record.flush()
