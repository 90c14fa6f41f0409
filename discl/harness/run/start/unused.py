"""Finds starts that no run refers to, and removes them; a run that needs one makes it again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import NamedTuple

from discl.core.errors import UserError
from discl.core.seals import read_sealed
from discl.core.text import counted
from discl.files.disk import clear_disk_errors
from discl.harness.run.start.stage import starts
from discl.harness.run.store import BusyError, Store

RECENT_S = 24 * 3600  # what was made since may be needed soon


class FoundStart(NamedTuple):
    """A start on this machine."""

    id: str
    bytes: int
    why_kept: str  # "" where nothing needs it


def found_starts(store: Store, *, recent: bool = False) -> list[FoundStart]:
    """Every start, and why it is kept; changes nothing.

    Those that were made or gone on with within a day are kept, unless `recent`.
    """
    used, doubt = _used(store)
    return [
        FoundStart(
            folder.name,
            sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            _why_kept(folder, used, doubt, store, recent),
        )
        for folder in sorted(starts().root.glob("[0-9a-f]*"))
    ]


def _why_kept(folder: Path, used: dict[str, int], doubt: str, store: Store, recent: bool) -> str:
    if starts().being_made(folder.name):
        return "it is being made"
    if store.is_swept():
        return "a sweep is under way, and may come to use it"
    if count := used.get(folder.name):
        return counted(count, "run")
    if doubt:
        return f"perhaps: {doubt}"
    written = [path.stat().st_mtime for path in folder.rglob("*") if path.is_file()]
    if not recent and time.time() - max(written, default=0.0) < RECENT_S:
        return "nothing refers to it, but it was made within a day; --recent takes it, too"
    return ""


def _used(store: Store) -> tuple[dict[str, int], str]:
    """Runs by the start they began from, and why it is not known of others; "" = it is."""
    used = dict[str, int]()
    doubt = ""
    for record in sorted(store.root.glob("*/*/experiment.json")):
        try:
            start = read_sealed(record, "").get("start")
        except UserError:
            doubt = f"{record} cannot be read, so the start of that run is not known"
            continue
        if isinstance(start, dict) and "id" in start:
            used[str(start["id"])] = used.get(str(start["id"]), 0) + 1
    return used, doubt


def remove_start(id: str) -> bool:
    """Remove a start for good, unless a process came to make it meanwhile; whether it went."""
    folder = starts().root / id
    try:
        with starts().claimed(id, wait=False), clear_disk_errors("removing", folder):
            shutil.rmtree(folder)
    except BusyError:
        return False
    return True
