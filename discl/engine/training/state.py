"""A nested state as named tensors and plain facts, and back: a checkpoint without a pickle."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def flatten(state: Any) -> tuple[dict[str, Tensor], Any]:
    """(tensors [...] by name, the rest as JSON can hold it).

    Containers may be dicts with plain keys, lists and tuples. Raises TypeError for anything else.
    """
    tensors: dict[str, Tensor] = {}

    def flat(value: Any, name: str) -> Any:
        if isinstance(value, Tensor):
            tensors[name] = value.detach().to("cpu", copy=True).contiguous()
            return {"tensor": name}
        if isinstance(value, dict):
            return {"dict": [[key, flat(item, f"{name}.{key}")] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            items = [flat(item, f"{name}.{i}") for i, item in enumerate(value)]
            return {type(value).__name__: items}
        if value is None or isinstance(value, bool | int | float | str):
            return {"value": value}
        raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint does not hold")

    return tensors, flat(state, "state")


def unflatten(tensors: dict[str, Tensor], facts: Any) -> Any:
    """The inverse of `flatten`: a state with its tensors [...]."""
    ((kind, content),) = facts.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: unflatten(tensors, item) for key, item in content}
    if kind == "list":
        return [unflatten(tensors, item) for item in content]
    if kind == "tuple":
        return tuple(unflatten(tensors, item) for item in content)
    return content
