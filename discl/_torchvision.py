"""Makes `import torchvision` work beside a CPU-only torch, where its native operators cannot load.

torchvision's wheels on PyPI are built against CUDA. Beside a CPU torch their native library fails
to load, and the import then stops because two operators have no schema (pytorch/vision#9085). timm,
open_clip and diffusers all import torchvision, and none of them needs an operator from it. On a
machine where the native library loads, nothing is changed.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from typing import Any

_keep: list[Any] = []  # an operator library unregisters itself when it is collected


class _Finder:
    """Answers the first `import torchvision` in the process, then steps aside."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != "torchvision":
            return None
        sys.meta_path.remove(cls)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            _define_missing_operators(os.path.dirname(spec.origin))
        return spec


def _define_missing_operators(package: str) -> None:
    import torch

    try:
        for native in glob.glob(os.path.join(package, "_C*.so")):
            torch.ops.load_library(native)
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _keep.append(library)


def install() -> None:
    """Put the finder first in line; costs nothing until torchvision is imported."""
    if "torchvision" not in sys.modules and _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
