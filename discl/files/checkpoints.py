"""Checkpoints on disk: one safetensors file each, with the plain facts as JSON in its header; the
last few are kept.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.files.disk import clear_disk_errors, publishing

if TYPE_CHECKING:
    from torch import Tensor

KEPT = 2  # the newest, and one more should that turn out to be damaged


def save(folder: Path, number: int, tensors: dict[str, Tensor], facts: Any) -> Path:
    """Write checkpoint `number` whole, then remove the old ones. Numbers rise."""
    from safetensors.torch import save_file

    path = folder / f"{number:09d}.safetensors"
    with clear_disk_errors("writing a checkpoint", folder), publishing(path) as half:
        save_file(tensors, half, metadata={"facts": json.dumps(facts)})
    for old in sorted(folder.glob("*.safetensors"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def newest(folder: Path) -> tuple[dict[str, Tensor], Any] | None:
    """The newest checkpoint that can be read; None where there is none."""
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors"), reverse=True):
        try:
            with safe_open(path, "pt") as opened:
                facts = json.loads(opened.metadata()["facts"])
                return {name: opened.get_tensor(name) for name in opened.keys()}, facts  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError):
            continue
    return None


def clear(folder: Path) -> None:
    """The run is complete: its checkpoints go."""
    shutil.rmtree(folder, ignore_errors=True)
