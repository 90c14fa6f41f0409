"""Processes that read and transform the images of a training, and go on from plan to plan."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discl.core.errors import UserError
from discl.engine.prefetch import AHEAD
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.distributed import Share
from discl.engine.training.sampler import Plan
from discl.engine.training.transforms import Key, TrainingPictures
from discl.files.processes import cores

MOST = 16  # processes that "auto" starts; a GPU takes no more images than these transform

Item = tuple[Key, int, int, int, int]  # the plan's key, the position in it, row, level, index


def cores_of_gpu() -> int:
    """CPU cores for each GPU that is worked on: those of this process, or its part of them.

    Processes of torchrun share the cores, and so do the workers of a sweep, which are told their
    number of threads.
    """
    if multiprocessing.parent_process() and os.environ.get("OMP_NUM_THREADS", "").isdecimal():
        return max(1, min(cores(), int(os.environ["OMP_NUM_THREADS"])))
    return max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def reading_processes(workers: int | str, device: torch.device) -> int:
    """Processes that `train.workers` means; "auto" = all cores of a GPU but one, none on a CPU.

    The cores of a CPU are at work with the training itself.
    """
    if isinstance(workers, int):
        return workers
    return 0 if device.type == "cpu" else max(1, min(MOST, cores_of_gpu() - 1))


class Reader:
    """Reads the images of plans, transformed, in `processes` processes; 0 = in this one.

    The processes are started once, with the first plan, and end with `close`.
    """

    def __init__(self, training_data: TrainingData, config: TrainConfig, processes: int) -> None:
        self._training_data = training_data
        self._config = config
        self._processes = processes
        self._chosen = _Chosen()
        self._loader: Any = None

    def read(
        self, plan: Plan, skip: int, key: Key, share: Share
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Images uint8 [b, h, w, 3] and labels [b] of a plan's batches after the first `skip`.

        `key` seeds all randomness. Raises UserError where a process dies.
        """
        batch = self._config.batch
        self._chosen.take(plan, key, range(skip, len(plan) // batch), batch, share.of(batch))
        if self._loader is None:
            self._loader = self._started()
        with _clear_deaths(self._processes), _may_have_children():
            yield from self._loader

    def _started(self) -> Any:
        return torch.utils.data.DataLoader(
            TrainingPictures(self._training_data, self._config, alone=self._processes > 0),
            batch_sampler=self._chosen,
            num_workers=self._processes,
            prefetch_factor=AHEAD if self._processes else None,
            persistent_workers=self._processes > 0,
            pin_memory=torch.cuda.is_available(),
            # else the loader would draw from the generator that networks and losses draw from
            generator=torch.Generator(),
        )

    def close(self) -> None:
        """End the processes; `read` starts them again."""
        self._loader = None


class _Chosen:
    """Which images come next, batch by batch: another plan for each epoch."""

    def __init__(self) -> None:
        self._batches: Iterator[list[Item]] = iter(())
        self._count = 0

    def take(self, plan: Plan, key: Key, steps: range, batch: int, own: slice) -> None:
        """The `own` part of the batches of these steps of a plan."""
        columns = np.stack([plan.row, plan.level, plan.position], 1)

        def made() -> Iterator[list[Item]]:
            for step in steps:
                positions = range(step * batch, (step + 1) * batch)[own]
                rows = columns[positions.start : positions.stop].tolist()
                yield [(key, at, *row) for at, row in zip(positions, rows, strict=True)]

        self._batches = made()
        self._count = len(steps)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[Item]]:
        return self._batches


@contextmanager
def _clear_deaths(processes: int) -> Iterator[None]:
    """A UserError where a reading process has died, most often for lack of memory.

    An error that such a process raised comes with its traceback as text; of a UserError its
    sentence is left.
    """
    try:
        yield
    except UserError as error:
        kind = type(error)
        _, named, sentence = str(error).rpartition(f"\n{kind.__module__}.{kind.__qualname__}: ")
        if not named:
            raise
        raise UserError(sentence.strip()) from error
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):  # else it lives, and raised something
            raise
        raise UserError(
            f"a process that reads photos died, one of {processes}: {_first_line(error)}; memory,"
            " or shared memory (docker's --shm-size), is too small; set train.workers to fewer, or"
            " 0; the same command goes on"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")


@contextmanager
def _may_have_children() -> Iterator[None]:
    """Lets a worker of a sweep start reading processes, which Python denies its daemons.

    It fears that they are left behind; torch's look after their parent, and end with it.
    """
    settings: dict[str, Any] = getattr(multiprocessing.current_process(), "_config")  # noqa: B009
    is_daemon = settings.pop("daemon", None)
    try:
        yield
    finally:
        if is_daemon is not None:
            settings["daemon"] = is_daemon
