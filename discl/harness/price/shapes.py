"""Results of operators on meta tensors: one that was asked before is not worked out again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

_MOST_KNOWN = 50_000  # calls; some hundred bytes each


class _Form(NamedTuple):
    """All that a meta tensor is."""

    size: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype

    def made(self) -> Tensor:
        return torch.empty_strided(self.size, self.stride, dtype=self.dtype, device="meta")


class _NoKeyError(Exception):
    """A call that is not remembered: of tensors with values, or of complex ones."""


_known: dict[Any, Any] = {}  # call -> the form of its result, or a tuple of forms
_aliasing: set[Any] = set()  # operators that gave their argument, or a part of it, back


def result_of(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What operator `func` gives; a new meta tensor where such a call is known.

    A layer occurs many times in a network, and torch works the shapes of its operators out in
    Python. Operators that change an argument, or give a view of it, are called each time.
    """
    if func in _aliasing or func._schema.is_mutable:
        return func(*args, **kwargs)
    try:
        key = (func, _key(args), *((name, _key(kwargs[name])) for name in kwargs))
        form = _known.get(key)
    except (_NoKeyError, TypeError):  # TypeError: something that has no hash
        return func(*args, **kwargs)
    if form is not None:
        return form.made() if isinstance(form, _Form) else tuple(each.made() for each in form)
    result = func(*args, **kwargs)
    _remember(func, key, (args, kwargs), result)
    return result


def _key(value: Any) -> Any:
    if isinstance(value, Tensor):
        if value.device.type != "meta" or value.dtype.is_complex:
            raise _NoKeyError
        return value.shape, value.stride(), value.dtype
    if isinstance(value, tuple | list):
        return tuple(map(_key, value))
    return type(value), value  # 1, 1.0 and True are the same key, and not the same call


def _remember(func: Any, key: Any, given: Any, result: Any) -> None:
    several = isinstance(result, tuple | list)
    tensors = result if several else [result]
    if not all(isinstance(each, Tensor) and each.device.type == "meta" for each in tensors):
        return
    storages = {id(each.untyped_storage()) for each in tensors}
    if len(storages) < len(tensors) or storages & _storages(given):
        _aliasing.add(func)
        return
    forms = tuple(_Form(each.shape, each.stride(), each.dtype) for each in tensors)
    for form, each in zip(forms, tensors, strict=True):
        if form.made().untyped_storage().nbytes() != each.untyped_storage().nbytes():
            return
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[key] = forms if several else forms[0]


def _storages(value: Any) -> set[int]:
    if isinstance(value, Tensor):
        return {id(value.untyped_storage())}
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return set().union(*map(_storages, value))
    return set()
