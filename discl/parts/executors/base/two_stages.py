"""Functions of two stages: the second of an item runs beside the first of the next one."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any


class StageThread:
    """Runs second stages in a thread, one at a time; the one before must be taken first.

    At the end of its block it waits for the one at work, also where the block ends by an exception,
    and through Ctrl-C: the process could not end before it, and what it writes is kept and counted.
    """

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._at_work: tuple[Any, Future[Any]] | None = None

    def __enter__(self) -> StageThread:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        stop = None
        while self._at_work is not None:
            try:
                # not `join`, which takes an interrupted thread for an ended one (CPython 3.11);
                # and what fails now is not told, since it is told why the block ends
                wait([self._at_work[1]])
                self._at_work = None
            except KeyboardInterrupt as again:
                stop = again
        if self._thread is not None:
            self._thread.shutdown()
        if stop is not None and kind is None:
            raise stop

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
