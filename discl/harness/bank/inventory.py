"""The banks of this machine and what each of them holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from discl.core.errors import FOREIGN, UserError, reason
from discl.core.plain_files import parsed_json, plain_text
from discl.engine.bank.bank import Bank
from discl.files.disk import home
from discl.harness.bank.references import References

_ID = re.compile(r"[0-9a-f]{16}")


class DiskUsage(NamedTuple):
    """Bytes of a bank on disk."""

    shards: int
    cache: int  # can be made again from the shards
    other: int  # the catalogue


@dataclass(frozen=True)
class BankSummary:
    """A line of `discl bank ls`."""

    id: str
    folder: Path
    dataset: str
    generator: str
    prompts: str
    images: dict[int, int]  # by level
    failed: int
    bytes: DiskUsage
    written: float  # seconds since 1970
    benchmarks: list[str]
    runs: int
    problem: str  # why the images could not be counted


def bank_folders() -> list[Path]:
    """The folder of every bank."""
    root = home() / "banks"
    return sorted(path for path in root.glob("*") if _ID.fullmatch(path.name) and path.is_dir())


def bank_summaries(references: References) -> Iterator[BankSummary]:
    """Every bank of this machine; one that cannot be read has a `problem`."""
    for folder in bank_folders():
        record = bank_record(folder)
        images: dict[int, int] = {}
        failed = 0
        problem = ""
        try:
            with closing(open_bank(folder)) as bank:
                images = bank.count()
                failed = len(bank.failures())
        except FOREIGN as error:  # of a damaged bank the others are listed all the same
            problem = reason(error)
        shards = size_of(folder / "shards")
        cache = size_of(folder / "cache")
        written = [changed_at(path) for path in (folder / "bank.json", *folder.glob("shards/*"))]
        yield BankSummary(
            id=folder.name,
            folder=folder,
            dataset=part_name(record, "dataset"),
            generator=part_name(record, "generator"),
            prompts=part_name(record, "prompts"),
            images=images,
            failed=failed,
            bytes=DiskUsage(shards, cache, size_of(folder) - shards - cache),
            written=max(written),
            benchmarks=references.benchmarks.get(folder.name, []),
            runs=references.runs[folder.name],
            problem=problem,
        )


def open_bank(folder: Path) -> Bank:
    """The bank in a folder.

    Raises UserError where it has no catalogue.
    """
    if not (folder / "catalogue.sqlite").exists():
        raise UserError("it has no catalogue; `discl bank build` makes one from the images")
    return Bank.at(folder)


def bank_record(folder: Path) -> dict[str, Any]:
    """The process a bank was made by, from its bank.json; empty where that cannot be read."""
    try:
        record = parsed_json(plain_text(folder / "bank.json"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def part_name(record: dict[str, Any], table: str) -> str:
    """The name of the part in a table of a bank's record; "?" where there is none."""
    part = record.get(table)
    return str(part.get("name", "?")) if isinstance(part, dict) else "?"


def size_of(path: Path) -> int:
    """Bytes of a file, or of everything in a folder; files may vanish meanwhile."""
    if not path.is_dir():
        return _size_and_time(path)[0]
    return sum(_size_and_time(inside)[0] for inside in path.rglob("*") if not inside.is_dir())


def changed_at(path: Path) -> float:
    """When a file was changed, seconds since 1970; 0 where it is gone."""
    return _size_and_time(path)[1]


def _size_and_time(path: Path) -> tuple[int, float]:
    try:
        state = path.lstat()
    except OSError:
        return 0, 0.0
    return state.st_size, state.st_mtime
