"""Slurm: a job of a cluster for each item, submitted by submitit."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from discl.core.errors import UserError
from discl.files.disk import clear_disk_errors, home
from discl.parts.executors._worker import Worker, WorkItem, WorkQueue, read, surroundings

# between questions to Slurm's accounting, which alone knows of jobs that died; submitit would wait
# up to ten minutes
_ASK_S = 30.0
_PATIENCE_S = 10.0  # Slurm answers within a second, or something is wrong


class Slurm:
    """A job for each item, at most `workers` in the queue at a time; the next item is drawn when
    one ends.

        login$ export DISCL_HOME=/shared/discl
        login$ discl sweep NAME --executor slurm --workers 32 \
        ...     --executor-set partition=gpu --executor-set gpus=1

    `partition` = "" is the cluster's default, and `memory_gb` = 0 as much as the partition gives. A
    job has `minutes`, `cpus` cores (as many threads) and `gpus` GPUs. `folder` = "" is
    $DISCL_HOME/slurm; it must lie, like DISCL_HOME and the packages, where every node sees it.
    DISCL_HOME, DISCL_DATA, HF_HOME, HF_HUB_OFFLINE and WANDB_* are the caller's on every node.
    `cluster` = "local" runs the jobs on this machine, without Slurm, to try things out.

    A job that dies, runs out of time or is preempted is submitted again, twice at most; training
    goes on from its last checkpoint. Ctrl-C cancels the jobs. Only a caller that is killed leaves
    them in the queue: `scancel --name discl`.

    Each job's output stays in a folder of the run under `folder`. So do, until the job has ended,
    its item and its answer as pickles: they pass through files since Slurm has no other way. Nobody
    but you may write or read there.
    """

    version = 1
    not_hashed = (
        "workers",
        "partition",
        "minutes",
        "memory_gb",
        "cpus",
        "gpus",
        "folder",
        "cluster",
    )

    def __init__(
        self,
        workers: int = 8,
        partition: str = "",
        minutes: int = 240,
        memory_gb: float = 0.0,
        cpus: int = 4,
        gpus: int = 0,
        folder: str = "",
        cluster: str = "slurm",
    ) -> None:
        for name, count, least in (
            ("workers", workers, 1),
            ("minutes", minutes, 1),
            ("cpus", cpus, 1),
            ("gpus", gpus, 0),
        ):
            if count < least:
                raise UserError(f"executor 'slurm': {name} = {count}; it takes {least} or more")
        if not memory_gb >= 0:
            raise UserError(
                f"executor 'slurm': memory_gb = {memory_gb}; it takes gigabytes, or 0 for what the"
                " partition gives"
            )
        if cluster not in _CLUSTERS:
            raise UserError(
                f"executor 'slurm': cluster = {cluster!r}; it takes"
                f" {' or '.join(map(repr, _CLUSTERS))}"
            )
        self.workers = workers
        self.cluster = cluster
        self.cpus = cpus
        self.folder = Path(folder).expanduser() if folder else home() / "slurm"
        self._asked_for = {
            "name": "discl",  # what `scancel --name` finds
            "timeout_min": minutes,
            "cpus_per_task": cpus,
            "gpus_per_node": gpus or None,
            "mem_gb": memory_gb or None,
            "slurm_partition": partition or None,
            "slurm_additional_parameters": {
                "no-requeue": True
            },  # we count who dies, and submit again ourselves
        }

    def run(
        self, prepare: Callable[[], Callable[[Any], Any]], items: Iterator[Any]
    ) -> Iterator[tuple[Any, Any]]:
        first = list(itertools.islice(items, 1))
        if not first:  # no folder is made for nothing
            return
        environment = surroundings() | {"OMP_NUM_THREADS": str(self.cpus)}
        queue = _Queue(
            self._submitter(),
            _CLUSTERS[self.cluster],
            partial(_work, pickle.dumps(prepare), environment),
        )
        try:
            yield from queue.run(itertools.chain(first, items), self.workers)
        finally:
            queue.leave()

    def _submitter(self) -> Any:
        """submitit's executor, with a folder of its own."""
        try:
            import submitit
        except ImportError as error:
            raise UserError("submitit is not installed; pip install 'discl[slurm]'") from error
        _CLUSTERS[self.cluster].check()
        folder = self.folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
        with clear_disk_errors("submitting jobs", folder):
            folder.mkdir(mode=0o700, parents=True)
        executor = submitit.AutoExecutor(folder, cluster=self.cluster)
        executor.update_parameters(**self._asked_for)
        return executor


def _work(prepare: bytes, environment: Mapping[str, str], item: bytes) -> bytes:
    """What a job does.

    Whatever ends it early is to end it at once: submitit would raise an exception amid the work
    instead, which the work might take for its own, and put the job into the queue again by itself.
    """
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # time is nearly up; use what is left
    for final in (signal.SIGTERM, signal.SIGINT):
        signal.signal(final, signal.SIG_DFL)
    return Worker(prepare, environment).answer(item)


def _check_slurm() -> None:
    if lacking := [
        command for command in ("sbatch", "srun", "sacct", "scancel") if not shutil.which(command)
    ]:
        raise UserError(
            f"no Slurm here ({', '.join(lacking)} not found); start this where `sbatch` works, or"
            " take --executor local"
        )
    try:
        _sacct("--allocations")
    except subprocess.SubprocessError as error:  # a job that died would be waited for without end
        why = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
        raise UserError(
            f"`sacct` does not work ({why}), and nothing else tells which jobs died; who runs the"
            " cluster can help"
        ) from error


def _sacct(*words: str) -> str:
    return subprocess.run(
        ["sacct", *words], capture_output=True, text=True, timeout=_PATIENCE_S, check=True
    ).stdout


def _peak_by_sacct(job: Any) -> int | None:
    """Slurm looks every half minute: it knows nothing of shorter jobs."""
    with contextlib.suppress(subprocess.SubprocessError):
        seen = _sacct(
            "--jobs", job.job_id, "--noheader", "--parsable2", "--noconvert", "--format=MaxRSS"
        ).split()
        return max((int(held) for held in seen if held.isdecimal()), default=None)
    return None


def _scancel(job: Any) -> None:
    job.cancel(check=False)


def _terminate(job: Any) -> None:
    """submitit would send SIGINT, which processes that a shell put into the background ignore."""
    deadline = time.monotonic() + _PATIENCE_S
    while not job.done() and time.monotonic() < deadline:
        os.kill(int(job.job_id), signal.SIGTERM)  # it hands it on, once it has begun
        time.sleep(0.02)


class _Cluster(NamedTuple):
    """What sets one of submitit's clusters apart."""

    check: Callable[[], None]  # raises UserError where it cannot be used
    look_s: float  # between looks at the jobs
    shared: (
        bool  # an answer is written by another machine, and may be seen later than the job's end
    )
    peak: Callable[[Any], int | None]  # bytes of memory a dead job was seen to hold
    cancel: Callable[[Any], None]


_CLUSTERS = {
    "slurm": _Cluster(_check_slurm, 1.0, True, _peak_by_sacct, _scancel),
    "local": _Cluster(lambda: None, 0.05, False, lambda job: None, _terminate),
}


class _Queue:
    """The jobs of one run that have not ended."""

    def __init__(self, submitter: Any, cluster: _Cluster, work: Callable[[bytes], bytes]) -> None:
        self._submitter = submitter
        self._cluster = cluster
        self._work = work
        self._running: list[tuple[Any, WorkItem]] = []  # submitit's job, and ours
        self._asked = time.monotonic()

    def run(self, items: Iterator[Any], most: int) -> Iterator[tuple[Any, Any]]:
        supply = WorkQueue(items)
        self._hand_out(supply, most)
        while self._running or supply.open:
            answered = [
                pair
                for submitted, job in self._ended()
                for pair in self._collect(submitted, job, supply)
            ]
            self._hand_out(
                supply, most
            )  # before the answers go out: the cluster works while the caller does
            yield from answered
            self._hand_out(supply, most)  # and after: what comes next may hang on them

    def _hand_out(self, supply: WorkQueue, most: int) -> None:
        while len(self._running) < most and (job := supply.draw()):
            try:
                submitted = self._submitter.submit(self._work, job.body)
            except RuntimeError as error:  # submitit's, with the words of sbatch
                why = "; ".join(str(error).strip().splitlines())
                raise UserError(
                    f"Slurm refused a job ({why}); `sinfo` lists the partitions"
                ) from error
            self._running.append((submitted, job))

    def _ended(self) -> list[tuple[Any, WorkItem]]:
        """Lets go of them; waits a while where there are none."""
        if not (ended := self._look()):
            time.sleep(self._cluster.look_s)
        self._running = [each for each in self._running if each not in ended]
        return ended

    def _look(self) -> list[tuple[Any, WorkItem]]:
        if self._running and time.monotonic() - self._asked > _ASK_S:
            self._asked = time.monotonic()
            self._running[0][0].done(force_check=True)  # one question tells of all
        # submitit waits for Slurm to run a preempted job again, which we forbade
        return [
            (submitted, job)
            for submitted, job in self._running
            if submitted.done() or submitted.state == "PREEMPTED"
        ]

    def _collect(
        self, submitted: Any, job: WorkItem, supply: WorkQueue
    ) -> Iterator[tuple[Any, Any]]:
        outcome = self._outcome(submitted)
        for path in (submitted.paths.submitted_pickle, submitted.paths.result_pickle):
            path.unlink(missing_ok=True)
        if outcome is not None:
            yield job.item, read(outcome)
        elif lost := job.lost(
            f"{submitted.state}, see {submitted.paths.stderr}", self._cluster.peak(submitted)
        ):
            yield job.item, lost
        else:
            supply.take_back(job)

    def _outcome(self, submitted: Any) -> bytes | None:
        """What came back for the job; None = it died."""
        from submitit.core.utils import UncompletedJobError

        if not (self._cluster.shared or submitted.paths.result_pickle.exists()):
            return None  # where a disk is shared, submitit waits some seconds for it
        try:
            outcome: bytes = submitted.result()
        except UncompletedJobError:
            return None
        return outcome

    def leave(self) -> None:
        """Send everybody home, and leave of their files what they printed."""
        for submitted, _ in self._running:
            self._cluster.cancel(submitted)
        self._running.clear()
        for path in self._submitter.folder.glob("*.pkl"):
            path.unlink(missing_ok=True)
