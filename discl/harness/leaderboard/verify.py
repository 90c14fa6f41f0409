"""Verifies published numbers: every number is computed again from the run's predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discl.core.conventions import LAST, id_test_split
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
from discl.harness.leaderboard.corrections import BEFORE, corrections_of, redefined
from discl.harness.run.result_parts import metrics_of_run
from discl.harness.run.store import Store
from discl.harness.run.validation import read_result

CLOSE = 1e-9  # two machines may add up in another order


@dataclass(frozen=True)
class Verification:
    """Result files that were checked, and what is wrong with them."""

    results: int
    numbers: int  # computed again from confusion counts
    # results whose saved predictions are on this machine, and were read as well
    from_predictions: int
    faults: list[str]  # a sentence each
    # a sentence for each result that a correction touches: which one makes which numbers old
    old: list[str]


def verify(
    paths: Sequence[Path], store: Store, read: Callable[[Path], Result] = read_result
) -> Verification:
    """Compute every number of result files again; `read` gives those that are not written yet.

    From their own confusion counts and, where this machine has them, from saved predictions. A
    result from before a correction is named with it. Its numbers must follow from what was
    predicted all the same, but for those that a correction defines anew.
    """
    faults = list[str]()
    old = list[str]()
    numbers = 0
    from_predictions = 0
    for path in paths:
        try:
            result = read(path)
            if touched := _age(result):
                old.append(f"{path}: {touched}")
            wrong = list(_faults(path, result))
            counted, saved = 0, True
            for at, view in _views(result):
                wrong += [f"{at}{fault}" for fault in _faults_of_numbers(view)]
                counted += len(view.metrics) + len(view.class_recalls) + len(view.errors)
                predictions = _predictions(view, store)
                if predictions:
                    found = _faults_of_predictions(view, predictions)
                    wrong += [f"{at}{fault}" for fault in found]
                saved = saved and predictions is not None
        except UserError as error:
            faults.append(str(error) if str(path) in str(error) else f"{path}: {error}")
            continue
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # a file may come from anybody, and hold anything in what is unpacked here
            faults.append(f"{path}: it holds what no run stores ({type(error).__name__}: {error})")
            continue
        faults += [f"{path}: {fault}" for fault in wrong]
        numbers += counted
        from_predictions += saved
    return Verification(len(paths), numbers, from_predictions, faults, old)


def _age(result: Result) -> str:
    """Which corrections make a result old, as a sentence; "" where none does."""
    named = []
    for correction in corrections_of(result.identity):
        touched = sum(map(correction.makes_old, result.metrics))
        which = "all numbers" if touched == len(result.metrics) else f"{touched} numbers"
        if touched:
            named.append(f"{correction.name} makes {which} old")
    return f"{BEFORE}: {'; '.join(named)}" if named else ""


def _faults(path: Path, result: Result) -> Iterator[str]:
    """Contradictions within a result, a sentence each."""
    if not result.confusion_counts:
        yield (
            "it does not hold what was predicted; it is of an older version: run it again and"
            " publish it"
        )
        return
    yield from _faults_of_identity(path, result)
    epochs = result.identity["train"]["epochs"]
    if result.last and result.last["epoch"] != epochs - 1:
        yield f"its last epoch is {result.last['epoch'] + 1}, of {epochs} that it was to train"


def _views(result: Result) -> Iterator[tuple[str, Result]]:
    """(how a fault begins, the result at that epoch), once where both rules read the same one."""
    yield "", result
    if result.last and result.last["epoch"] != result.chosen_epoch:
        yield f"at {LAST.words}: ", result.under(LAST.name)


def _faults_of_numbers(result: Result) -> Iterator[str]:
    """Numbers that do not follow from what was predicted, a sentence each."""
    if not result.confusion_counts:
        return
    counts = np.array(result.counts, np.int64)
    confusions = list(unpack_all(result.confusion_counts))
    labels = [
        label
        for confusion in confusions
        for label in (confusion.truth.max(initial=0), confusion.guess.max(initial=0))
    ]
    if max(labels, default=0) >= len(counts):
        yield "its confusion counts name a class it does not have"
        return
    metrics = metrics_of_run(result.identity)
    grouped = np.array(result.group_counts, np.int64)
    values = metrics_of(confusions, grouped, metrics)
    id_test = id_test_split(result.confusion_counts)
    stored = {key: value for key, value in result.metrics.items() if key != "wise_alpha"}
    recalls = _recalls(confusions, id_test, len(counts))
    errors = sampling_errors(confusions, [id_test], grouped, metrics)
    anew = redefined(result)
    yield from _different("metrics", stored, values, anew)
    yield from _different("class_recalls", _by_class(result.class_recalls), _by_class(recalls))
    yield from _different("errors", result.errors, errors, anew)
    expected = {
        "definitions": definitions_id(values, counts, metrics),
        "counts": short(counts.tolist()),
    }
    if anew:  # the definitions of today are others
        del expected["definitions"]
    for name, id in expected.items():
        if result.comparability.get(name) != id:
            yield (
                f"its comparability key says {name} {result.comparability.get(name)}, it must be"
                f" {id}"
            )


def _faults_of_identity(path: Path, result: Result) -> Iterator[str]:
    """Where a result says another run or another place than its identity and its path."""
    if short(result.identity) != result.id or path.stem != result.id:
        yield (
            f"its identity is {short(result.identity)}, not {result.id}: what it says was run is"
            " not what was run"
        )
    for name in ("benchmark", "scale"):
        if getattr(result, name) not in path.parts:
            yield f"it says {name} {getattr(result, name)!r}, and lies elsewhere"
    identity = result.identity
    if (result.strategy, result.seed) != (identity["strategy"]["name"], identity["seed"]):
        yield (
            f"it calls itself {result.strategy} with seed {result.seed}, its identity says"
            " otherwise"
        )


def _different(
    what: str,
    stored: Mapping[str, float],
    computed: Mapping[str, float],
    anew: Container[str] = frozenset(),
) -> Iterator[str]:
    """Numbers that differ, a sentence each, but for those that are defined `anew`."""
    for key in sorted(stored.keys() | computed.keys()):
        if key in anew:
            continue
        if key not in stored or key not in computed:
            yield f"{what} {'lacks' if key not in stored else 'should not have'} {key}"
        elif not math.isclose(stored[key], computed[key], rel_tol=CLOSE, abs_tol=CLOSE):
            yield (
                f"{what} says {key} = {stored[key]:.6g}, what was predicted gives"
                f" {computed[key]:.6g}"
            )


def _recalls(confusions: Iterable[ConfusionCounts], split: str, classes: int) -> list[float | None]:
    """Recall of each class on a split, with the run's own logits."""
    own = next(
        confusion for confusion in confusions if (confusion.split, confusion.prefix) == (split, "")
    )
    recall = count_classes(own.truth, own.guess, classes, own.photos).recall
    return [None if np.isnan(value) else float(value) for value in recall]


def _by_class(recalls: Sequence[float | None]) -> dict[str, float]:
    return {f"of class {label}": value for label, value in enumerate(recalls) if value is not None}


def _predictions(result: Result, store: Store) -> Mapping[str, Any] | None:
    """The saved predictions a result was computed from, where this machine has them."""
    for path in sorted((store.root / result.id).glob(f"*/{result.predictions_file}")):
        predictions = store.predictions(path.parent, path.name)
        if predictions_digest(predictions) == result.predictions:
            return predictions
    return None


def _faults_of_predictions(result: Result, predictions: Mapping[str, Any]) -> list[str]:
    """Splits whose stored confusion counts are not those of the saved predictions."""
    stored = {
        (confusion.split, confusion.prefix): confusion
        for confusion in unpack_all(result.confusion_counts)
    }
    faults = []
    # none where training had corrected the prior
    adjusted = any("adjusted_" in prefix for _, prefix in stored)
    for counted in count_predictions(predictions, np.array(result.counts, np.int64), adjusted):
        confusion = stored.get((counted.split, counted.prefix))
        if confusion is None or not all(
            np.array_equal(getattr(confusion, name), getattr(counted, name))
            for name in ("truth", "guess", "photos")
        ):
            faults.append(
                f"its confusion counts of {counted.split} are not those of its saved predictions"
            )
    return faults
