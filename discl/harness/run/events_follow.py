"""Reads a record that is still being written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from discl.harness.run.events import NAME

PAUSE_S = 0.3  # between two looks


class Tail:
    """The events of one attempt's record, each given once; a line counts when its end is there."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._offset = 0

    def new(self) -> Iterator[dict[str, Any]]:
        """Those that came since the last look."""
        try:
            with self.path.open("rb") as record:
                record.seek(self._offset)
                fresh = record.read()
        except FileNotFoundError:
            return
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            try:
                event = json.loads(line)
            except (
                ValueError
            ):  # a torn line that another writer went on after; what follows it is whole
                continue
            if isinstance(event, dict):
                yield event

    def follow(self, over: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Every event until `finish`, or until `over` says that no more will come."""
        while True:
            last = over()  # asked before the look: what was written until then is seen
            for event in self.new():
                yield event
                if event.get("event") == "finish":
                    return
            if last:
                return
            time.sleep(PAUSE_S)
