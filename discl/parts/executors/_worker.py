"""What every worker does, wherever it runs: prepare once, then answer items."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from discl.core.interfaces import NOT_READY, WorkersDied

TRIES = 3  # workers an item may cost
_PLACES = ("DISCL_HOME", "DISCL_DATA", "HF_HOME", "HF_HUB_OFFLINE")


def surroundings() -> dict[str, str]:
    """What of our environment a worker on another machine needs: where things lie, and how runs are
    told of.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name in _PLACES or name.startswith("WANDB_")
    }


class Worker:
    """Holds what `prepare` returned.

    Everything travels as pickled bytes, so that whatever is wrong with an item, an answer or
    `prepare` itself comes back as an exception instead of breaking the channel it came through.
    """

    def __init__(self, prepare: bytes, environment: Mapping[str, str] | None = None) -> None:
        self._prepare = prepare
        os.environ.update(environment or {})

    @cached_property
    def _work(self) -> Callable[[Any], Any]:
        # at the first item, not before: a death while a model loads is then a death of that item,
        # and is counted
        work: Callable[[Any], Any] = pickle.loads(self._prepare)()  # noqa: S301 - from the process that started us
        return work

    def answer(self, item: bytes) -> bytes:
        """Pickled (True, answer) or (False, exception)."""
        try:
            return pickle.dumps((True, self._work(pickle.loads(item))), pickle.HIGHEST_PROTOCOL)  # noqa: S301
        except BaseException as error:  # also SystemExit: it must not look like a worker that died
            return pickle.dumps((False, _portable(error)))


def read(outcome: bytes) -> Any:
    """The answer in what `Worker.answer` returned; raises the exception instead, where that is what
    came.
    """
    succeeded, what = pickle.loads(outcome)  # noqa: S301
    if not succeeded:
        raise what from None
    return what


@dataclass
class WorkItem:
    """An item on its way, and the workers it has cost."""

    item: Any
    deaths: int = 0

    @property
    def body(self) -> bytes:
        return pickle.dumps(self.item, pickle.HIGHEST_PROTOCOL)

    def lost(self, how: str, peak_bytes: int | None = None) -> WorkersDied | None:
        """Its worker died in this way; the answer to it where that was one too many, None where
        another is to try.
        """
        self.deaths += 1
        if self.deaths == TRIES:
            return WorkersDied(how, TRIES, peak_bytes)
        print(f"a worker died ({how}); its item is given to another", file=sys.stderr)
        return None


class WorkQueue:
    """The jobs of a run: those whose worker died before new ones."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._again: list[WorkItem] = []
        self.open = True  # more may come

    def draw(self) -> WorkItem | None:
        """The next job; None where there is none now, and none ever where `open` is false."""
        if self._again:
            return self._again.pop()
        item = next(self._items, self) if self.open else self
        self.open = item is not self
        return WorkItem(item) if self.open and item is not NOT_READY else None

    def take_back(self, job: WorkItem) -> None:
        """Its worker died."""
        self._again.append(job)
        self.open = True


def _portable(error: BaseException) -> BaseException:
    """`error` with its traceback as a note, since the traceback itself does not travel; retold
    where it cannot be pickled.
    """
    told = "".join(traceback.format_exception(error))
    try:
        error.add_note(told)
        pickle.loads(pickle.dumps(error))  # noqa: S301 - an exception with a constructor of its own fails only here
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
        error.add_note(told)
    return error
