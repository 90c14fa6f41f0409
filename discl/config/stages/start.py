"""The start of a benchmark's runs: weights that all strategies of a seed have in common.

Algorithm 1 of the paper begins from a trained network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from discl.config.benchmark import NO_SECOND_STAGE, Benchmark, StartTable, TrainTable
from discl.core.errors import UserError, shown, unknown
from discl.core.levels import PHOTO
from discl.core.plain_files import open_file
from discl.core.registry import names

VERSION = 1  # raised when a start of an unchanged description would give other weights
CONTROL = "real_only"  # continued for as many steps, it tells longer training from synthesis
_ITS_OWN = {
    "start": "it has no start of its own",
    "curriculum_epochs": "its strategy decides every epoch",
    "evaluate_every": "it is measured once, after its last epoch",
}
_NOT_HASHED = {"evaluate_every", "curriculum_epochs"}


def is_trained(start: StartTable) -> bool:
    """Whether a run of a strategy makes the start."""
    return bool(start.strategy)


def benchmark_of(bench: Benchmark) -> Benchmark:
    """The benchmark whose one run a seed makes the start of `bench`.

    It has the recipe of `bench` but for `train.start.settings`. Its strategy decides every epoch,
    its last epoch counts, and it has no second stage. Raises UserError where a setting is none of
    [train].
    """
    start = bench.train.start
    for key in start.settings:
        if key in _ITS_OWN:
            raise UserError(
                f"train.start.settings.{key} is not for a start: {_ITS_OWN[key]}; leave it out"
            )
        if key not in TrainTable.model_fields:
            raise unknown("key of [train], in train.start.settings,", key, TrainTable.model_fields)
    given = bench.train.model_dump(exclude={"start"}) | dict(start.settings)
    try:
        train = TrainTable(**given | {"curriculum_epochs": 0})
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(map(str, first["loc"]))
        raise UserError(
            f"train.start.settings.{path} = {shown(first['input'])}: {first['msg'].lower()}"
        ) from error
    whole = {"curriculum_epochs": train.epochs, "evaluate_every": train.epochs}
    return bench.model_copy(
        update={
            "train": train.model_copy(update=whole),
            "second_stage": NO_SECOND_STAGE,
            "select": bench.select.model_copy(update={"wise_ft_alphas": []}),
            "strategies": [start.strategy],
        }
    )


def identity_of(bench: Benchmark) -> dict[str, Any]:
    """What the identity of a run says of its start; {} where it has none.

    Raises UserError where the checkpoint that the start is cannot be read.
    """
    start = bench.train.start
    if start.weights:
        new_head = {} if start.head == "keep" else {"head": start.head}
        return {"version": VERSION, "weights": weights_digest(start), **new_head}
    if start.strategy:
        return {
            "version": VERSION,
            "strategy": bench.chosen_strategy(start.strategy).identity(),
            "train": _hashed(benchmark_of(bench).train.non_default()),
        }
    return {}


def of_the_start(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of the start itself, of that of the run which makes it.

    Neither what chooses an epoch nor what is measured changes it.
    """
    unneeded = ("select", "metrics", "metric")
    kept = {key: value for key, value in identity.items() if key not in unneeded}
    return {**kept, "train": _hashed(identity["train"]), "start": VERSION}


def _hashed(train: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in train.items() if key not in _NOT_HASHED}


def weights_file(start: StartTable) -> Path:
    """The file that `train.start.weights` names; of a folder, its model.safetensors.

    Raises UserError where it is not there.
    """
    path = Path(start.weights).expanduser()
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise UserError(
            f"train.start.weights = {start.weights!r}: there is no file {file}; give a .safetensors"
            " file, a .pth file, or a folder that `discl runs export-weights` wrote"
        )
    return file


def weights_digest(start: StartTable) -> str:
    """The first 16 hex digits of the SHA-256 of the checkpoint that the start is."""
    file = weights_file(start)
    state = file.stat()
    return _digest_once(file.absolute(), state.st_size, state.st_mtime_ns)[:16]


@lru_cache(maxsize=64)
def _digest_once(path: Path, size: int, changed_ns: int) -> str:
    with open_file(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def check_choice(bench: Benchmark, uses: Mapping[str, tuple[int, ...]]) -> None:
    """Raises UserError where [train.start] cannot be the start of these runs.

    `uses`: the levels that the strategy of the start asks for, by its name.
    """
    start = bench.train.start
    if start.strategy and start.weights:
        raise UserError(
            f"train.start.strategy = {start.strategy!r} and train.start.weights ="
            f" {start.weights!r} exclude each other; leave one out"
        )
    if start.settings and not start.strategy:
        raise UserError(
            f"train.start.settings = {shown(start.settings)} are those of a run that makes the"
            ' start; add train.start.strategy = "real_only", or leave them out'
        )
    if start.head != "keep" and not start.weights:
        raise UserError(
            f"train.start.head = {start.head!r} is for a checkpoint; add train.start.weights, or"
            " leave it out"
        )
    if start.weights:
        weights_file(start)
    for name, levels in uses.items():
        if any(level != PHOTO for level in levels):
            raise UserError(
                f"train.start.strategy = {name!r} learns from images, which {CONTROL!r} and every"
                f" other strategy would then have seen, too; take {CONTROL!r} or another one that"
                " uses photos only"
            )


def check_name(start: StartTable) -> None:
    """Raises UserError, with the nearest name, where there is no such strategy."""
    if start.strategy and start.strategy not in names("strategies"):
        raise unknown("strategy (train.start.strategy)", start.strategy, names("strategies"))


def control_sentence(start: Mapping[str, Any] | None, strategies: list[str]) -> str:
    """The warning for a table with a start and without its control; "" where nothing is amiss.

    `start`: what the identity of a run says of it.
    """
    if not start or CONTROL in strategies:
        return ""
    return (
        f"No {CONTROL} among the strategies: it is the start continued for as many steps, and"
        " without it longer training cannot be told from synthesis."
    )


def start_sentence(start: Mapping[str, Any] | None, cost: Mapping[str, float]) -> str:
    """What a table says of the start of its runs; "" where they have none.

    `cost`: that of one run.
    """
    if not start:
        return ""
    if "weights" in start:
        return f"Every run begins from the weights of one checkpoint ({start['weights']})."
    steps = cost.get("shared_start_steps")
    price = ""
    if steps is not None:
        seconds = cost.get("shared_start_seconds", 0.0)
        price = f", {steps:,.0f} steps and {seconds:,.1f} seconds a seed that no run's cost holds"
    return (
        "All strategies of a seed begin from the last epoch of one run of"
        f" {start['strategy']['name']}: {start['train'].get('epochs')} epochs{price}. {CONTROL} is"
        " that start continued."
    )
