"""A stored result, or what is wrong with it: a file may be damaged, or edited by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.hashing import short_of_json
from discl.core.result import Result


def checked(path: Path, id: str) -> Result | str:
    """A stored result whose fields are what they should be, or what is wrong with it, as a
    sentence.
    """
    try:
        result = Result.read(path)
        wrong = next(_faults(result, id), "")
    except UserError as error:
        return str(error).removeprefix(f"{path} ")
    except (OSError, ValueError, RecursionError, ArithmeticError) as error:
        return f"cannot be read ({error})"
    return f"{wrong}; was it edited? remove it or run again" if wrong else result


_TYPES: dict[str, type] = {
    **dict.fromkeys(("id", "name", "benchmark", "scale", "strategy", "predictions"), str),
    **dict.fromkeys(("attempt", "seed", "chosen_epoch"), int),
    **dict.fromkeys(
        (
            "identity",
            "comparability",
            "metrics",
            "seen",
            "cost",
            "provenance",
            "confusion_counts",
            "errors",
            "plugins",
        ),
        dict,
    ),
    **dict.fromkeys(("class_recalls", "classes", "counts"), list),
}


def _faults(result: Result, id: str) -> Iterator[str]:
    for name, kind in _TYPES.items():
        if not isinstance(getattr(result, name), kind):
            yield f"{name} is a {type(getattr(result, name)).__name__}, not a {kind.__name__}"
    for name in ("metrics", "cost", "errors"):
        if not _numbers(getattr(result, name).values()):
            strange = next(
                key for key, value in getattr(result, name).items() if not _numbers([value])
            )
            yield f"{name} holds something else than a number for {strange!r}"
    if not _numbers(
        value for value in [*result.class_recalls, *result.counts] if value is not None
    ):
        yield "class_recalls or counts hold something else than numbers"
    if len({len(result.class_recalls), len(result.classes), len(result.counts)}) > 1:
        yield "class_recalls, classes and counts differ in length"
    if result.id != id:
        yield f"it says it is run {result.id!r}, and lies in the folder of {id!r}"
    # what was canonical when it was stored gives the same line again
    if (
        named := short_of_json(json.dumps(result.identity, sort_keys=True, separators=(",", ":")))
    ) != id:
        yield f"its settings are those of run {named!r}, and it lies in the folder of {id!r}"


def _numbers(values: Iterable[Any]) -> bool:
    return set(map(type, values)) <= {int, float}
