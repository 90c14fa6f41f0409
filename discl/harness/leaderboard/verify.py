"""Whether a published number is what its run predicted: everything is computed again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discl.core.conventions import id_test_split
from discl.core.errors import UserError
from discl.core.hashing import short
from discl.core.result import Result
from discl.engine.evaluation.confusion import (
    ConfusionCounts,
    count_predictions,
    predictions_digest,
    unpack_all,
)
from discl.engine.evaluation.metrics import (
    count_classes,
    definitions_id,
    metrics_of,
    sampling_errors,
)
from discl.harness.run.result_parts import metrics_of_run
from discl.harness.run.store import Store

CLOSE = 1e-9  # two machines may add up in another order


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what is wrong with it."""

    results: int
    numbers: int  # computed again from what was predicted
    from_predictions: (
        int  # results whose saved predictions are on this machine and were read as well
    )
    faults: list[str]  # a sentence each


def verify(paths: Sequence[Path], store: Store) -> Verified:
    """Compute every number of result files again, from their own outcomes and, where this machine
    has them, from the predictions.
    """
    faults = list[str]()
    numbers = 0
    seen = 0
    for path in paths:
        try:
            result = Result.read(path)
            found = list(_faults(path, result))
            predictions = _predictions(result, store)
            found += _faults_of_predictions(result, predictions) if predictions else []
        except UserError as error:
            faults.append(str(error))
            continue
        faults += [f"{path}: {fault}" for fault in found]
        numbers += len(result.metrics) + len(result.class_recalls) + len(result.errors)
        seen += predictions is not None
    return Verified(len(paths), numbers, seen, faults)


def _faults(path: Path, result: Result) -> Iterator[str]:
    """What contradicts itself in a result."""
    if not result.confusion_counts:
        yield (
            "it does not hold what was predicted; it is of an older version: run it again and"
            " publish it"
        )
        return
    if short(result.identity) != result.id or path.stem != result.id:
        yield (
            f"its identity is {short(result.identity)}, not {result.id}: what it says was run is"
            " not what was run"
        )
    for part in ("benchmark", "scale"):
        if getattr(result, part) not in path.parts:
            yield f"it says {part} {getattr(result, part)!r}, and lies elsewhere"
    if (
        result.strategy != result.identity["strategy"]["name"]
        or result.seed != result.identity["seed"]
    ):
        yield (
            f"it calls itself {result.strategy} with seed {result.seed}, its identity says"
            " otherwise"
        )
    counts = np.array(result.counts, np.int64)
    measured_by = metrics_of_run(result.identity)
    outcomes = list(unpack_all(result.confusion_counts))
    if any(
        max(called.truth.max(initial=0), called.guess.max(initial=0)) >= len(counts)
        for called in outcomes
    ):
        yield "its outcomes name a class it does not have"
        return
    metrics = metrics_of(outcomes, counts, measured_by)
    home = id_test_split(result.confusion_counts)
    yield from _different(
        "metrics", {k: v for k, v in result.metrics.items() if k != "wise_alpha"}, metrics
    )
    yield from _different(
        "class_recalls",
        _listed(result.class_recalls),
        _listed(_recalls(outcomes, home, len(counts))),
    )
    yield from _different(
        "errors", result.errors, sampling_errors(outcomes, [home], counts, measured_by)
    )
    for name, wanted in {
        "definitions": definitions_id(metrics, counts, measured_by),
        "counts": short(counts.tolist()),
    }.items():
        if result.comparability.get(name) != wanted:
            yield (
                f"its comparability key says {name} {result.comparability.get(name)}, it must be"
                f" {wanted}"
            )


def _different(what: str, said: Mapping[str, float], wanted: Mapping[str, float]) -> Iterator[str]:
    for key in sorted(said.keys() | wanted.keys()):
        if key not in said or key not in wanted:
            yield f"{what} {'lacks' if key not in said else 'should not have'} {key}"
        elif not math.isclose(said[key], wanted[key], rel_tol=CLOSE, abs_tol=CLOSE):
            yield f"{what} says {key} = {said[key]:.6g}, what was predicted gives {wanted[key]:.6g}"


def _recalls(outcomes: Iterable[ConfusionCounts], home: str, classes: int) -> list[float | None]:
    called = next(one for one in outcomes if (one.split, one.prefix) == (home, ""))
    found = count_classes(called.truth, called.guess, classes, called.photos).recall
    return [None if np.isnan(value) else float(value) for value in found]


def _listed(recalls: Sequence[float | None]) -> dict[str, float]:
    return {f"of class {label}": value for label, value in enumerate(recalls) if value is not None}


def _predictions(result: Result, store: Store) -> Mapping[str, Any] | None:
    """The saved predictions a result was made of, where this machine has them."""
    for path in sorted((store.root / result.id).glob("*/predictions.npz")):
        found = store.predictions(path.parent)
        if predictions_digest(found) == result.predictions:
            return found
    return None


def _faults_of_predictions(result: Result, predictions: Mapping[str, Any]) -> list[str]:
    counts = np.array(result.counts, np.int64)
    mine = {(one.split, one.prefix): one for one in unpack_all(result.confusion_counts)}
    wrong = []
    for called in count_predictions(predictions, counts):
        held = mine.get((called.split, called.prefix))
        if held is None or not all(
            np.array_equal(getattr(held, name), getattr(called, name))
            for name in ("truth", "guess", "photos")
        ):
            wrong.append(f"its outcomes of {called.split} are not those of its saved predictions")
    return wrong
