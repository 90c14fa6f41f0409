"""Makes the report of benchmarks: from the runs in the store, or from published result files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discl.config.benchmark import Benchmark
from discl.config.experiment import experiments
from discl.core.result import Result
from discl.files.disk import atomic_output
from discl.harness.leaderboard.publish import committed
from discl.harness.leaderboard.table import Board, board, stored_results
from discl.harness.report.canvas import altair
from discl.harness.report.comparison import Comparison
from discl.harness.report.histories import histories
from discl.harness.report.library import javascript
from discl.harness.report.page import Section, page, section
from discl.harness.run.store import Store


@dataclass(frozen=True)
class ReportRequest:
    """What goes into a report."""

    specs: Sequence[Benchmark]
    every_seed: bool  # that has runs; otherwise those of the specs
    baselines: Sequence[str] = ()
    root: Path | None = None  # of published result files; None = the store
    study: str | None = None  # a part of a study's name; None = all of the benchmark
    studies: str = ""  # address of the database; "" = there is none
    pictures: bool = True
    command: str = ""  # that makes the report


def report(request: ReportRequest, path: Path) -> list[str]:
    """Write the page; returns what is not on it, a sentence each."""
    altair()  # raises now what would be raised after reading all runs
    store = Store()
    with javascript() as library:
        sections = [_section(spec, request, store) for spec in request.specs]
        text = page(sections, library())
    with atomic_output(path) as tmp:
        tmp.write_text(text, "utf-8")
    return [f"{each.board.title}: {note}" for each in sections for note in each.notes]


def _section(spec: Benchmark, request: ReportRequest, store: Store) -> Section:
    made = compared(spec, request.every_seed, request.baselines, request.root, store)
    notes = list[str]()
    told = histories(made, store)
    if not told.epochs:
        notes.append("no curves and no level traces: the runs' records are not on this machine")
    comparison = Comparison(made, told)
    more = dict[str, Any]()
    if request.pictures:
        from discl.harness.report.gallery import pictures  # torch: seconds

        more |= pictures(spec, comparison, store, notes)._asdict()
    if request.studies:
        from discl.harness.report.tuning import tuning  # Optuna: seconds

        more["tuning"] = tuning(request.studies, spec.name, spec.scale, request.study, notes)
    return section(comparison, notes=notes, source=request.command, **more)


def figures(request: ReportRequest, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write the figures of every benchmark; returns the files."""
    from discl.harness.report.figures import save_figures

    store = Store()
    written = list[Path]()
    for spec in request.specs:
        made = compared(spec, request.every_seed, request.baselines, request.root, store)
        written += save_figures(
            Comparison(made, histories(made, store)), folder, formats, request.command
        )
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
