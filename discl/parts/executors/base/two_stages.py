"""Functions of two stages: the second of an item runs beside the first of the next one."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any


class StageThread:
    """Runs second stages in a thread, one at a time; the one before must be taken first.

    At the end of its block it waits for the one at work, also where the block ends by an exception:
    what it writes is kept.
    """

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._at_work: tuple[Any, Future[Any]] | None = None

    def __enter__(self) -> StageThread:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # it is told why the block ends, and not of what came after
            self.take()
        if self._thread is not None:
            self._thread.shutdown()

    @property
    def is_busy(self) -> bool:
        """Whether there is an answer to take, now or later."""
        return self._at_work is not None

    def put(self, item: Any, finish: Callable[[], Any]) -> None:
        """Begin the second stage of an item, with the context of the caller."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "second stage")
        context = contextvars.copy_context()
        self._at_work = item, self._thread.submit(context.run, finish)

    def take(self) -> list[tuple[Any, Any]]:
        """The (item, answer) of the one at work, once it is done; [] where there is none.

        Raises what it raised.
        """
        if self._at_work is None:
            return []
        item, answer = self._at_work
        result = answer.result()
        self._at_work = None
        return [(item, result)]
