"""Whether a call draws from PyTorch's common generator of chance, in the thread that makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class DrawsOfOwn(TorchDispatchMode):  # type: ignore[misc]
    """While it is entered, sees what is drawn without a generator that was handed over.

    Other threads may draw meanwhile, such as one that makes a network before its weights are read:
    the generator's state would change by them, and tells nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            handed = (*args, *given.values())
            self.seen |= not any(isinstance(each, torch.Generator) for each in handed)
        return func(*args, **given)


def draws(call: Callable[..., Any], *given: Any, **named: Any) -> tuple[Any, bool]:
    """(what a call answers, whether it drew chance of its own)."""
    with DrawsOfOwn() as mode:
        answer = call(*given, **named)
    return answer, mode.seen
