"""What may go: banks nobody refers to, and leftovers inside the others.

Looking and removing are two steps.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from discl.core.errors import UserError
from discl.core.interfaces import Progress
from discl.engine.bank.bank import Bank
from discl.engine.bank.leases import exclusive, is_being_filled
from discl.files.disk import clear_disk_errors, home
from discl.harness.bank.inventory import (
    References,
    changed_at,
    folders,
    opened,
    part_of,
    said_of,
    size_of,
)

HALF_AGE_S = 24 * 3600  # a file half-written for so long has no writer any more
_TRASH = ".trash-"


class Removal(NamedTuple):
    """Something nobody would miss."""

    bank: Path
    what: str
    paths: tuple[Path, ...]
    bytes: int


@dataclass
class Cleaning:
    """What would be removed, and which banks are kept and why."""

    removals: list[Removal] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    unreadable: set[Path] = field(default_factory=set)  # banks whose catalogue cannot be read

    @property
    def bytes(self) -> int:
        return sum(removal.bytes for removal in self.removals)


def _generator(said: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = said.get("generator")
    return found if isinstance(found, dict) else None


def look(known: References, progress: Progress) -> Cleaning:
    """What may go; changes nothing."""
    plan = Cleaning()
    banks = folders()
    for done, folder in enumerate(banks, 1):
        progress("looking into banks", done - 1, len(banks))
        leftovers = _looked_into(folder, plan)
        if is_being_filled(folder):
            plan.kept.append((folder.name, "it is being filled now, so nothing in it is touched"))
        elif why := known.keep(
            folder.name, part_of(said := said_of(folder), "dataset"), _generator(said)
        ):
            plan.kept.append((folder.name, why))
            plan.removals += leftovers
        else:
            plan.removals.append(
                Removal(
                    folder,
                    "the whole bank: no benchmark and no run refers to it",
                    (folder,),
                    size_of(folder),
                )
            )
        progress("looking into banks", done, len(banks))
    for path in sorted((home() / "banks").glob(f"{_TRASH}*")):
        plan.removals.append(
            Removal(path, "left by a removal that was stopped", (path,), size_of(path))
        )
    return plan


def _looked_into(folder: Path, plan: Cleaning) -> list[Removal]:
    try:
        with closing(opened(folder)) as bank:
            return list(_leftovers(bank))
    except UserError:
        plan.unreadable.add(folder)
        return []  # without its catalogue nothing in it can be told from what is needed


def _leftovers(bank: Bank) -> Iterator[Removal]:
    folder = bank.folder
    long_ago = time.time() - HALF_AGE_S
    maps = tuple(bank.map_path(level)[0].stem for level in bank.count())  # at whatever size
    old = (path for path in folder.glob("cache/level-*.npy") if not path.stem.startswith(maps))
    yield from _removal(folder, "cache of images that have changed", old)
    yield from _removal(folder, "shards whose images were all replaced", bank.unused_shards())
    yield from _removal(folder, "damaged catalogues", folder.glob("damaged-*"))
    yield from _removal(
        folder,
        "files left half-written",
        (path for path in folder.rglob(".*.half") if changed_at(path) < long_ago),
    )


def _removal(folder: Path, what: str, paths: Iterable[Path]) -> Iterator[Removal]:
    if found := tuple(sorted(paths)):
        yield Removal(folder, f"{what} ({len(found)})", found, sum(map(size_of, found)))


def clean(plan: Cleaning) -> tuple[int, list[str]]:
    """Remove what `look` found; returns the bytes freed and, of what had to stay, why."""
    freed = 0
    stayed = []
    for removal in plan.removals:
        try:
            with clear_disk_errors("removing", removal.bank):
                _remove(removal, plan)
            freed += removal.bytes
        except UserError as error:
            stayed.append(str(error))
    return freed, stayed


def _remove(removal: Removal, plan: Cleaning) -> None:
    if removal.paths != (removal.bank,):
        _remove_inside(removal)
    elif removal.bank.name.startswith(_TRASH):
        shutil.rmtree(removal.bank)
    else:
        shutil.rmtree(_put_away(removal.bank, removal.bank not in plan.unreadable))


def _put_away(folder: Path, readable: bool) -> Path:
    """A bank goes at once, by a rename; its bytes afterwards.

    So a kill leaves no half of a bank, only trash.
    """
    trash = folder.with_name(f"{_TRASH}{folder.name}-{time.time_ns()}")
    if not readable:
        return folder.rename(trash)
    with closing(opened(folder)) as bank, exclusive(bank.catalogue):
        return folder.rename(trash)


def _remove_inside(removal: Removal) -> None:
    with closing(opened(removal.bank)) as bank, exclusive(bank.catalogue) as db:
        unused = bank.unused_shards()  # once more: nobody can change it now
        paths = [
            path
            for path in removal.paths
            if path.parent != bank.shards or path in unused or path.name.startswith(".")
        ]
        for path in paths:
            path.unlink(missing_ok=True)
        # after the bytes: a shard without an entry is taken for one that a killed builder left, and
        # entered again
        db.executemany("DELETE FROM shards WHERE name = ?", [(path.name,) for path in paths])
