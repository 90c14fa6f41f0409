"""Processes wait for each other outside collectives: as long as they live, and no longer."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from torch import distributed

from discl.core.errors import UserError
from discl.engine.training import meeting
from discl.engine.training.meeting import Meeting, clear_lost_process


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Where two processes meet; its own patience is shorter than their work."""
    monkeypatch.setattr(meeting, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(meeting, "SILENT_SECONDS", 0.2)
    return distributed.TCPStore(
        "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=0.1)
    )


def test_who_is_first_waits_for_longer_than_any_timeout_and_for_nobody_twice(store: Any) -> None:
    first, second = Meeting(store, 0, 2), Meeting(store, 1, 2)
    come = list[int]()

    def work(mine: Meeting, seconds: float) -> None:
        for number in range(3):
            time.sleep(seconds)
            come.append(number)
            mine.wait()

    with ThreadPoolExecutor() as pool:
        started = [pool.submit(work, first, 0.0), pool.submit(work, second, 0.3)]
    for done in started:
        done.result()
    assert come == [0, 0, 1, 1, 2, 2]
    first.leave()
    second.leave()


def test_who_has_ended_is_not_waited_for(store: Any) -> None:
    first, second = Meeting(store, 0, 2), Meeting(store, 1, 2)
    second.leave()
    with pytest.raises(UserError, match="process 1 has ended; its own output says why"):
        first.wait()
    first.leave()


def test_who_ends_after_it_came_has_come(store: Any) -> None:
    first, second = Meeting(store, 0, 2), Meeting(store, 1, 2)
    come = threading.Thread(target=second.wait)
    come.start()
    first.wait()
    come.join()
    second.leave()
    first.leave()


def test_who_gives_no_sign_of_life_is_not_waited_for(store: Any) -> None:
    first = Meeting(store, 0, 2)
    with pytest.raises(UserError, match="process 1 has given no sign of life for 0 s"):
        first.wait()
    first.leave()


def test_a_broken_connection_is_a_sentence_and_other_errors_stay() -> None:
    with (
        pytest.raises(UserError, match=r"connection to another process broke \(\[/gloo/pair"),
        clear_lost_process(),
    ):
        raise RuntimeError("[/gloo/pair.cc:1] Connection closed by peer\nmore")
    with pytest.raises(RuntimeError, match="shape"), clear_lost_process():
        raise RuntimeError("shape mismatch")
