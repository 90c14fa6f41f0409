"""The items of a run: new ones, and those whose worker died."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from discl.core.interfaces import NOT_READY, WorkersDied
from discl.core.text import echo

TRIES = 3  # workers an item may cost


@dataclass
class WorkItem:
    """An item on its way, and the workers it has cost."""

    item: Any
    deaths: int = 0

    @property
    def body(self) -> bytes:
        """The item, pickled."""
        return pickle.dumps(self.item, pickle.HIGHEST_PROTOCOL)

    def worker_died(self, how: str, peak_bytes: int | None = None) -> WorkersDied | None:
        """Count a worker; the answer to the item after `TRIES` of them, None before."""
        self.deaths += 1
        if self.deaths == TRIES:
            return WorkersDied(how, TRIES, peak_bytes)
        echo(f"a worker died ({how}); its item is given to another", err=True)
        return None


class WorkQueue:
    """Draws the items of a run as they are asked for; those whose worker died come first."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._returned: list[WorkItem] = []
        self.open = True  # more may come

    def draw(self) -> WorkItem | None:
        """The next item; None where there is none now, and none ever where `open` is false."""
        if self._returned:
            return self._returned.pop()
        item = next(self._items, self) if self.open else self
        self.open = item is not self
        return WorkItem(item) if self.open and item is not NOT_READY else None

    def put_back(self, work: WorkItem) -> None:
        """Queue an item again whose worker died."""
        self._returned.append(work)
        self.open = True
