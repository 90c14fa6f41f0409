"""Second stages in a thread: what is at work when a block ends is waited for, and kept."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from discl.parts.executors.base.two_stages import StageThread


def _interrupting(kept: list[str]) -> None:
    """Work during which somebody presses Ctrl-C."""
    time.sleep(0.05)  # so that the block has ended
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)
    kept.append("written")


def _stopped(work: Callable[[], object], why: BaseException) -> None:
    """A block that ends by an error while its thread is at work."""
    with StageThread() as second:
        second.put("lease", work)
        raise why


def test_a_second_ctrl_c_does_not_leave_the_thread_at_work() -> None:
    kept: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _stopped(lambda: _interrupting(kept), KeyboardInterrupt())
    assert kept == ["written"]


def test_a_first_ctrl_c_at_the_end_is_raised_once_the_thread_is_done() -> None:
    kept: list[str] = []
    with pytest.raises(KeyboardInterrupt), StageThread() as second:
        second.put("lease", lambda: _interrupting(kept))
    assert kept == ["written"]


def test_it_is_told_why_a_block_ends_and_not_what_fails_after_it() -> None:
    with pytest.raises(ValueError, match="why"):
        _stopped(lambda: 1 / 0, ValueError("why"))


def test_a_failure_is_raised_where_its_answer_is_taken() -> None:
    with StageThread() as second:
        second.put("lease", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            second.take()
