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
from discl.parts.executors._worker import TRIES, Worker, WorkItem, WorkQueue, read, surroundings

_MOST_A_NODE = 8  # workers on a machine without GPU: each holds a generator in memory
# a cluster that has not answered by then is not there; ray.init itself would wait for two minutes
_PATIENCE_S = 10.0
_LOOK_S = 1.0  # between questions for an item that is not known yet
_TOLD = 400  # characters of what Ray says of a death: it goes on with advice


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

    Node 1 alone hands out items and takes the answers. DISCL_HOME, DISCL_DATA, HF_HOME,
    HF_HUB_OFFLINE and WANDB_* are node 1's on every node. Node 2 may die on the way. `ray stop` on
    each node ends the cluster. Whoever reaches port 6379 may run code on both: where others can,
    run `ray get-auth-token --generate` on node 1 first and copy ~/.ray/auth_token to node 2.
    """

    version = 1
    not_hashed = ("address", "workers", "cpus", "gpus")

    def __init__(
        self, address: str = "", workers: int = 0, cpus: float = 0.0, gpus: float = 0.0
    ) -> None:
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
            crew = _Crew(
                ray, pickle.dumps(prepare), *share_out(nodes, self.workers, self.cpus, self.gpus)
            )
            try:
                yield from crew.run(itertools.chain(first, items))
            finally:
                crew.leave()


@contextlib.contextmanager
def cluster(address: str = "") -> Iterator[Any]:
    """The `ray` module, connected until the block ends.

    Where it is connected already, it stays as it is.
    """
    ray = _ray()
    if ray.is_initialized():
        yield ray
        return
    with _own_signals():
        try:
            _join(ray, address)
            yield ray
        finally:
            _part_from(ray)


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
        # whoever reaches a cluster may run code in it, so it has a password: one of our own, since
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
    # Ray raises bare ones, such as where a busy machine does not start it in half a minute
    except Exception as error:
        where = (
            f"the Ray cluster at {address!r} would not have us"
            if address
            else "no Ray cluster could be started here"
        )
        raise UserError(f"{where}: {error}") from error


def _part_from(ray: Any) -> None:
    """Ray waits a second for each process it has killed; on a busy machine more than one is then
    neither gone nor waited for.
    """
    node = getattr(ray._private.worker, "_global_node", None)  # None: it did not come that far
    processes = [
        each.process for kind in getattr(node, "all_processes", {}).values() for each in kind
    ]
    ray.shutdown()
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """ray.init takes SIGTERM for itself (an exit, so that Ray's own processes are seen out); give
    it back in the end.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _check(address: str) -> None:
    """Refuse a cluster that does not answer `ray status`."""
    command = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "status",
        *([] if address == "auto" else ["--address", address]),
    ]
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
        why = (asked.stderr.strip().splitlines() or ["no message"])[-1] if asked.returncode else ""
    except subprocess.TimeoutExpired:
        why = f"no answer within {_PATIENCE_S:.0f} s"
    if why:
        raise UserError(
            f"no Ray cluster at {address!r} ({why}); start one with `ray start --head`, or leave"
            " the address empty"
        )


def share_out(
    nodes: Sequence[Mapping[str, float]], workers: int, cpus: float = 0.0, gpus: float = 0.0
) -> tuple[int, dict[str, float]]:
    """(workers, resources of each) for nodes with so many `CPU` and `GPU`; 0 workers = as many as
    suit the nodes.

    More workers than GPUs or cores share them, unless `cpus` or `gpus` says what each is to have.
    """
    total = sum(node.get("GPU", 0) for node in nodes)
    cores = [node["CPU"] for node in nodes if node.get("CPU")] or [1.0]
    if total or gpus:
        workers = workers or _room(nodes, {"CPU": cpus, "GPU": gpus or 1.0})
        # no core is asked for beside the GPU: a node short of cores would leave its GPUs idle
        each = {"CPU": cpus, "GPU": gpus or _part(workers / total)}
    elif cpus:
        workers = workers or _room(nodes, {"CPU": cpus})
        each = {"CPU": cpus, "GPU": 0.0}
    else:
        workers = workers or int(sum(min(_MOST_A_NODE, count) for count in cores))
        whole = min(cores) // ceil(
            workers / len(cores)
        )  # what the smallest node can give to each of its share of the workers
        each = {"CPU": max(whole, _part(workers / sum(cores))), "GPU": 0.0}
    if (cpus or gpus) and not _room(nodes, each):  # they would wait for ever
        has = "; ".join(
            f"{node.get('CPU', 0):g} cores, {node.get('GPU', 0):g} GPUs" for node in nodes
        )
        raise UserError(
            f"no Ray node has {each['CPU']:g} cores and {each['GPU']:g} GPUs for a worker ({has});"
            " ask for fewer cpus or gpus"
        )
    return workers, {"num_cpus": each["CPU"], "num_gpus": each["GPU"]}


def _room(nodes: Sequence[Mapping[str, float]], each: Mapping[str, float]) -> int:
    """Workers who have `each` for themselves that the nodes have room for."""
    return sum(
        min(int(node.get(kind, 0) / amount + 1e-9) for kind, amount in each.items() if amount)
        for node in nodes
    )


def _part(crowd: float) -> float:
    """One, or the part of a GPU or core that lets `crowd` of them have one; rounded down to Ray's
    smallest unit.
    """
    return 10_000 // max(1, ceil(crowd)) / 10_000


def _told(error: Exception) -> str:
    """What kind of death, and why as far as Ray knows; without the names it gives things."""
    said = [line for line in str(error).splitlines() if not line.startswith("\t")]
    return f"{type(error).__name__}: {shorten(' '.join(said), _TOLD)}"


class _Crew:
    """The actors of one run.

    One gets an item when it is up and another for each answer; one that the cluster has no room for
    never holds any. The dead are replaced here and not by Ray, whose retries are used up within
    seconds of a node's end.
    """

    def __init__(
        self, ray: Any, prepare: bytes, workers: int, resources: Mapping[str, float]
    ) -> None:
        self._ray = ray
        self._create = partial(ray.remote(**resources)(Worker).remote, prepare, surroundings())
        self._starting: dict[Any, Any] = {}  # what tells that it is up -> actor
        self._running: dict[Any, tuple[Any, WorkItem]] = {}  # what becomes the answer -> actor, job
        self._idle: list[Any] = []
        self._stillborn = 0  # in a row
        for _ in range(workers):
            self._hire()

    def _hire(self) -> None:
        actor = self._create()
        self._starting[actor.__ray_ready__.remote()] = actor

    def run(self, items: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        supply = WorkQueue(items)
        while self._running or supply.open:
            answered = []
            for came in self._came():
                answered += (
                    self._collect(came, supply) if came in self._running else self._welcome(came)
                )
            self._hand_out(
                supply
            )  # before the answers go out: the crew works while the caller does
            yield from answered
            self._hand_out(supply)  # and after: what comes next may hang on them

    def _came(self) -> list[Any]:
        """What is ready, after a while perhaps nothing."""
        if expected := [*self._running, *self._starting]:
            ready: list[Any] = self._ray.wait(expected, timeout=_LOOK_S)[0]
            return ready
        time.sleep(_LOOK_S)
        return []

    def _hand_out(self, supply: WorkQueue) -> None:
        while self._idle and (job := supply.draw()):
            actor = self._idle.pop()
            self._running[actor.answer.remote(job.body)] = actor, job

    def _collect(self, came: Any, supply: WorkQueue) -> list[tuple[Any, Any]]:
        actor, job = self._running.pop(came)
        try:
            outcome = self._ray.get(came)
        except self._ray.exceptions.RayError as error:
            self._replace(actor)
            if lost := job.lost(_told(error)):
                return [(job.item, lost)]
            supply.take_back(job)
            return []
        self._idle.append(actor)
        return [(job.item, read(outcome))]

    def _welcome(self, came: Any) -> list[tuple[Any, Any]]:
        actor = self._starting.pop(came)
        try:
            self._ray.get(came)
        except self._ray.exceptions.RayError as error:
            self._stillborn += 1
            if self._stillborn == TRIES:
                raise UserError(
                    f"Ray workers do not start ({error}); is discl installed on every node?"
                ) from error
            self._replace(actor)
        else:
            self._stillborn = 0
            self._idle.append(actor)
        return []

    def _replace(self, actor: Any) -> None:
        self._ray.kill(actor)  # it may be alive, with the way to it cut off
        self._hire()

    def leave(self) -> None:
        """Send everybody home."""
        for actor in [
            *self._idle,
            *self._starting.values(),
            *(actor for actor, _ in self._running.values()),
        ]:
            self._ray.kill(actor)
