"""A worker: it prepares once, then answers items, wherever it runs."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

_VARIABLES = ("DISCL_HOME", "DISCL_DATA", "HF_HOME", "HF_HUB_OFFLINE")


def shared_environment() -> dict[str, str]:
    """Variables a worker on another machine needs: folders, and the settings of trackers."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _VARIABLES or name.startswith("WANDB_")
    }


class Worker:
    """Holds the function that `prepare` returned.

    Everything travels as pickled bytes, so that whatever is wrong with an item, an answer or
    `prepare` itself comes back as an exception instead of breaking the channel it came through.
    """

    def __init__(self, prepare: bytes, environment: Mapping[str, str] | None = None) -> None:
        self._prepare = prepare
        os.environ.update(environment or {})

    @cached_property
    def _function(self) -> Callable[[Any], Any]:
        # at the first item, not before: a death while a model loads is then a death of that item,
        # and is counted
        function: Callable[[Any], Any] = pickle.loads(self._prepare)()  # noqa: S301 - from the process that started us
        return function

    def answer(self, item: bytes) -> bytes:
        """The pickled (True, answer) or (False, exception) to a pickled item."""
        try:
            answer = self._function(pickle.loads(item))  # noqa: S301
            return pickle.dumps((True, answer), pickle.HIGHEST_PROTOCOL)
        except BaseException as error:  # also SystemExit: it must not look like a worker that died
            return pickle.dumps((False, _portable(error)))


def read_answer(reply: bytes) -> Any:
    """The answer in what `Worker.answer` returned; raises the exception where that is what came."""
    succeeded, answer = pickle.loads(reply)  # noqa: S301
    if not succeeded:
        raise answer from None
    return answer


def _portable(error: BaseException) -> BaseException:
    """`error` with its traceback as a note, since the traceback itself does not travel.

    A RuntimeError with the same words where it cannot be pickled.
    """
    trace = "".join(traceback.format_exception(error))
    try:
        error.add_note(trace)
        pickle.loads(pickle.dumps(error))  # noqa: S301 - an exception with a constructor of its own fails only here
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
        error.add_note(trace)
    return error
