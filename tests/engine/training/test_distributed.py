"""Two processes train what one would."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import distributed

from discl.core.errors import UserError
from discl.engine.bank.bank import Bank
from discl.engine.training.distributed import Share, join
from tests import processes

TINY = [
    "generator.name=blend",
    "bank.variants=1",
    "train.epochs=2",
    "train.warmup_epochs=1",
    "levels=[0,50,100]",
    "train.curriculum_epochs=1",
    "train.evaluate_every=1",
    "train.batch=32",
    "backbone.stem_stride=4",
    "train.lr=1e-3",
    # BatchNorm would see half a batch on CPUs
    'backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8], norm_layer="layernorm2d"}',
]


def _words(photos: Path) -> list[str]:
    words = ["run", "cifar100_lt", "--strategies", "adaptive", "--seeds", "0", "--trackers", ""]
    settings = [*TINY, f"dataset.root={photos}"]
    return words + [word for setting in settings for word in ("--set", setting)]


def _logits(home: Path) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    (path,) = home.glob("runs/*/*/predictions.npz")
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files if name.endswith("logits")}


def _run(home: Path, photos: Path, ranks: int) -> list[str]:
    """What each process of a run prints."""
    started, logs = _begun(home, ranks, processes.discl, _words(photos))
    for process, log in zip(started, logs, strict=True):
        assert process.wait(240) == 0, log.with_suffix(".log").read_text()
    return [log.read_text() for log in logs]


def _begun(
    home: Path, ranks: int, command: Callable[..., None], *arguments: Any
) -> tuple[list[processes.Started], list[Path]]:
    """Processes that are started with what torchrun tells its own, and what they print to."""
    # torchrun's agent keeps the store that its processes meet at, too
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    meeting = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
    }
    logs = [home.with_name(f"{home.name}-{rank}.json") for rank in range(ranks)]
    started = [
        processes.begin(
            command,
            *arguments,
            log=log,
            errors=log.with_suffix(".log"),
            environment={
                **meeting,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "DISCL_HOME": str(home),
            },
        )
        for rank, log in enumerate(logs)
    ]
    _STORES.append(store)
    return started, logs


_STORES: list[Any] = []  # as long as the processes live


def test_two_processes_train_what_one_does(tmp_path: Path, cifar100_photos: Path) -> None:
    (printed,) = _run(tmp_path / "one", cifar100_photos, 1)
    assert json.loads(printed)["metrics"]
    first, second = _run(tmp_path / "two", cifar100_photos, 2)
    assert json.loads(first)["metrics"]
    assert not second  # one of them speaks, once
    _check_same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow  # the same with torchrun itself, whose three processes import torch anew
def test_two_processes_under_torchrun_train_what_one_does(
    tmp_path: Path, cifar100_photos: Path
) -> None:
    _run(tmp_path / "one", cifar100_photos, 1)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *torchrun, "-m", "discl.cli", *_words(cifar100_photos)],
        env={**os.environ, "DISCL_HOME": str(tmp_path / "two")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]
    _check_same(tmp_path / "one", tmp_path / "two")


def _impatient(words: list[str], dies: bool) -> None:
    """The command, whose collectives wait for 5 s; the first images take each process longer.

    With `dies` the second process is killed while it makes them.
    """
    from discl.engine.training import meeting
    from discl.parts.generators.blend import Blend

    meeting.BEAT_SECONDS = 0.5
    meeting.SILENT_SECONDS = 5.0
    begin, make = distributed.init_process_group, Blend.make
    distributed.init_process_group = partial(begin, timeout=timedelta(seconds=5))

    def slow(*arguments: Any) -> Any:
        if dies and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        Blend.make = make  # type: ignore[method-assign]
        time.sleep(6.0)
        return make(*arguments)

    Blend.make = slow  # type: ignore[method-assign]
    processes.discl(words)


@pytest.mark.slow  # it waits for longer than the collectives would
def test_processes_make_the_bank_together_and_none_waits_for_it_in_a_collective(
    tmp_path: Path, cifar100_photos: Path
) -> None:
    started, logs = _begun(tmp_path / "home", 2, _impatient, _words(cifar100_photos), False)
    for process, log in zip(started, logs, strict=True):
        assert process.wait(240) == 0, log.with_suffix(".log").read_text()
    assert json.loads(logs[0].read_text())["metrics"]


@pytest.mark.slow  # it waits until a process counts as dead
def test_a_process_that_dies_ends_the_others_with_a_sentence_and_costs_no_image(
    tmp_path: Path, cifar100_photos: Path
) -> None:
    started, logs = _begun(tmp_path / "home", 2, _impatient, _words(cifar100_photos), True)
    assert started[1].wait(240) == -signal.SIGKILL
    assert started[0].wait(60) == 2
    assert "process 1 has given no sign of life for 5 s" in logs[0].with_suffix(".log").read_text()
    (bank,) = (tmp_path / "home" / "banks").iterdir()
    assert sum(Bank.at(bank).count().values()) > 0
    assert not list((bank / "builders").iterdir())


def _check_same(one: Path, two: Path) -> None:
    alone = _logits(one)
    both = _logits(two)
    assert alone
    for name, logits in alone.items():
        assert np.allclose(logits, both[name], atol=2e-3), name


def test_every_row_is_somebodys_once() -> None:
    for count in (0, 1, 7, 8):
        rows = [np.arange(count)[Share(rank, 3).rows(count)] for rank in range(3)]
        assert np.concatenate(rows).tolist() == list(range(count))
    assert [Share(rank, 2).of(8) for rank in range(2)] == [slice(0, 4), slice(4, 8)]
    with pytest.raises(UserError, match="multiple of 3"):
        Share(0, 3).of(8)


def test_more_processes_than_gpus_are_refused_before_any_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(UserError, match=r"GPUs to use \(2\): start it with --nproc-per-node 2"):
        join()
