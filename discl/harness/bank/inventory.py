"""The banks of this machine: what each holds and who refers to it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from discl.config.load import available, load, scales
from discl.core.errors import UserError
from discl.engine.bank.bank import Bank
from discl.files.disk import home
from discl.files.fetch import offline
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store

_ID = re.compile(r"[0-9a-f]{16}")


def folders() -> list[Path]:
    """Every bank's folder."""
    root = home() / "banks"
    return sorted(path for path in root.glob("*") if _ID.fullmatch(path.name) and path.is_dir())


# ---------------------------------------------------------------- who refers to them


class Unsure(NamedTuple):
    """Something that may refer to a bank, and why that cannot be told.

    No dataset or generator = that of any bank.
    """

    dataset: str | None
    why: str
    generator: Mapping[str, Any] | None = None  # name, version and parameters

    def may_mean(self, dataset: str, generator: Mapping[str, Any] | None) -> bool:
        """Whether it may be a bank of this dataset, made by this generator (None = not known)."""
        other = (
            self.generator
            and generator
            and any(generator.get(key) != value for key, value in self.generator.items())
        )
        return self.dataset in (None, dataset) and not other


@dataclass
class References:
    """Who refers to which bank."""

    benchmarks: dict[str, list[str]] = field(default_factory=dict)  # bank -> benchmark/scale
    runs: Counter[str] = field(default_factory=Counter)  # bank -> complete runs
    unsure: list[Unsure] = field(default_factory=list)

    def keep(self, bank: str, dataset: str, generator: Mapping[str, Any] | None = None) -> str:
        """Why a bank is kept; "" where nobody can be referring to it."""
        runs = (
            [f"{self.runs[bank]} run{'s' if self.runs[bank] > 1 else ''}"]
            if self.runs[bank]
            else []
        )
        if named := [*self.benchmarks.get(bank, []), *runs]:
            return ", ".join(named)
        doubts = [unsure.why for unsure in self.unsure if unsure.may_mean(dataset, generator)]
        return f"perhaps: {doubts[0]}" if doubts else ""


def references() -> References:
    """Asks every benchmark at every scale, and every complete run.

    Fetches nothing; what that leaves open is `unsure`.
    """
    found = References()
    with offline():
        for name in available():
            _ask_benchmark(name, found)
    for path in sorted(Store().root.glob("*/*/result.json")):
        try:
            bank = json.loads(path.read_text("utf-8"))["comparability"]["bank"]
            found.runs.update([bank] if bank else [])
        except (OSError, ValueError, KeyError, TypeError):
            found.unsure.append(
                Unsure(None, f"{path} cannot be read, so the bank of that run is not known")
            )
    return found


def _ask_benchmark(name: str, found: References) -> None:
    try:
        of_benchmark = scales(name)
    except UserError as error:
        found.unsure.append(Unsure(None, str(error)))
        return
    for scale in of_benchmark:
        answer = _bank_of(name, scale)
        if isinstance(answer, Unsure):
            found.unsure.append(answer)
        else:
            found.benchmarks.setdefault(answer, []).append(f"{name}/{scale}")


def _bank_of(name: str, scale: str) -> str | Unsure:
    dataset = generator = None
    try:
        bench = Bench(load(name, scale))
        dataset = str(bench.spec.dataset["name"])
        generator = bench.spec.part("generators").identity()
        if bench.dataset.ready:
            return bench.bank_id
        return Unsure(
            dataset,
            f"{name}/{scale} needs the photos of {dataset}, which are not on this machine",
            generator,
        )
    except (
        Exception
    ) as error:  # parts are anybody's code: whatever goes wrong in them, the bank is kept
        return Unsure(
            dataset,
            f"{name}/{scale} does not say which bank it needs"
            f" ({str(error) or type(error).__name__})",
            generator,
        )


# ---------------------------------------------------------------- what they hold


class Bytes(NamedTuple):
    """On disk."""

    shards: int
    cache: int  # rebuildable
    other: int  # the catalogue


@dataclass(frozen=True)
class Summary:
    """A bank at a glance."""

    id: str
    folder: Path
    dataset: str
    generator: str
    prompts: str
    images: dict[int, int]  # by level
    failed: int
    bytes: Bytes
    written: float  # seconds since 1970
    benchmarks: list[str]
    runs: int
    problem: str  # why the images could not be counted


def summaries(known: References) -> Iterator[Summary]:
    """Every bank; one that cannot be read says so."""
    for folder in folders():
        said = said_of(folder)
        images = dict[int, int]()
        failed = 0
        problem = ""
        try:
            with closing(opened(folder)) as bank:
                images = bank.count()
                failed = len(bank.failures())
        except UserError as error:
            problem = str(error)
        shards, cache = size_of(folder / "shards"), size_of(folder / "cache")
        yield Summary(
            id=folder.name,
            folder=folder,
            dataset=part_of(said, "dataset"),
            generator=part_of(said, "generator"),
            prompts=part_of(said, "prompts"),
            images=images,
            failed=failed,
            bytes=Bytes(shards, cache, size_of(folder) - shards - cache),
            written=max(
                (changed_at(path) for path in [folder / "bank.json", *folder.glob("shards/*")]),
                default=0.0,
            ),
            benchmarks=known.benchmarks.get(folder.name, []),
            runs=known.runs[folder.name],
            problem=problem,
        )


def opened(folder: Path) -> Bank:
    if not (folder / "catalogue.sqlite").exists():
        raise UserError("it has no catalogue; `discl bank build` makes one from the images")
    return Bank.at(folder)


def said_of(folder: Path) -> dict[str, Any]:
    try:
        said = json.loads((folder / "bank.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def part_of(said: dict[str, Any], kind: str) -> str:
    part = said.get(kind)
    return str(part.get("name", "?")) if isinstance(part, dict) else "?"


def size_of(path: Path) -> int:
    """Bytes of a file, or of everything in a folder; files may go while we look."""
    if not path.is_dir():
        return _stat(path)[0]
    return sum(_stat(inside)[0] for inside in path.rglob("*") if not inside.is_dir())


def changed_at(path: Path) -> float:
    return _stat(path)[1]


def _stat(path: Path) -> tuple[int, float]:
    try:
        state = path.lstat()
    except OSError:
        return 0, 0.0
    return state.st_size, state.st_mtime
