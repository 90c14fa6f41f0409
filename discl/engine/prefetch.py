"""What is read is made ready by a thread, while the caller works."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeVar

AHEAD = 3  # items made ready while one is worked on

Item = TypeVar("Item")


def prefetched(made: Iterator[Item]) -> Iterator[Item]:
    """The same items, made by a thread, `AHEAD` of them at most before they are asked for.

    An exception of `made` is raised to the caller.
    """
    ready: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(item: tuple[Item] | BaseException | None) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            for item in made:
                put((item,))
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:  # raised again in the caller's thread
            put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        stop.set()
