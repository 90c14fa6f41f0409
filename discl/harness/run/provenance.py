"""Provenance of a result: software and machine; recorded beside it, not part of its identity."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from discl import __version__
from discl.core.compute.device import tf32
from discl.core.search_path import checkout

_PACKAGES = ("torch", "timm", "diffusers", "open_clip_torch", "numpy", "pillow")


def provenance() -> dict[str, Any]:
    """Commit, versions, processor, device and threads of this process."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "discl": __version__,
        "commit": commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "processor": processor(),
        "device": torch.cuda.get_device_name(0) if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    } | ({"tf32": tf32()} if cuda else {})


@cache
def commit() -> str:
    """The commit of the source tree, with '+' where it was changed; 'unknown' where installed.

    An installed package may lie in an environment inside another repository.
    """
    root = checkout()
    if root is None:
        return "unknown"
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--", "discl"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


@cache  # a look takes 10 ms, six packages a tenth of the time of a small run
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def processor() -> str:
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
