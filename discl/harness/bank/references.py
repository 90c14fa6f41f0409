"""Which benchmarks and runs refer to which bank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from discl.config.load import available, load, scales
from discl.core.errors import FOREIGN, UserError, reason
from discl.core.seals import read_sealed
from discl.core.text import counted
from discl.files.fetch import offline
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store


class PossibleReference(NamedTuple):
    """Something that may refer to a bank, and why it is not known whether it does.

    Without a dataset or a generator it may be any bank's.
    """

    dataset: str | None
    why: str
    generator: Mapping[str, Any] | None = None  # name, version and parameters

    def matches(self, dataset: str, generator: Mapping[str, Any] | None) -> bool:
        """Whether a bank of this dataset and generator may be meant (None = not known)."""
        if self.dataset not in (None, dataset):
            return False
        if not self.generator or not generator:
            return True
        return all(generator.get(key) == value for key, value in self.generator.items())


@dataclass
class References:
    """The benchmarks and runs that refer to banks."""

    benchmarks: dict[str, list[str]] = field(default_factory=dict)  # bank -> benchmark/scale
    runs: Counter[str] = field(default_factory=Counter)  # bank -> complete runs
    unfinished: Counter[str] = field(default_factory=Counter)  # bank -> runs under way or stopped
    possible: list[PossibleReference] = field(default_factory=list)

    def reason_to_keep(
        self, bank: str, dataset: str, generator: Mapping[str, Any] | None = None
    ) -> str:
        """Why a bank is kept; "" where nothing can refer to it."""
        names = list(self.benchmarks.get(bank, []))
        if count := self.runs[bank]:
            names.append(counted(count, "run"))
        if count := self.unfinished[bank]:
            names.append(f"{counted(count, 'run')} under way or to be gone on with")
        if names:
            return ", ".join(names)
        for possible in self.possible:
            if possible.matches(dataset, generator):
                return f"perhaps: {possible.why}"
        return ""


def find_references() -> References:
    """The references of every benchmark at every scale, and of every run and sweep.

    Of runs those count that are complete, are being made, or have a checkpoint to go on from.
    Nothing is fetched; what remains open without that is in `possible`.
    """
    references = References()
    with offline():
        for name in available():
            _add_benchmark(name, references)
    for path in sorted(Store().root.glob("*/*/result.json")):
        try:
            bank = read_sealed(path, "")["comparability"]["bank"]
        except (UserError, KeyError, TypeError):
            why = f"{path} cannot be read, so the bank of that run is not known"
            references.possible.append(PossibleReference(None, why))
            continue
        if bank:
            references.runs[bank] += 1
    _add_work_under_way(references)
    return references


def _add_work_under_way(references: References) -> None:
    store = Store()
    if store.is_swept():
        why = "a sweep is under way, and may come to use it"
        references.possible.append(PossibleReference(None, why))
    for id, bank in store.unfinished():
        if bank is None:
            why = f"run {id} is under way, and its bank is not known yet"
            references.possible.append(PossibleReference(None, why))
        else:
            references.unfinished[bank] += 1


def _add_benchmark(name: str, references: References) -> None:
    try:
        scales_of_benchmark = scales(name)
    except FOREIGN as error:
        references.possible.append(PossibleReference(None, reason(error)))
        return
    for scale in scales_of_benchmark:
        bank = _bank_of(name, scale)
        if isinstance(bank, PossibleReference):
            references.possible.append(bank)
        else:
            references.benchmarks.setdefault(bank, []).append(f"{name}/{scale}")


def _bank_of(name: str, scale: str) -> str | PossibleReference:
    dataset = None
    generator = None
    try:
        bench = Bench(load(name, scale))
        dataset = str(bench.spec.dataset["name"])
        generator = bench.spec.part("generators").identity()
        if bench.dataset.ready:
            return bench.bank_id
        why = f"{name}/{scale} needs the photos of {dataset}, which are not on this machine"
    except FOREIGN as error:  # the bank is kept then
        why = f"{name}/{scale} does not say which bank it needs ({reason(error)})"
    return PossibleReference(dataset, why, generator)
