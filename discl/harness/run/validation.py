"""Checks a stored result, which may be damaged or edited by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.hashing import short_of_json
from discl.core.result import OF_AN_EPOCH, WAY_OUT, Result

TYPES: dict[str, type] = {
    **dict.fromkeys(("id", "name", "benchmark", "scale", "strategy", "predictions"), str),
    **dict.fromkeys(("attempt", "seed", "chosen_epoch"), int),
    **dict.fromkeys(("identity", "comparability", "metrics", "cost"), dict),
    **dict.fromkeys(("seen", "seen_by_group"), dict),
    **dict.fromkeys(("provenance", "confusion_counts", "errors", "plugins", "last"), dict),
    **dict.fromkeys(("class_recalls", "classes", "counts", "published_counts"), list),
}

_PARTS = ("backbone", "dataset", "loss", "hard_rule")  # of an identity, where they are there
_MOST_PHOTOS = 10**12


def read_result(path: Path) -> Result:
    """The result in a file of whatever origin.

    Raises UserError where it is damaged, or a field holds something else than runs store there.
    """
    result = Result.read(path)
    if fault := next(_faults_of_fields(result), ""):
        raise UserError(f"{path}: {fault}; it is not what a run stores")
    return result


def validated(path: Path, id: str) -> Result | str:
    """The result of run `id`, or a sentence that says what is wrong with its file."""
    try:
        result = Result.read(path)
        fault = next(_faults(result, id), "")
    except UserError as error:
        return str(error).removeprefix(f"{path} ")
    except (OSError, ValueError, RecursionError, ArithmeticError) as error:
        return f"cannot be read ({error})"
    return f"{fault}; was it edited? {WAY_OUT}" if fault else result


def _faults_of_fields(result: Result) -> Iterator[str]:
    """Fields that are wrong, a sentence each, those of the last epoch too.

    The later ones are looked at only where the first are right.
    """
    fault = next(_faults_of_types(result, TYPES), "")
    if fault:
        yield fault
        return
    yield from _faults_of_epoch(result)
    yield from _faults_of_run(result)
    if result.last:
        yield from _faults_of_last(result)


def _faults_of_last(result: Result) -> Iterator[str]:
    last = result.last
    wanted = {"epoch"}
    if last.get("epoch") != result.chosen_epoch:
        wanted |= {*OF_AN_EPOCH, "cost"}
    if last.keys() != wanted:
        yield f"last holds {', '.join(sorted(last))}, not {', '.join(sorted(wanted))}"
    elif not isinstance(last.get("cost", {}), dict):
        yield "last.cost is no table"
    elif type(last["epoch"]) is not int:
        yield "of the last epoch, its number is no whole number"
    elif len(wanted) > 1:
        view = result.under("last")
        told = _faults_of_types(view, OF_AN_EPOCH)
        yield from (f"of the last epoch, {fault}" for fault in told)
        yield from (f"of the last epoch, {fault}" for fault in _faults_of_epoch(view))


def _faults_of_types(result: Result, names: Iterable[str]) -> Iterator[str]:
    """Fields of another type than they are stored with."""
    for name in names:
        given = type(getattr(result, name))
        if not issubclass(given, TYPES[name]):
            yield f"{name} is a {given.__name__}, not a {TYPES[name].__name__}"


def _faults_of_epoch(result: Result) -> Iterator[str]:
    """Of the fields that were computed at one epoch."""
    for name in ("metrics", "cost", "errors"):
        numbers = getattr(result, name)
        if _all_numbers(numbers.values()):
            continue
        for key, value in numbers.items():
            if not _all_numbers([value]):
                yield f"{name} holds something else than a number for {key!r}"
    if not _all_numbers(value for value in result.class_recalls if value is not None):
        yield "class_recalls hold something else than numbers"
    if len(result.class_recalls) != len(result.classes):
        yield "class_recalls and classes differ in length"
    if "seconds" not in result.cost:
        yield "cost lacks seconds"
    if not all(isinstance(table, dict) for table in result.confusion_counts.values()):
        yield "confusion_counts hold something else than tables"


def _faults_of_run(result: Result) -> Iterator[str]:
    """Of the fields that are the same at every epoch."""
    if len({len(result.classes), len(result.counts), len(result.group_counts)}) > 1:
        yield "classes and counts differ in length"
    counts = [*result.counts, *result.published_counts]
    if not all(type(value) is int and 0 <= value < _MOST_PHOTOS for value in counts):
        yield "counts hold something else than numbers of photos"
    if not {*map(type, result.seen_by_group.values())} <= {int}:
        yield "seen_by_group holds something else than numbers of images"
    if not {*map(type, result.classes)} <= {str}:
        yield "classes hold something else than names"
    yield from _faults_of_tables(result)


def _faults_of_tables(result: Result) -> Iterator[str]:
    """Tables that are read further, and lack what is read."""
    identity = result.identity
    needed: dict[str, Any] = {"strategy": identity.get("strategy")}
    needed |= {name: identity[name] for name in _PARTS if name in identity}
    images = identity.get("images")
    if images is not None:
        needed["images.generator"] = images.get("generator") if isinstance(images, dict) else None
    for name, part in needed.items():
        named = isinstance(part, dict) and isinstance(part.get("name"), str)
        if not named or not isinstance(part.get("parameters", {}), dict):
            yield f"identity.{name} names no part"
    select = identity.get("select")
    if not isinstance(select, dict) or not isinstance(select.get("metric"), str):
        yield "identity.select names no metric"
    if type(identity.get("seed")) is not int:
        yield "identity.seed is no number"
    described = result.plugins.get("metrics", {})
    tables = [described, *described.values()] if isinstance(described, dict) else [described]
    if not all(isinstance(table, dict) for table in (result.plugins.get("strategy", {}), *tables)):
        yield "plugins hold something else than tables"


def _faults(result: Result, id: str) -> Iterator[str]:
    for fault in _faults_of_fields(result):
        yield fault
        return
    if result.id != id:
        yield f"it says it is run {result.id!r}, and lies in the folder of {id!r}"
    # an identity was canonical when it was stored, so it gives the same JSON again
    identity = json.dumps(result.identity, sort_keys=True, separators=(",", ":"))
    computed = short_of_json(identity)
    if computed != id:
        yield f"its settings are those of run {computed!r}, and it lies in the folder of {id!r}"


def _all_numbers(values: Iterable[Any]) -> bool:
    return set(map(type, values)) <= {int, float}
