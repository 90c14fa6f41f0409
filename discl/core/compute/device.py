"""The device that work is done on, and why it is the CPU where it might be a GPU.

torch is loaded where something is asked, not before.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from contextlib import suppress
from pathlib import Path

from discl.core.errors import UserError, shown
from discl.core.plain_files import plain_text

VARIABLE = "CUDA_VISIBLE_DEVICES"
NO_GPU = ("", "-1", "NoDevFiles")  # of the variable: the CPU is meant
DRIVER = Path("/proc/driver/nvidia/version")
_CPU_MEANT = f"{VARIABLE}= (nothing) says that the CPU is meant"


def has_gpu() -> bool:
    """Whether torch can use a CUDA device."""
    import torch

    with warnings.catch_warnings():  # of a driver that is too old, which is told as a sentence
        warnings.simplefilter("ignore")
        return torch.cuda.is_available()


def check_visible_devices() -> None:
    """Raises UserError where CUDA_VISIBLE_DEVICES names devices, and torch finds none of them."""
    named = os.environ.get(VARIABLE, "").strip()
    if named in NO_GPU:  # before torch is loaded, which takes seconds
        return
    import torch

    if torch.version.cuda and not has_gpu():
        raise UserError(
            f"{VARIABLE} = {shown(named)} names no GPU that torch {torch.__version__} can use;"
            f" name one that `nvidia-smi -L` lists, or unset it; {_CPU_MEANT}"
        )


def why_no_gpu() -> str:
    """Why work is done on the CPU, with the way out; "" where nothing speaks for a GPU."""
    import torch

    if has_gpu() or os.environ.get(VARIABLE, "?").strip() in NO_GPU:
        return ""
    driver = driver_version()
    if torch.version.cuda:
        build = f"torch {torch.__version__} is built for CUDA {torch.version.cuda}"
        found = f"cannot use NVIDIA driver {driver}" if driver else "finds no NVIDIA driver"
        return (
            f"{build} and {found}, so that all is computed on the CPU: install a driver for CUDA"
            f" {torch.version.cuda}, or a torch that fits the driver (pytorch.org);"
            f" {_CPU_MEANT}"
        )
    if driver:
        return (
            f"torch {torch.__version__} is built without CUDA, so that all is computed on the CPU,"
            f" though there is NVIDIA driver {driver}: install a torch built for CUDA"
            f" (pytorch.org); {_CPU_MEANT}"
        )
    return ""


def driver_version() -> str:
    """The version of this machine's NVIDIA driver, "unknown" where only its tool is there.

    "" = there is none.
    """
    with suppress(OSError):
        told = plain_text(DRIVER, errors="replace")
        found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", told)
        return found.group() if found else "unknown"
    return "unknown" if shutil.which("nvidia-smi") else ""


def tf32() -> str:
    """What of float32 a GPU computes in TF32, with 10 bits of a number in place of 23."""
    import torch

    kinds = {
        "convolutions": torch.backends.cudnn.allow_tf32,
        "matrix products": torch.backends.cuda.matmul.allow_tf32,
    }
    used = " and ".join(kind for kind, is_used in kinds.items() if is_used)
    return f"float32 {used} in TF32" if used else "no TF32"
