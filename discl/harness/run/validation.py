"""Checks a stored result, which may be damaged or edited by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.hashing import short_of_json
from discl.core.result import Result

TYPES: dict[str, type] = {
    **dict.fromkeys(("id", "name", "benchmark", "scale", "strategy", "predictions"), str),
    **dict.fromkeys(("attempt", "seed", "chosen_epoch"), int),
    **dict.fromkeys(("identity", "comparability", "metrics", "seen", "cost"), dict),
    **dict.fromkeys(("provenance", "confusion_counts", "errors", "plugins"), dict),
    **dict.fromkeys(("class_recalls", "classes", "counts", "published_counts"), list),
}


def validated(path: Path, id: str) -> Result | str:
    """The result of run `id`, or a sentence that says what is wrong with its file."""
    try:
        result = Result.read(path)
        fault = next(_faults(result, id), "")
    except UserError as error:
        return str(error).removeprefix(f"{path} ")
    except (OSError, ValueError, RecursionError, ArithmeticError) as error:
        return f"cannot be read ({error})"
    return f"{fault}; was it edited? remove it or run again" if fault else result


def _faults(result: Result, id: str) -> Iterator[str]:
    for name, expected in TYPES.items():
        given = type(getattr(result, name))
        if not issubclass(given, expected):
            yield f"{name} is a {given.__name__}, not a {expected.__name__}"
    for name in ("metrics", "cost", "errors"):
        for key, value in getattr(result, name).items():
            if not _all_numbers([value]):
                yield f"{name} holds something else than a number for {key!r}"
    by_class = [*result.class_recalls, *result.counts, *result.published_counts]
    if not _all_numbers(value for value in by_class if value is not None):
        yield "class_recalls or counts hold something else than numbers"
    of_classes = (result.class_recalls, result.classes, result.counts, result.group_counts)
    if len({len(values) for values in of_classes}) > 1:
        yield "class_recalls, classes and counts differ in length"
    if result.id != id:
        yield f"it says it is run {result.id!r}, and lies in the folder of {id!r}"
    # an identity was canonical when it was stored, so it gives the same JSON again
    identity = json.dumps(result.identity, sort_keys=True, separators=(",", ":"))
    computed = short_of_json(identity)
    if computed != id:
        yield f"its settings are those of run {computed!r}, and it lies in the folder of {id!r}"


def _all_numbers(values: Iterable[Any]) -> bool:
    return set(map(type, values)) <= {int, float}
