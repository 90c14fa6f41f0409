import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from discl.core.errors import UserError
from discl.parts.executors.ray import Ray, share_out, short_reason
from discl.testing import gone, squares


def test_workers_are_shared_out_over_the_nodes() -> None:
    two, gpus = (
        [{"CPU": 4.0}, {"CPU": 16.0}],
        [{"CPU": 8.0, "GPU": 4.0}, {"CPU": 8.0, "GPU": 4.0}, {"CPU": 64.0}],
    )
    assert share_out(two, 0) == (12, {"num_gpus": 0, "num_cpus": 1.0})  # 4 + 8
    assert share_out(two, 2) == (
        2,
        {"num_gpus": 0, "num_cpus": 4.0},
    )  # one a node, as many cores as the smaller has
    assert share_out([{"CPU": 2.0}], 3) == (3, {"num_gpus": 0, "num_cpus": 0.5})
    assert share_out([{"CPU": 1.0}], 3) == (3, {"num_gpus": 0, "num_cpus": 0.3333})
    assert share_out(gpus, 0) == (8, {"num_gpus": 1.0, "num_cpus": 0})
    assert share_out(gpus, 12) == (12, {"num_gpus": 0.5, "num_cpus": 0})


def test_workers_that_ask_for_something_have_it_for_themselves() -> None:
    two, gpus = (
        [{"CPU": 4.0}, {"CPU": 16.0}],
        [{"CPU": 8.0, "GPU": 4.0}, {"CPU": 2.0, "GPU": 4.0}, {"CPU": 64.0}],
    )
    assert share_out(two, 0, cpus=3.0) == (6, {"num_gpus": 0, "num_cpus": 3.0})  # 1 + 5
    assert share_out(two, 9, cpus=3.0) == (
        9,
        {"num_gpus": 0, "num_cpus": 3.0},
    )  # some wait for room
    assert share_out(gpus, 0, gpus=0.5) == (16, {"num_gpus": 0.5, "num_cpus": 0})
    assert share_out(gpus, 0, cpus=2.0) == (
        5,
        {"num_gpus": 1.0, "num_cpus": 2.0},
    )  # 4 + 1: the third node has no GPU
    assert share_out(gpus, 0, cpus=0.1, gpus=0.1) == (
        60,
        {"num_gpus": 0.1, "num_cpus": 0.1},
    )  # 40 + 20, of 0.1 each
    with pytest.raises(
        UserError,
        match=(
            r"no Ray node has 0 cores and 1 GPUs for a worker \(4 cores, 0 GPUs; 16 cores, 0 GPUs\)"
        ),
    ):
        share_out(two, 2, gpus=1.0)
    with pytest.raises(UserError, match="no Ray node has 32 cores"):
        share_out(two, 0, cpus=32.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": -1},
        {"cpus": -1.0},
        {"cpus": float("inf")},
        {"gpus": -0.5},
        {"gpus": 1.5},
        {"gpus": float("nan")},
    ],
)
def test_amounts_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"executor 'ray': {next(iter(wrong))} = "):
        Ray(**wrong)


def test_what_ray_says_of_a_death_is_told_without_its_names_and_advice() -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    memory = "Memory on the node was 28.5GB / 30.0GB (0.95)"
    error = ray.exceptions.OutOfMemoryError(
        f"Task was killed.\n\tactor_id: 84d4bc\n{memory}, too much.{' Consider buying more.' * 30}"
    )
    told = short_reason(error)
    assert told.startswith(f"OutOfMemoryError: Task was killed. {memory}")
    assert len(told) < 450


def test_without_ray_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"ray is not installed; pip install 'discl\[ray\]'"):
        next(Ray().run(partial(squares, tmp_path), iter([1])))


@pytest.fixture
def listener() -> Iterator[int]:
    """A port where somebody listens who is no Ray cluster."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_cluster_that_is_not_there_is_told_in_time(
    tmp_path: Path, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.setattr("discl.parts.executors.ray.ANSWER_SECONDS", 1.0)
    started = time.monotonic()
    with pytest.raises(UserError, match=r"no Ray cluster at .* \(no answer within 1 s\)"):
        next(Ray(address=f"127.0.0.1:{listener}").run(partial(squares, tmp_path), iter([1])))
    assert time.monotonic() - started < 60  # left to itself, Ray takes two minutes


@pytest.mark.slow
def test_a_cluster_somebody_else_started_is_joined_and_left_running(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    short = tempfile.mkdtemp(prefix="ray")  # the paths of Ray's sockets may have 107 characters
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "head.log"
    command = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        "--node-ip-address=127.0.0.1",
    ]
    command += [
        f"--port={port}",
        "--num-cpus=2",
        "--include-dashboard=false",
        f"--temp-dir={short}",
        "--disable-usage-stats",
    ]
    with log.open("w") as out:
        head = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        while "Ray runtime started" not in log.read_text():
            assert head.poll() is None, log.read_text()
            time.sleep(0.1)
        before = signal.getsignal(signal.SIGTERM)
        answers = list(Ray(f"127.0.0.1:{port}").run(partial(squares, tmp_path), iter(range(4))))
        assert sorted((item, square) for item, (square, _) in answers) == [
            (0, 0),
            (1, 1),
            (2, 4),
            (3, 9),
        ]
        assert gone({worker for _, (_, worker) in answers})
        assert signal.getsignal(signal.SIGTERM) == before
        assert head.poll() is None
        assert os.getpid() not in {worker for _, (_, worker) in answers}
    finally:
        head.terminate()
        head.wait(30)
        shutil.rmtree(short)
