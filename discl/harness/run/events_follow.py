"""Reads the record of a run while it is being written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from discl.core.plain_files import open_file
from discl.core.seals import damaged, opened_line
from discl.harness.run.events import NAME, WAY_OUT

POLL_S = 0.3  # seconds between two reads


class EventFollower:
    """The events of one attempt, each given once; a line counts when its end is written."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._offset = 0

    def new(self) -> Iterator[dict[str, Any]]:
        """The events written since the last call."""
        try:
            with open_file(self.path, "rb") as record:
                record.seek(self._offset)
                written = record.read()
        except FileNotFoundError:
            return
        complete = written[: written.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.splitlines():
            try:
                event = opened_line(line.decode("utf-8", "replace"))
            except ValueError as error:
                raise damaged(self.path, f"is damaged ({error})", WAY_OUT) from error
            if event is not None:  # else cut off by a kill; the next attempt went on after it
                yield event

    def follow(self, is_over: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Every event until `finish`, or until `is_over` says that no more will be written."""
        while True:
            over = is_over()  # asked before reading, so that nothing written until then is missed
            for event in self.new():
                yield event
                if event.get("event") == "finish":
                    return
            if over:
                return
            time.sleep(POLL_S)
