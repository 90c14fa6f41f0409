"""How much memory is free where work is done, and whether so many workers have room in it.

torch is loaded only where a GPU can be asked.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from discl.core.compute.device import has_gpu
from discl.core.plain_files import plain_text

PROCESS_BYTES = 225_000_000  # of a process that has loaded torch and nothing else, on Linux


class Room(NamedTuple):
    """Memory of a device, in bytes."""

    free: int
    where: str  # in words
    is_gpu: bool


def room() -> Room | None:
    """What this machine's first GPU has free, or else the machine itself; None = unknown.

    The machine's is with what files fill only until it is asked for.
    """
    if has_gpu():
        import torch

        free, _ = torch.cuda.mem_get_info()
        return Room(int(free), torch.cuda.get_device_name(), True)
    with suppress(OSError, ValueError, IndexError):  # Linux says what it would give back
        told = plain_text(Path("/proc/meminfo")).split("MemAvailable:")[1]
        return Room(1024 * int(told.split()[0]), "this machine", False)
    with suppress(ValueError, OSError):
        page = os.sysconf("SC_PAGE_SIZE")
        return Room(os.sysconf("SC_AVPHYS_PAGES") * page, "this machine", False)
    return None


def too_many(workers: int, each: int, found: Room | None) -> str:
    """A sentence where `workers` that hold `each` bytes at least have no room; "" where they do."""
    if found is None or workers * each <= found.free:
        return ""
    most = found.free // each
    way_out = f"at most {most} fit" if most else "not even one fits"
    return (
        f"{workers} workers side by side: each holds weights of {each / 1e9:.2g} GB at least, and"
        f" {found.where} has {found.free / 1e9:.1f} GB of memory free: {way_out}; lower --workers"
    )


def too_many_processes(workers: int, found: Room | None) -> str:
    """A sentence where so many processes, without any weights, have no room; "" where they do."""
    if found is None or found.is_gpu or workers * PROCESS_BYTES <= found.free:
        return ""
    return (
        f"{workers:,} workers: a process that computes takes {PROCESS_BYTES / 1e9:.2g} GB before it"
        f" holds anything, and {found.where} has {found.free / 1e9:.1f} GB of memory free; lower"
        f" --workers to {max(1, found.free // PROCESS_BYTES)} at most"
    )
