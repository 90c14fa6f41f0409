"""Ray: the machines of a Ray cluster, or a small one started here."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import ceil, inf
from textwrap import shorten
from typing import Any

from discl.core.errors import UserError
from discl.parts.executors.base.work_queue import TRIES, WorkItem, WorkQueue
from discl.parts.executors.base.worker import Worker, read_answer, shared_environment

_MOST_ON_A_NODE = 8  # workers on a machine without GPU: each holds a generator in memory
# a cluster that has not answered by then is not there; ray.init itself would wait for two minutes
ANSWER_SECONDS = 10.0
LOOK_SECONDS = 1.0  # between checks for an item that is not known yet
_MOST_CHARACTERS = 400  # characters of what Ray says of a death: it goes on with advice


class Ray:
    """An actor for each worker, an actor task for each item.

    `workers` = 0: one for each GPU, or for each core (at most 8 a machine) where the cluster has no
    GPU. `cpus` and `gpus` are what each worker has for itself, such as 0.5 of a GPU; 0: shared out
    evenly. Where they are given, `workers` = 0 is as many as the cluster has room for.

    `address` = "" starts a cluster on this machine and ends it with the run; "auto" joins the one
    this machine belongs to, "host:port" any other. Two nodes, with the same packages and with
    DISCL_HOME on a file system both see:

        node 1$ ray start --head --port=6379
        node 2$ ray start --address=node1:6379
        node 1$ DISCL_HOME=/shared/discl discl bank build BENCH --executor ray --address auto

    Only node 1 hands out items and takes the answers. DISCL_HOME, DISCL_DATA, HF_HOME,
    HF_HUB_OFFLINE and WANDB_* are node 1's on every node. Node 2 may die on the way. `ray stop` on
    each node ends the cluster. Anyone who can reach port 6379 can run code on both: where others
    can, run `ray get-auth-token --generate` on node 1 first and copy ~/.ray/auth_token to node 2.
    """

    version = 1
    not_hashed = ("address", "workers", "cpus", "gpus")

    def __init__(
        self, address: str = "", workers: int = 0, cpus: float = 0.0, gpus: float = 0.0
    ) -> None:
        """Settings:

        `address`: address of a cluster, "auto" for the one of this machine; empty starts one here.
        `workers`: actors side by side; 0 is one for each GPU, or for each core.
        `cpus`: cores that each worker has for itself; 0 shares them out evenly.
        `gpus`: GPUs that each worker has for itself, such as 0.5; 0 shares them out evenly.
        """
        if workers < 0:
            raise UserError(
                f"executor 'ray': workers = {workers}; it takes 1 or more, or 0 for one on each GPU"
                " or core"
            )
        if not 0 <= cpus < inf:
            raise UserError(
                f"executor 'ray': cpus = {cpus}; it takes the cores of a worker, or 0 to share"
                " them out"
            )
        if not (0 <= gpus <= 1 or gpus % 1 == 0 < gpus):
            raise UserError(
                f"executor 'ray': gpus = {gpus}; it takes a part of one GPU, a whole number, or 0"
                " to share them out"
            )
        self.address = address
        self.workers = workers
        self.cpus = cpus
        self.gpus = gpus

    def run(
        self, prepare: Callable[[], Callable[[Any], Any]], items: Iterator[Any]
    ) -> Iterator[tuple[Any, Any]]:
        first = list(itertools.islice(items, 1))
        if not first:  # no cluster is started for nothing
            return
        with cluster(self.address) as ray:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            workers, resources = share_out(nodes, self.workers, self.cpus, self.gpus)
            pool = _ActorPool(ray, pickle.dumps(prepare), workers, resources)
            try:
                yield from pool.run(itertools.chain(first, items))
            finally:
                pool.shut_down()


@contextlib.contextmanager
def cluster(address: str = "") -> Iterator[Any]:
    """The `ray` module, connected until the block ends; a connection that exists is left alone."""
    ray = _ray()
    if ray.is_initialized():
        yield ray
        return
    with _own_signals():
        try:
            _join(ray, address)
            yield ray
        finally:
            _disconnect(ray)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError("ray is not installed; pip install 'discl[ray]'") from error
    return ray


def _join(ray: Any, address: str) -> None:
    if address:
        _check(address)
    else:
        # anyone who reaches a cluster can run code in it, so it has a password of our own, since
        # Ray would leave one in ~/.ray, where a later `ray start` finds it and refuses every node
        # that lacks it
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        ray.init(
            address or "local",
            include_dashboard=None if address else False,
            logging_level="ERROR",
            log_to_driver=False,
        )
    # Ray raises plain `Exception`, such as where a busy machine starts it too slowly
    except Exception as error:
        where = (
            f"the Ray cluster at {address!r} refuses the connection"
            if address
            else "no Ray cluster could be started here"
        )
        raise UserError(f"{where}: {error}") from error


def _disconnect(ray: Any) -> None:
    """Shut Ray down and wait for its processes.

    Ray waits a second for each process it has killed; on a busy machine more than one is then
    neither gone nor waited for.
    """
    node = getattr(ray._private.worker, "_global_node", None)  # None: it did not come that far
    processes = [
        info.process for infos in getattr(node, "all_processes", {}).values() for info in infos
    ]
    ray.shutdown()
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ANSWER_SECONDS)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Give SIGTERM back in the end: ray.init takes it, to end Ray's own processes."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _check(address: str) -> None:
    """Raise UserError where a cluster does not answer `ray status`."""
    command = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "status",
        *([] if address == "auto" else ["--address", address]),
    ]
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
        why = (asked.stderr.strip().splitlines() or ["no message"])[-1] if asked.returncode else ""
    except subprocess.TimeoutExpired:
        why = f"no answer within {ANSWER_SECONDS:.0f} s"
    if why:
        raise UserError(
            f"no Ray cluster at {address!r} ({why}); start one with `ray start --head`, or leave"
            " the address empty"
        )


def share_out(
    nodes: Sequence[Mapping[str, float]], workers: int, cpus: float = 0.0, gpus: float = 0.0
) -> tuple[int, dict[str, float]]:
    """(workers, resources of each) for nodes with so many `CPU` and `GPU`.

    0 workers = as many as suit the nodes. More workers than GPUs or cores share them, unless `cpus`
    or `gpus` says what each is to have. Raises UserError where no node has so much.
    """
    total = sum(node.get("GPU", 0) for node in nodes)
    cores = [node["CPU"] for node in nodes if node.get("CPU")] or [1.0]
    if total or gpus:
        workers = workers or _room(nodes, {"CPU": cpus, "GPU": gpus or 1.0})
        # no core is asked for beside the GPU: a node short of cores would leave its GPUs idle
        resources = {"CPU": cpus, "GPU": gpus or _part(workers / total)}
    elif cpus:
        workers = workers or _room(nodes, {"CPU": cpus})
        resources = {"CPU": cpus, "GPU": 0.0}
    else:
        workers = workers or int(sum(min(_MOST_ON_A_NODE, count) for count in cores))
        # what the smallest node can give to each of its share of the workers
        per_worker = min(cores) // ceil(workers / len(cores))
        resources = {"CPU": max(per_worker, _part(workers / sum(cores))), "GPU": 0.0}
    if (cpus or gpus) and not _room(nodes, resources):  # they would wait for ever
        has = "; ".join(
            f"{node.get('CPU', 0):g} cores, {node.get('GPU', 0):g} GPUs" for node in nodes
        )
        raise UserError(
            f"no Ray node has {resources['CPU']:g} cores and {resources['GPU']:g} GPUs for a worker"
            f" ({has}); ask for fewer cpus or gpus"
        )
    return workers, {"num_cpus": resources["CPU"], "num_gpus": resources["GPU"]}


def _room(nodes: Sequence[Mapping[str, float]], resources: Mapping[str, float]) -> int:
    """How many workers with these resources the nodes have room for."""
    return sum(
        min(int(node.get(kind, 0) / amount + 1e-9) for kind, amount in resources.items() if amount)
        for node in nodes
    )


def _part(sharing: float) -> float:
    """One GPU or core, or the part that each of `sharing` workers gets.

    Rounded down to Ray's smallest unit.
    """
    return 10_000 // max(1, ceil(sharing)) / 10_000


def short_reason(error: Exception) -> str:
    """The kind of a death, and why as far as Ray knows; without the names it gives things."""
    lines = [line for line in str(error).splitlines() if not line.startswith("\t")]
    return f"{type(error).__name__}: {shorten(' '.join(lines), _MOST_CHARACTERS)}"


class _ActorPool:
    """The actors of one run.

    One gets an item when it is up and another for each answer; one that the cluster has no room for
    never holds any. The dead are replaced here and not by Ray, whose retries are used up within
    seconds of a node's end.
    """

    def __init__(
        self, ray: Any, prepare: bytes, workers: int, resources: Mapping[str, float]
    ) -> None:
        self._ray = ray
        create = ray.remote(**resources)(Worker).remote
        self._create = partial(create, prepare, shared_environment())
        self._starting: dict[Any, Any] = {}  # reference that is ready when it is up -> actor
        # reference that becomes the reply -> actor and item
        self._running: dict[Any, tuple[Any, WorkItem]] = {}
        self._idle: list[Any] = []
        self._failed_starts = 0  # in a row
        for _ in range(workers):
            self._start()

    def _start(self) -> None:
        actor = self._create()
        self._starting[actor.__ray_ready__.remote()] = actor

    def run(self, items: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        queue = WorkQueue(items)
        while self._running or queue.open:
            answers = []
            for reference in self._ready():
                if reference in self._running:
                    answers += self._collect(reference, queue)
                else:
                    self._finish_start(reference)
            # before the answers go out: the workers are busy while the caller is
            self._hand_out(queue)
            yield from answers
            # and after: the next items may depend on the answers
            self._hand_out(queue)

    def _ready(self) -> list[Any]:
        """References that are ready, after a while perhaps none."""
        if expected := [*self._running, *self._starting]:
            ready: list[Any] = self._ray.wait(expected, timeout=LOOK_SECONDS)[0]
            return ready
        time.sleep(LOOK_SECONDS)
        return []

    def _hand_out(self, queue: WorkQueue) -> None:
        while self._idle:
            work = queue.draw()
            if work is None:
                return
            actor = self._idle.pop()
            self._running[actor.answer.remote(work.body)] = actor, work

    def _collect(self, reference: Any, queue: WorkQueue) -> list[tuple[Any, Any]]:
        actor, work = self._running.pop(reference)
        try:
            reply = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._replace(actor)
            if lost := work.worker_died(short_reason(error)):
                return [(work.item, lost)]
            queue.put_back(work)
            return []
        self._idle.append(actor)
        return [(work.item, read_answer(reply))]

    def _finish_start(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._failed_starts += 1
            if self._failed_starts == TRIES:
                raise UserError(
                    f"Ray workers do not start ({error}); is discl installed on every node?"
                ) from error
            self._replace(actor)
        else:
            self._failed_starts = 0
            self._idle.append(actor)

    def _replace(self, actor: Any) -> None:
        self._ray.kill(actor)  # it may be alive, with the connection to it cut off
        self._start()

    def shut_down(self) -> None:
        """Kill all actors."""
        busy = [actor for actor, _ in self._running.values()]
        for actor in [*self._idle, *self._starting.values(), *busy]:
            self._ray.kill(actor)
