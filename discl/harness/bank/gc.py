"""Finds banks that nothing uses, and leftovers inside the others, and moves them to the trash.

Finding and removing are two steps. What is removed goes by rename into `banks/trash/<when>/`, from
where it can be moved back; the next removal empties that.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from discl.core.errors import FOREIGN, UserError, reason
from discl.core.interfaces import Progress
from discl.core.text import counted
from discl.engine.bank.bank import Bank
from discl.engine.bank.leases import (
    IN_USE,
    dead_builders,
    exclusive,
    is_being_filled,
    is_in_use,
    remove_dead_builders,
    unused,
)
from discl.files.disk import clear_disk_errors, data_home, flush, home
from discl.files.disks.leftovers import collect_below
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
_CACHE_DEPTH = 2  # folders below home and data in which caches are written
RECENT_S = 24 * 3600  # what was used since may be used again soon
_USED = ("bank.json", IN_USE, "shards", "cache", "builders")  # what an image or a reader changes
_OLD_TRASH = ".trash-*"  # beside the banks, of a stopped removal by an earlier version


class Removal(NamedTuple):
    """Files of one kind that can be removed from a bank, or the whole bank."""

    bank: Path
    what: str
    paths: tuple[Path, ...]
    bytes: int
    trash: bool = False  # it lies in the trash, and is removed for good


@dataclass
class RemovalPlan:
    """The files that can be removed, and the banks that are kept."""

    removals: list[Removal] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)  # (bank, reason)
    unreadable: set[Path] = field(default_factory=set)  # banks whose catalogue cannot be read

    @property
    def freed(self) -> int:
        """Bytes in the trash, which is emptied."""
        return sum(removal.bytes for removal in self.removals if removal.trash)

    @property
    def moved(self) -> int:
        """Bytes that go to the trash."""
        return sum(removal.bytes for removal in self.removals if not removal.trash)


class Removed(NamedTuple):
    """What a removal did."""

    freed: int  # bytes
    moved: int  # bytes that lie in `trash` now
    trash: Path
    failures: list[str]  # for each removal that failed, why


def trash_folder() -> Path:
    """Where removed banks wait; beside the banks, so that a rename is enough."""
    return home() / "banks" / "trash"


def plan_removals(
    references: References, progress: Progress, *, recent: bool = False
) -> RemovalPlan:
    """Find what can be removed; changes nothing.

    Banks that were used within a day are kept, unless `recent`.
    """
    plan = RemovalPlan()
    folders = bank_folders()
    for done, folder in enumerate(folders):
        progress("looking into banks", done, len(folders))
        try:
            _plan_bank(folder, references, plan, recent)
        except (
            FOREIGN
        ) as error:  # of a damaged bank nothing is removed, and the others are gone on with
            plan.kept.append((folder.name, f"it cannot be looked into ({reason(error)})"))
    if folders:
        progress("looking into banks", len(folders), len(folders))
    for path in sorted([*trash_folder().glob("*"), *(home() / "banks").glob(_OLD_TRASH)]):
        what = "removed before, and in the trash since"
        plan.removals.append(Removal(path, what, (path,), size_of(path), trash=True))
    return plan


def _plan_bank(folder: Path, references: References, plan: RemovalPlan, recent: bool) -> None:
    if is_in_use(folder):
        plan.kept.append((folder.name, "it is in use, so nothing in it is removed"))
        return
    leftovers = _leftovers_of(folder, plan)
    if is_being_filled(folder):
        plan.kept.append((folder.name, "it is being filled, so nothing in it is removed"))
        return
    record = bank_record(folder)
    generator = record.get("generator")
    why = references.reason_to_keep(
        folder.name,
        part_name(record, "dataset"),
        generator if isinstance(generator, dict) else None,
    )
    idle_s = time.time() - max(changed_at(folder / name) for name in _USED)
    if not why and not recent and idle_s < RECENT_S:
        why = f"nothing refers to it, but it was used {_ago(idle_s)}; --recent takes it, too"
    if why:
        plan.kept.append((folder.name, why))
        plan.removals += leftovers
    else:
        what = "the whole bank: no benchmark and no run refers to it"
        plan.removals.append(Removal(folder, what, (folder,), size_of(folder)))


def _ago(seconds: float) -> str:
    hours = int(seconds // 3600)
    return f"{counted(hours, 'hour')} ago" if hours else "within the last hour"


def _leftovers_of(folder: Path, plan: RemovalPlan) -> list[Removal]:
    try:
        with closing(open_bank(folder)) as bank:
            return list(_leftovers(bank))
    except FOREIGN:  # without its catalogue it is unknown which of its files are needed
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
    yield from _removal(folder, "locks of builders that died", dead_builders(folder))
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


def remove(plan: RemovalPlan) -> Removed:
    """Empty the trash, then move there what else `plan_removals` found."""
    freed = 0
    moved = 0
    failures = []
    when = time.strftime("%Y-%m-%dT%H-%M-%S")
    trash = trash_folder() / f"{when}-{uuid.uuid4().hex[:4]}"
    for removal in sorted(plan.removals, key=lambda removal: not removal.trash):
        try:
            with clear_disk_errors("removing", removal.bank):
                if removal.trash:
                    _remove_for_good(removal.bank)
                    freed += removal.bytes
                else:
                    _move(removal, plan, trash)
                    moved += removal.bytes
        except UserError as error:
            failures.append(str(error))
    with suppress(OSError):
        trash_folder().rmdir()  # where nothing is in it
    for folder in (home(), data_home()):
        # of writers killed so lately that who came after could not tell, and wrote no more there
        collect_below(folder, _CACHE_DEPTH)
    return Removed(freed, moved, trash, failures)


def _remove_for_good(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # another process may be at it, too
    if folder.exists():
        shutil.rmtree(folder)


def _move(removal: Removal, plan: RemovalPlan, trash: Path) -> None:
    """Move a bank, or files of it, to their places below `trash`.

    Each goes by one rename: a kill leaves it here or there, and a bank never in part.
    """
    with unused(removal.bank), ExitStack() as stack:
        if removal.bank in plan.unreadable:
            _move_to_trash(removal.paths, removal.bank, trash)
            return
        bank = stack.enter_context(closing(open_bank(removal.bank)))
        remove_dead_builders(bank.catalogue)
        db = stack.enter_context(exclusive(bank.catalogue))
        unused_shards = bank.unused_shards()  # asked again, since no builder can change it here
        paths = [
            path
            for path in removal.paths
            if path.parent != bank.shards or path in unused_shards or path.name.startswith(".")
        ]
        _move_to_trash(paths, removal.bank, trash)
        # entries go after the files: a shard without an entry would be taken for one that a killed
        # builder left, and entered again
        if removal.paths != (removal.bank,):
            names = [(path.name,) for path in paths]
            db.executemany("DELETE FROM shards WHERE name = ?", names)


def _move_to_trash(paths: Iterable[Path], bank: Path, trash: Path) -> None:
    for path in paths:
        if not os.path.lexists(path):  # locks of dead builders are gone by now
            continue
        target = trash / path.relative_to(bank.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process was faster
            os.rename(path, target)
            flush(target.parent)
            flush(path.parent)
