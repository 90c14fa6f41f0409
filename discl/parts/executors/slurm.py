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
from discl.parts.executors.base.work_queue import WorkItem, WorkQueue
from discl.parts.executors.base.worker import Worker, read_answer, shared_environment

# between questions to Slurm's accounting, which knows of jobs that died; submitit would wait
# up to ten minutes
_ASK_SECONDS = 30.0
_ANSWER_SECONDS = 10.0  # Slurm answers within a second, or something is wrong


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
    item_is_job = True
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
        """Settings:

        `workers`: jobs in the queue at a time.
        `partition`: partition of the jobs; empty is the cluster's default.
        `minutes`: time limit of a job.
        `memory_gb`: memory of a job in gigabytes; 0 is as much as the partition gives.
        `cpus`: cores of a job, and its threads.
        `gpus`: GPUs of a job.
        `folder`: where jobs keep their output, seen by every node; empty is $DISCL_HOME/slurm.
        `cluster`: "slurm", or "local" to try it on this machine.
        """
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
        self._parameters = {
            "name": "discl",  # what `scancel --name` finds
            "timeout_min": minutes,
            "cpus_per_task": cpus,
            "gpus_per_node": gpus or None,
            "mem_gb": memory_gb or None,
            "slurm_partition": partition or None,
            "slurm_additional_parameters": {
                "no-requeue": True
            },  # deaths are counted here, and jobs submitted again from here
        }

    def run(
        self, prepare: Callable[[], Callable[[Any], Any]], items: Iterator[Any]
    ) -> Iterator[tuple[Any, Any]]:
        first = list(itertools.islice(items, 1))
        if not first:  # no folder is made for nothing
            return
        environment = shared_environment() | {"OMP_NUM_THREADS": str(self.cpus)}
        queue = _JobQueue(
            self._submitter(),
            _CLUSTERS[self.cluster],
            partial(_answer, pickle.dumps(prepare), environment),
        )
        try:
            yield from queue.run(itertools.chain(first, items), self.workers)
        finally:
            queue.shut_down()

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
        executor.update_parameters(**self._parameters)
        return executor


def _answer(prepare: bytes, environment: Mapping[str, str], item: bytes) -> bytes:
    """In a job: the reply to one item.

    Whatever ends the job early is to end it at once: submitit would raise an exception amid the
    work instead, which the work might take for its own, and queue the job again by itself.
    """
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # time is nearly up; use what is left
    for final in (signal.SIGTERM, signal.SIGINT):
        signal.signal(final, signal.SIG_DFL)
    return Worker(prepare, environment).answer(item)


def _check_slurm() -> None:
    commands = ("sbatch", "srun", "sacct", "scancel")
    lacking = [command for command in commands if not shutil.which(command)]
    if lacking:
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


def _sacct(*arguments: str) -> str:
    return subprocess.run(
        ["sacct", *arguments], capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=True
    ).stdout


def _peak_by_sacct(job: Any) -> int | None:
    """From Slurm's accounting, which looks every half minute and knows nothing of shorter jobs."""
    with contextlib.suppress(subprocess.SubprocessError):
        listed = _sacct(
            "--jobs", job.job_id, "--noheader", "--parsable2", "--noconvert", "--format=MaxRSS"
        ).split()
        return max((int(size) for size in listed if size.isdecimal()), default=None)
    return None


def _scancel(job: Any) -> None:
    job.cancel(check=False)


def _terminate(job: Any) -> None:
    """End a local job by SIGTERM.

    submitit would send SIGINT, which processes that a shell put into the background ignore.
    """
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not job.done() and time.monotonic() < deadline:
        os.kill(int(job.job_id), signal.SIGTERM)  # submitit passes it on, once it has begun
        time.sleep(0.02)


class _Cluster(NamedTuple):
    """One of the clusters that submitit knows."""

    check: Callable[[], None]  # raises UserError where it cannot be used
    look_seconds: float  # between checks of the jobs
    # an answer is written by another machine, and may be seen later than the job's end
    shared: bool
    peak_bytes: Callable[[Any], int | None]  # memory a dead job was seen to hold
    cancel: Callable[[Any], None]


_CLUSTERS = {
    "slurm": _Cluster(_check_slurm, 1.0, True, _peak_by_sacct, _scancel),
    "local": _Cluster(lambda: None, 0.05, False, lambda job: None, _terminate),
}


class _JobQueue:
    """The jobs of one run that have not ended."""

    def __init__(self, submitter: Any, cluster: _Cluster, answer: Callable[[bytes], bytes]) -> None:
        self._submitter = submitter
        self._cluster = cluster
        self._answer = answer
        self._running: list[tuple[Any, WorkItem]] = []  # with submitit's jobs
        self._asked = time.monotonic()

    def run(self, items: Iterator[Any], most: int) -> Iterator[tuple[Any, Any]]:
        queue = WorkQueue(items)
        self._hand_out(queue, most)
        while self._running or queue.open:
            answers = [
                pair for job, work in self._ended() for pair in self._collect(job, work, queue)
            ]
            # before the answers go out: the cluster is busy while the caller is
            self._hand_out(queue, most)
            yield from answers
            # and after: the next items may depend on the answers
            self._hand_out(queue, most)

    def _hand_out(self, queue: WorkQueue, most: int) -> None:
        while len(self._running) < most:
            work = queue.draw()
            if work is None:
                return
            try:
                job = self._submitter.submit(self._answer, work.body)
            except RuntimeError as error:  # submitit's, with the words of sbatch
                why = "; ".join(str(error).strip().splitlines())
                raise UserError(
                    f"Slurm refused a job ({why}); `sinfo` lists the partitions"
                ) from error
            self._running.append((job, work))

    def _ended(self) -> list[tuple[Any, WorkItem]]:
        """Jobs that have ended, no longer among the running; waits a while where there are none."""
        ended = self._look()
        if not ended:
            time.sleep(self._cluster.look_seconds)
        self._running = [pair for pair in self._running if pair not in ended]
        return ended

    def _look(self) -> list[tuple[Any, WorkItem]]:
        if self._running and time.monotonic() - self._asked > _ASK_SECONDS:
            self._asked = time.monotonic()
            self._running[0][0].done(force_check=True)  # one question is about all
        # submitit waits for Slurm to run a preempted job again, which we forbade
        return [
            (job, work) for job, work in self._running if job.done() or job.state == "PREEMPTED"
        ]

    def _collect(self, job: Any, work: WorkItem, queue: WorkQueue) -> Iterator[tuple[Any, Any]]:
        reply = self._reply(job)
        for path in (job.paths.submitted_pickle, job.paths.result_pickle):
            path.unlink(missing_ok=True)
        if reply is not None:
            yield work.item, read_answer(reply)
            return
        how = f"{job.state}, see {job.paths.stderr}"
        if lost := work.worker_died(how, self._cluster.peak_bytes(job)):
            yield work.item, lost
        else:
            queue.put_back(work)

    def _reply(self, job: Any) -> bytes | None:
        """The reply of a job; None = it died."""
        from submitit.core.utils import UncompletedJobError

        if not (self._cluster.shared or job.paths.result_pickle.exists()):
            return None  # where a disk is shared, submitit waits some seconds for it
        try:
            reply: bytes = job.result()
        except UncompletedJobError:
            return None
        return reply

    def shut_down(self) -> None:
        """Cancel all jobs, and keep of their files only what they printed."""
        for job, _ in self._running:
            self._cluster.cancel(job)
        self._running.clear()
        for path in self._submitter.folder.glob("*.pkl"):
            path.unlink(missing_ok=True)
