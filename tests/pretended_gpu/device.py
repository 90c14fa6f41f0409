"""The pretended device: a tensor that says `cuda:0`, and `torch.cuda` as it would answer.

`start()` is called before torch is imported by anybody, and cannot be undone.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.pretended_gpu.build import folder_of_torch

if TYPE_CHECKING:
    from tests.pretended_gpu.ledger import Ledger


def start(driver: Path) -> Ledger:
    """Pretend from here on; the ledger counts what the host waits for."""
    if "torch" in sys.modules:
        raise RuntimeError("torch is imported already: it looks for its devices once, at that time")
    ctypes.CDLL(str(folder_of_torch() / "lib" / "libtorch_cpu.so"), ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(driver)).install()
    importlib.import_module("discl")  # first of all: it lets torchvision be imported
    tensor = importlib.import_module("tests.pretended_gpu.tensor")
    cuda = importlib.import_module("tests.pretended_gpu.cuda")
    cuda.answer()
    _in_every_thread(tensor.Interception, cuda.answer_in_thread)
    return tensor.LEDGER  # type: ignore[no-any-return]


def _in_every_thread(interception: type, answer_in_thread: Callable[[], None]) -> None:
    """torch keeps what looks at operators for each thread apart."""
    answer_in_thread()
    interception().__enter__()
    run = threading.Thread.run

    def intercepted(thread: threading.Thread) -> None:
        answer_in_thread()
        with interception():
            run(thread)

    threading.Thread.run = intercepted  # type: ignore[method-assign]
