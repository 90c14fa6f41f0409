"""Processes of torchrun wait for each other outside a collective, however long one works alone.

A collective that is entered early ends the program after some minutes: NCCL's and gloo's timeouts
are there for processes that died. Here who waits asks the store that the processes met at, and a
process counts as alive as long as a thread of it raises a number there.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from discl.core.errors import UserError

BEAT_SECONDS = 5.0
SILENT_SECONDS = 60.0  # without a beat: it is dead, or its machine is
_ASK_SECONDS = 0.2  # between questions whether the others have come


class Meeting:
    """One process of `world`, at a torch.distributed store."""

    def __init__(self, store: Any, rank: int, world: int) -> None:
        self._store = store
        self._rank = rank
        self._world = world
        self._number = 0
        self._beats = dict[int, tuple[int, float]]()  # rank -> the last number, and when it rose
        self._ended = threading.Event()
        # a connection of its own: a question that waits for an answer would hold up the beats
        self._beating = store.clone()
        threading.Thread(target=self._beat, name="alive", daemon=True).start()
        atexit.register(self.leave)

    def _beat(self) -> None:
        with suppress(RuntimeError):  # the store is gone: whoever asks it next is told
            while not self._ended.is_set():
                self._beating.add(f"alive/{self._rank}", 1)
                self._ended.wait(BEAT_SECONDS)

    def leave(self) -> None:
        """Tell the others that this process ends, so that they do not wait for it."""
        atexit.unregister(self.leave)
        self._ended.set()
        with suppress(RuntimeError):
            self._beating.set(f"left/{self._rank}", "")

    def wait(self) -> None:
        """Return when all processes have called this as often as this one.

        Raises UserError where one of them has ended, or gives no sign of life.
        """
        self._number += 1
        self._beats.clear()
        here = f"here/{self._number}"
        with clear_lost_process():
            pause_s = 0.001
            come = self._store.add(here, 1)
            while come < self._world:
                self._check_alive(here)
                time.sleep(pause_s)
                pause_s = min(_ASK_SECONDS, 2 * pause_s)
                come = self._store.add(here, 0)

    def _check_alive(self, here: str) -> None:
        now = time.monotonic()
        for rank in range(self._world):
            beats = self._store.add(f"alive/{rank}", 0)
            if beats != self._beats.get(rank, (-1, 0.0))[0]:
                self._beats[rank] = beats, now
            if self._store.check([f"left/{rank}"]):
                # it may have come here first, as the last thing it did
                if self._store.add(here, 0) < self._world:
                    raise _lost(f"process {rank} has ended")
            elif now - self._beats[rank][1] > SILENT_SECONDS:
                raise _lost(f"process {rank} has given no sign of life for {SILENT_SECONDS:.0f} s")


@contextmanager
def clear_lost_process() -> Iterator[None]:
    """Errors of a collective or of its store within the block become a UserError."""
    try:
        yield
    except RuntimeError as error:
        said = str(error)
        is_of_group = type(error).__name__.startswith("Dist") or "gloo" in said or "NCCL" in said
        if not is_of_group:
            raise
        raise _lost(f"the connection to another process broke ({said.splitlines()[0]})") from error


def _lost(how: str) -> UserError:
    return UserError(
        f"torchrun: {how}; its own output says why. What is finished is kept: the same command goes"
        " on"
    )
