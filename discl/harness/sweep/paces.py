"""What was timed on this machine, kept by work and machine; and samples that end in time."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from discl import __version__
from discl.core.compute.device import driver_version
from discl.core.errors import DiskError
from discl.core.hashing import short
from discl.core.seals import DamagedFileError, read_sealed, sealed_text
from discl.files.disk import folder_lock, home, write_text
from discl.files.processes import cores
from discl.harness.run.provenance import processor

# of all samples for one estimate: with the imports before them and the data, 20 at most
MOST_SECONDS = 15.0
BUSY_LOAD = 2.0  # processes a core that want to run, over the last minute
IMPORTING_SECONDS = 0.1  # until it is asked again whether an import is over


class Patience:
    """How long the samples of one estimate may take, all together, with the imports before them.

    What an estimate does between them, such as preparing the data, is not counted.
    """

    def __init__(self, seconds: float = MOST_SECONDS) -> None:
        self.left = seconds  # none where it is 0 or below
        self.asked = seconds > 0  # whether what is not known is to be measured, or priced
        self.importing = 0.0  # seconds in which torch was imported: how busy the machine is


class _TooSlowError(BaseException):  # no library takes it for an error of its own
    """A sample is not done in time."""


def measured_once(
    work: list[object], measure: Callable[[], Iterable[Sequence[float]]], patience: Patience
) -> list[float] | None:
    """A measurement of this work on this machine, made before or else now; None = not in time.

    `measure` gives what it knows so far, again and again: the last that came in time counts, and is
    kept where it is all and was timed (`by_flops` of it is 0). Measuring takes seconds, most of
    them imports. What a busy machine gives is not kept.
    """
    path = home() / "paces.json"
    machine = [
        processor(),
        gpu_names(),
        os.environ.get("CUDA_VISIBLE_DEVICES"),
        os.environ.get("OMP_NUM_THREADS"),
        __version__,
    ]
    key = short([work, machine])
    try:
        with folder_lock(home() / "paces"):
            known = _known_paces(path)
            if key in known:
                return known[key]
            quiet = os.getloadavg()[0] <= BUSY_LOAD * cores()
            found = _within(patience, measure)
            if quiet and found.complete:
                known[key] = list(found.values or ())
                write_text(path, sealed_text(known))
            return found.values
    except DiskError:  # nothing may be written here, and nothing needs to be
        return _known_paces(path).get(key) or _within(patience, measure).values


class _Found(NamedTuple):
    values: list[float] | None
    complete: bool


def _within(patience: Patience, measure: Callable[[], Iterable[Sequence[float]]]) -> _Found:
    """The last of what is measured in time, and whether that is all."""
    values: list[float] | None = None
    timed = True
    if patience.left > 0 and "torch" not in sys.modules:
        started = time.monotonic()
        import torch  # noqa: F401 - not to be interrupted

        patience.importing = time.monotonic() - started
        patience.left -= patience.importing
    try:
        with _interrupting(patience):
            for found in measure():
                values = list(found)
                timed = not getattr(found, "by_flops", 0.0)
    except _TooSlowError:
        return _Found(values, complete=False)
    return _Found(values, complete=timed)


@contextmanager
def _interrupting(patience: Patience) -> Iterator[None]:
    """Raise _TooSlowError where the block is not done in time.

    It is interrupted between two operations, and in the main thread alone; elsewhere it goes on.
    An import ends first: half a module would stay behind, and every later use of it would fail.
    """

    def ended(_: int, frame: FrameType | None) -> None:
        if _importing(frame):
            signal.setitimer(signal.ITIMER_REAL, IMPORTING_SECONDS)
        else:
            raise _TooSlowError

    if patience.left <= 0:
        raise _TooSlowError
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    started = time.monotonic()
    before = signal.signal(signal.SIGALRM, ended)
    signal.setitimer(signal.ITIMER_REAL, patience.left)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        patience.left -= time.monotonic() - started


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported where the program stands."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _known_paces(path: Path) -> dict[str, list[float]]:
    """Stored measurements; none of a file that is missing or damaged: they are made again."""
    if not path.exists():
        return {}
    try:
        stored = read_sealed(path, "what it held is measured again")
        return {key: [float(each) for each in seconds] for key, seconds in stored.items()}
    except (DamagedFileError, ValueError, TypeError):
        return {}


def forget_paces() -> None:
    """Have every pace measured again, when it is asked for next."""
    with contextlib.suppress(OSError):
        (home() / "paces.json").unlink(missing_ok=True)


def gpu_names() -> list[str]:
    """Names of the GPUs that torch can use; asks torch only where there is a driver for one."""
    if "torch" not in sys.modules and not (driver_version() or Path("/dev/dxg").exists()):
        return []
    import torch

    if not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
