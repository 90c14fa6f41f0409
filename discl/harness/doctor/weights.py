"""Compares stored weights with their digests: those of starts, and those that runs kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from discl.core.errors import UserError
from discl.core.result import Result
from discl.core.seals import DamagedFileError
from discl.files import checkpoints
from discl.harness.run.start.kept import KEPT, kept_weights
from discl.harness.run.start.stage import WEIGHTS, read, starts


def files_of_starts() -> Iterator[tuple[Path, Callable[[], object]]]:
    """Each file of a start, and what raises DamagedFileError where it is not as it was written."""
    for path in sorted(starts().root.glob(f"*/{WEIGHTS}")):
        yield path, lambda path=path: read(path.parent)  # type: ignore[misc]
    for path in sorted(starts().root.glob("*/checkpoints/*.safetensors")):
        yield path, lambda path=path: checkpoints.read(path)  # type: ignore[misc]


def check_kept(attempt: Path) -> None:
    """Raises UserError where the weights of an attempt are damaged; there may be none."""
    if (attempt / KEPT).exists():
        kept_weights(attempt)


def other_start(result: Result) -> str:
    """Whether the start of a run has other weights now than the run began from, in words.

    "" where it has not, where it is not on this machine, and where the run has none.
    """
    known = result.provenance.get("start")
    if not isinstance(known, dict) or not isinstance(known.get("id"), str):
        return ""
    folder = starts().root / known["id"]
    if not (folder / WEIGHTS).exists():
        return ""
    try:
        digest = read(folder).digest
    except (DamagedFileError, UserError):  # which is told of the start itself
        return ""
    if digest == known.get("digest"):
        return ""
    return (
        f"start {folder.name} now has other weights than the run began from; it was made again, by"
        " other software or another processor"
    )
