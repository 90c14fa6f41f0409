"""The work in one pass of a network, counted on meta tensors, which hold no values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from discl.harness.price.shapes import result_of

# operators that start no kernel; a transpose counts: a copy of what it turns mostly follows
_FREE = frozenset(
    (
        "view", "_unsafe_view", "reshape", "t", "expand", "unsqueeze", "squeeze", "permute",
        "split", "split_with_sizes", "chunk", "slice", "select", "unbind", "detach", "alias",
        "as_strided", "empty", "empty_like", "lift_fresh", "unflatten",
    )
)  # fmt: skip


@dataclass(frozen=True)
class NetworkWork:
    """Of one pass. FLOPs count two for each multiply-add, as `torch.utils.flop_counter` does."""

    convolutions: float  # FLOPs
    products: float  # FLOPs of matrix products and attention
    operators: int  # that a processor has to launch
    weights: int  # numbers that are read

    @property
    def flops(self) -> float:
        return self.convolutions + self.products

    def times(self, images: float) -> NetworkWork:
        """Of a batch so many times as large: as many operators, which do more each."""
        return NetworkWork(
            images * self.convolutions, images * self.products, self.operators, self.weights
        )


NO_WORK = NetworkWork(0.0, 0.0, 0, 0)


class _Counting(TorchDispatchMode):
    """Counts operators that start a kernel, and their FLOPs by torch's own formulas.

    As `FlopCounterMode` does, without its account of who called what.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.convolutions = 0
        self.products = 0
        self._leaves: set[Any] = set()  # operators that are made of no others

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in self._leaves:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
            self._leaves.add(func)
        packet = func.overloadpacket
        self.count += packet.__name__ not in _FREE
        result = result_of(func, args, kwargs)
        if packet in flop_registry:
            amount = flop_registry[packet](*args, **kwargs, out_val=result)
            if "convolution" in str(packet):
                self.convolutions += amount
            else:
                self.products += amount
        return result


def counted(run: Callable[[], object], weights: int = 0) -> NetworkWork:
    """The work that `run` does with tensors, whatever device they are on."""
    with _Counting() as work:
        run()
    return NetworkWork(float(work.convolutions), float(work.products), work.count, weights)


def weights_of(module: torch.nn.Module) -> int:
    """Numbers in a module: its parameters and buffers."""
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() for tensor in tensors)


@contextmanager
def on_meta() -> Iterator[None]:
    """Tensors that are made in the block hold no values; the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        yield
