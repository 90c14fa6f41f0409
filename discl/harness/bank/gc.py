"""Finds and removes banks that nothing refers to, and leftovers inside the others.

Finding and removing are two steps.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from discl.core.errors import UserError
from discl.core.interfaces import Progress
from discl.engine.bank.bank import Bank
from discl.engine.bank.leases import exclusive, is_being_filled
from discl.files.disk import clear_disk_errors, home
from discl.harness.bank.inventory import (
    bank_folders,
    bank_record,
    changed_at,
    open_bank,
    part_name,
    size_of,
)
from discl.harness.bank.references import References

UNFINISHED_AGE_S = 24 * 3600  # the writer of an unfinished file is gone after so long
_TRASH = ".trash-"


class Removal(NamedTuple):
    """Files of one kind that can be removed from a bank, or the whole bank."""

    bank: Path
    what: str
    paths: tuple[Path, ...]
    bytes: int


@dataclass
class RemovalPlan:
    """The files that can be removed, and the banks that are kept."""

    removals: list[Removal] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)  # (bank, reason)
    unreadable: set[Path] = field(default_factory=set)  # banks whose catalogue cannot be read

    @property
    def bytes(self) -> int:
        return sum(removal.bytes for removal in self.removals)


def plan_removals(references: References, progress: Progress) -> RemovalPlan:
    """Find what can be removed; changes nothing."""
    plan = RemovalPlan()
    folders = bank_folders()
    for done, folder in enumerate(folders):
        progress("looking into banks", done, len(folders))
        _plan_bank(folder, references, plan)
    if folders:
        progress("looking into banks", len(folders), len(folders))
    for path in sorted((home() / "banks").glob(f"{_TRASH}*")):
        what = "left by a removal that was stopped"
        plan.removals.append(Removal(path, what, (path,), size_of(path)))
    return plan


def _plan_bank(folder: Path, references: References, plan: RemovalPlan) -> None:
    leftovers = _leftovers_of(folder, plan)
    if is_being_filled(folder):
        plan.kept.append((folder.name, "it is being filled, so nothing in it is removed"))
        return
    record = bank_record(folder)
    generator = record.get("generator")
    reason = references.reason_to_keep(
        folder.name,
        part_name(record, "dataset"),
        generator if isinstance(generator, dict) else None,
    )
    if reason:
        plan.kept.append((folder.name, reason))
        plan.removals += leftovers
    else:
        what = "the whole bank: no benchmark and no run refers to it"
        plan.removals.append(Removal(folder, what, (folder,), size_of(folder)))


def _leftovers_of(folder: Path, plan: RemovalPlan) -> list[Removal]:
    try:
        with closing(open_bank(folder)) as bank:
            return list(_leftovers(bank))
    except UserError:  # without its catalogue it is unknown which of its files are needed
        plan.unreadable.add(folder)
        return []


def _leftovers(bank: Bank) -> Iterator[Removal]:
    folder = bank.folder
    current = tuple(bank.map_path(level)[0].stem for level in bank.count())  # of any picture size
    caches = folder.glob("cache/level-*.npy")
    old_caches = [path for path in caches if not path.stem.startswith(current)]
    yield from _removal(folder, "cache of images that have changed", old_caches)
    yield from _removal(folder, "shards whose images were all replaced", bank.unused_shards())
    yield from _removal(folder, "damaged catalogues", folder.glob("damaged-*"))
    long_ago = time.time() - UNFINISHED_AGE_S
    unfinished = [
        path
        for path in (*folder.rglob(".*.tmp"), *folder.rglob(".*.half"))  # .half: written by 0.1
        if changed_at(path) < long_ago
    ]
    yield from _removal(folder, "files left half-written", unfinished)


def _removal(folder: Path, what: str, paths: Iterable[Path]) -> Iterator[Removal]:
    files = tuple(sorted(paths))
    if files:
        yield Removal(folder, f"{what} ({len(files)})", files, sum(map(size_of, files)))


def remove(plan: RemovalPlan) -> tuple[int, list[str]]:
    """Remove what `plan_removals` found.

    Returns the bytes freed and, for each removal that failed, why.
    """
    freed = 0
    failures = []
    for removal in plan.removals:
        try:
            with clear_disk_errors("removing", removal.bank):
                _remove(removal, plan)
            freed += removal.bytes
        except UserError as error:
            failures.append(str(error))
    return freed, failures


def _remove(removal: Removal, plan: RemovalPlan) -> None:
    if removal.paths != (removal.bank,):
        _remove_inside(removal)
    elif removal.bank.name.startswith(_TRASH):
        shutil.rmtree(removal.bank)
    else:
        shutil.rmtree(_renamed_to_trash(removal.bank, removal.bank not in plan.unreadable))


def _renamed_to_trash(folder: Path, readable: bool) -> Path:
    """A bank's folder under a name that no reader looks for.

    The bank goes by one rename and its files afterwards, so that a kill leaves trash and never a
    part of a bank.
    """
    trash = folder.with_name(f"{_TRASH}{folder.name}-{time.time_ns()}")
    if not readable:
        return folder.rename(trash)
    with closing(open_bank(folder)) as bank, exclusive(bank.catalogue):
        return folder.rename(trash)


def _remove_inside(removal: Removal) -> None:
    with closing(open_bank(removal.bank)) as bank, exclusive(bank.catalogue) as db:
        unused = bank.unused_shards()  # asked again, since no builder can change it here
        paths = [
            path
            for path in removal.paths
            if path.parent != bank.shards or path in unused or path.name.startswith(".")
        ]
        for path in paths:
            path.unlink(missing_ok=True)
        # entries go after the files: a shard without an entry would be taken for one that a killed
        # builder left, and entered again
        db.executemany("DELETE FROM shards WHERE name = ?", [(path.name,) for path in paths])
