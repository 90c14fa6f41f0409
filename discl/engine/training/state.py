"""A nested state as named tensors and plain facts, and back, exactly: what a checkpoint can hold
without a pickle.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


def flatten(state: Any) -> tuple[dict[str, Tensor], Any]:
    """(tensors by name, the rest as JSON can hold it).

    Containers may be dicts with plain keys, lists and tuples.
    """
    tensors: dict[str, Tensor] = {}

    def walk(value: Any, name: str) -> Any:
        if isinstance(value, Tensor):
            tensors[name] = value.detach().to("cpu", copy=True).contiguous()
            return {"tensor": name}
        if isinstance(value, dict):
            return {"dict": [[key, walk(each, f"{name}.{key}")] for key, each in value.items()]}
        if isinstance(value, list | tuple):
            return {
                type(value).__name__: [walk(each, f"{name}.{i}") for i, each in enumerate(value)]
            }
        if value is None or isinstance(value, bool | int | float | str):
            return {"value": value}
        raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint does not hold")

    return tensors, walk(state, "state")


def unflatten(tensors: dict[str, Tensor], facts: Any) -> Any:
    """What `flatten` was given."""
    ((kind, content),) = facts.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: unflatten(tensors, each) for key, each in content}
    if kind in ("list", "tuple"):
        return {"list": list, "tuple": tuple}[kind](unflatten(tensors, each) for each in content)
    return content
