"""What a thread makes ready comes in order, and so do its errors."""

import threading
import time
from collections.abc import Iterator

import pytest

from discl.engine.prefetch import AHEAD, prefetched


def test_items_come_in_order_and_an_error_is_raised_to_the_caller() -> None:
    def made() -> Iterator[int | None]:
        yield from (1, None, 3)
        raise OSError("the disk is gone")

    ready = prefetched(made())
    assert [next(ready) for _ in range(3)] == [1, None, 3]
    with pytest.raises(OSError, match="the disk is gone"):
        next(ready)


def test_no_more_is_made_ready_than_asked_for_and_what_is_given_up_ends() -> None:
    made = list[int]()

    def numbers() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    before = threading.active_count()
    ready = prefetched(numbers())
    assert next(ready) == 0
    ready.close()  # type: ignore[attr-defined]
    for _ in range(200):
        if threading.active_count() == before:
            break
        time.sleep(0.02)
    assert threading.active_count() == before
    assert len(made) <= AHEAD + 3
