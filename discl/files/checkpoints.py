"""Checkpoints on disk: a safetensors file each, with plain facts as JSON in its header.

The header holds a digest of everything in the file, and whose checkpoint it is.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.core.plain_files import parsed_json, plain
from discl.core.seals import DamagedFileError, damaged
from discl.files.disk import atomic_write, clear_disk_errors
from discl.files.networks.state_file import digest_of
from discl.files.sealed import told

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
    text = json.dumps(facts)
    metadata = {"facts": text, "digest": _digest(path, tensors, text)}
    with clear_disk_errors("writing a checkpoint", folder), atomic_write(path) as tmp:
        save_file(tensors, tmp, metadata=metadata)
    for old in _stored(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def newest(folder: Path) -> tuple[dict[str, Tensor], Any] | None:
    """(tensors [...] by name, facts) of the newest whole checkpoint of this format, or None.

    That one is damaged is told, and the one before it is taken.
    """
    for path in reversed(_stored(folder)):
        try:
            return read(path)
        except DamagedFileError as error:
            told(error)
    return None


def read(path: Path) -> tuple[dict[str, Tensor], Any]:
    """(tensors [...] by name, facts) of one checkpoint.

    Raises DamagedFileError where the file is not as it was written.
    """
    from safetensors import SafetensorError, safe_open

    way_out = "the run goes on from the checkpoint before it, or from the beginning"
    try:
        with safe_open(plain(path), "pt") as opened:
            metadata = opened.metadata()
            text = metadata["facts"]
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        facts = parsed_json(text)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise damaged(path, f"cannot be read ({error})", way_out) from error
    # earlier versions wrote no digest
    if "digest" in metadata and metadata["digest"] != _digest(path, tensors, text):
        raise damaged(path, "is damaged (its content is not what was sealed)", way_out)
    return tensors, facts


def _digest(path: Path, tensors: dict[str, Tensor], facts: str) -> str:
    """Of all that a checkpoint holds, and of its run and number."""
    return digest_of(tensors, facts, f"{path.parent.parent.name} {path.name}")


def _stored(folder: Path) -> list[Path]:
    """Checkpoints of this format, oldest first."""
    return sorted(folder.glob(f"*.v{FORMAT}.safetensors"))


def clear(folder: Path) -> None:
    """The run is complete: its checkpoints go."""
    shutil.rmtree(folder, ignore_errors=True)
