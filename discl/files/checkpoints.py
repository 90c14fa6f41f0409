"""Checkpoints on disk: a safetensors file each, with plain facts as JSON in its header."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.files.disk import atomic_write, clear_disk_errors

if TYPE_CHECKING:
    from torch import Tensor

KEPT = 2  # the newest, and one more should that turn out to be damaged
FORMAT = 2  # raised when a state has other names; in the file names, so that others are passed over


def save(folder: Path, number: int, tensors: dict[str, Tensor], facts: Any) -> Path:
    """Write checkpoint `number` whole, then remove the old ones; numbers rise.

    `tensors` are of any shape [...], and JSON can hold `facts`. Raises DiskError where the disk is
    full or cannot be written.
    """
    from safetensors.torch import save_file

    path = folder / f"{number:09d}.v{FORMAT}.safetensors"
    with clear_disk_errors("writing a checkpoint", folder), atomic_write(path) as tmp:
        save_file(tensors, tmp, metadata={"facts": json.dumps(facts)})
    for old in _stored(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def newest(folder: Path) -> tuple[dict[str, Tensor], Any] | None:
    """(tensors [...] by name, facts) of the newest readable checkpoint of this format, or None."""
    from safetensors import SafetensorError, safe_open

    for path in reversed(_stored(folder)):
        try:
            with safe_open(path, "pt") as opened:
                facts = json.loads(opened.metadata()["facts"])
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
                return tensors, facts
        except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError):
            continue
    return None


def _stored(folder: Path) -> list[Path]:
    """Checkpoints of this format, oldest first."""
    return sorted(folder.glob(f"*.v{FORMAT}.safetensors"))


def clear(folder: Path) -> None:
    """The run is complete: its checkpoints go."""
    shutil.rmtree(folder, ignore_errors=True)
