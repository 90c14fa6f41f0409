"""Bytes that a network's pass holds at most, found on meta tensors: by who still refers to what."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from discl.harness.price.shapes import result_of


class PassMemory(NamedTuple):
    """Bytes beside the weights: some whatever the batch, and some for each image of it."""

    fixed: int
    an_image: int

    def of(self, images: int) -> int:
        """Of a batch of so many images."""
        return self.fixed + images * self.an_image

    def most_images(self, bytes_left: float) -> int:
        """The largest batch that fits into so many bytes; 0 = not even one."""
        return max(0, int((bytes_left - self.fixed) // max(1, self.an_image)))


NOTHING_HELD = PassMemory(0, 0)


class _Held(TorchDispatchMode):
    """Sums the storages that are alive; one ends with the last tensor that refers to it."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = {id(each.untyped_storage()) for each in _tensors((args, kwargs))}
        result = result_of(func, args, kwargs or {})
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if id(storage) not in given and id(storage) not in self._known:
                self._enter(storage)
        self.peak = max(self.peak, self.bytes)
        return result

    def _enter(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        self._known.add(key)
        self.bytes += size

        def left() -> None:
            self.bytes -= size
            self._known.discard(key)

        weakref.finalize(storage, left)


def _tensors(values: Any) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]


class _Attention(torch.autograd.Function):
    """What a fused kernel keeps of attention: what it reads and gives, and no table of weights."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = query.new_empty((*query.shape[:-1], value.shape[-1]))
        ctx.save_for_backward(query, key, value, output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        query, key, value, _ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


@contextmanager
def fused_attention() -> Iterator[None]:
    """Attention as GPUs compute it, in one kernel, where meta tensors would spell it out."""

    def fused(query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object) -> Any:
        return _Attention.apply(query, key, value)  # type: ignore[no-untyped-call]

    spelt_out = F.scaled_dot_product_attention
    F.scaled_dot_product_attention = fused
    try:
        yield
    finally:
        F.scaled_dot_product_attention = spelt_out


def peak_bytes(run: Callable[[], object]) -> int:
    """Bytes of tensors that `run` makes, as many as are alive at once."""
    with fused_attention(), _Held() as held:
        run()
    peak: int = held.peak  # torch's own class says that it is anything
    return peak


def pass_memory(run: Callable[[int], object]) -> PassMemory:
    """Of a pass over a batch of the size that `run` is given.

    Two sizes are tried, of two images at least: normalisation over one cannot be trained.
    """
    two, four = peak_bytes(lambda: run(2)), peak_bytes(lambda: run(4))
    an_image = max(0, four - two) // 2
    return PassMemory(max(0, two - 2 * an_image), an_image)
