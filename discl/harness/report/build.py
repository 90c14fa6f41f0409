"""Makes the report of benchmarks: from the runs in the store, or from published result files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discl.config.benchmark import Benchmark, experiments
from discl.core.result import Result
from discl.files.disk import delivering
from discl.harness.leaderboard.publish import committed
from discl.harness.leaderboard.table import Board, board, stored_results
from discl.harness.report.histories import histories
from discl.harness.report.library import javascript
from discl.harness.report.page import Section, page, section
from discl.harness.report.tables import Facts
from discl.harness.report.vega import altair
from discl.harness.run.store import Store


@dataclass(frozen=True)
class Wanted:
    """What goes into a report."""

    specs: Sequence[Benchmark]
    every_seed: bool  # that has runs; otherwise those of the specs
    baselines: Sequence[str] = ()
    root: Path | None = None  # of published result files; None = the store
    study: str | None = None  # a part of a study's name; None = all of the benchmark
    studies: str = ""  # address of the database; "" = there is none
    pictures: bool = True
    command: str = ""  # that makes the report


def report(wanted: Wanted, path: Path) -> list[str]:
    """Write the page; returns what is not on it, a sentence each."""
    altair()  # raises now what would be raised after reading all runs
    store = Store()
    with javascript() as library:
        sections = [_section(spec, wanted, store) for spec in wanted.specs]
        text = page(sections, library())
    with delivering(path) as half:
        half.write_text(text, "utf-8")
    return [f"{each.board.title}: {note}" for each in sections for note in each.notes]


def _section(spec: Benchmark, wanted: Wanted, store: Store) -> Section:
    made = compared(spec, wanted.every_seed, wanted.baselines, wanted.root, store)
    notes = list[str]()
    told = histories(made, store)
    if not told.epochs:
        notes.append("no curves and no level traces: the runs' records are not on this machine")
    facts = Facts(made, told)
    more = dict[str, Any]()
    if wanted.pictures:
        from discl.harness.report.gallery import pictures  # torch: seconds

        more |= pictures(spec, facts, store, notes)._asdict()
    if wanted.studies:
        from discl.harness.report.tuning import tuning  # Optuna: seconds

        more["tuning"] = tuning(wanted.studies, spec.name, spec.scale, wanted.study, notes)
    return section(facts, notes=notes, source=wanted.command, **more)


def figures(wanted: Wanted, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write the figures of every benchmark; returns the files."""
    from discl.harness.report.figures import figures as drawn

    store = Store()
    written = list[Path]()
    for spec in wanted.specs:
        made = compared(spec, wanted.every_seed, wanted.baselines, wanted.root, store)
        written += drawn(Facts(made, histories(made, store)), folder, formats, wanted.command)
    return written


def compared(
    spec: Benchmark, every_seed: bool, baselines: Sequence[str], root: Path | None, store: Store
) -> Board:
    """The board of a benchmark's runs."""
    if root is not None:
        found = [
            each
            for each in committed(root, spec.name, spec.scale)
            if each.strategy in spec.strategies
        ]
        found = found if every_seed else [each for each in found if each.seed in spec.seeds]
    else:
        found = _of_every_seed(spec, store) if every_seed else stored_results(spec, store)
    if every_seed and found:
        spec = spec.model_copy(update={"seeds": sorted({result.seed for result in found})})
    return board(spec, found, baselines)


def _of_every_seed(spec: Benchmark, store: Store) -> list[Result]:
    """All complete runs of a benchmark as its file stands; each result file is read once."""
    alike = [
        result
        for result in store.complete()
        if (result.benchmark, result.scale) == (spec.name, spec.scale)
        and result.strategy in spec.strategies
    ]
    whole = spec.model_copy(update={"seeds": sorted({result.seed for result in alike})})
    ids = {
        experiment.id() for experiment in experiments(whole)
    }  # together, since they have most of their identity in common
    return [result for result in alike if result.id in ids]
