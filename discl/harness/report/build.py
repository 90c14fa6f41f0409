"""Makes the report and the figures of benchmarks, from stored runs or published result files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discl.config.benchmark import Benchmark
from discl.core.errors import UserError
from discl.core.hashing import canonical
from discl.files.disk import atomic_output
from discl.harness.leaderboard.publish import committed
from discl.harness.leaderboard.stored import runs_of, with_runs
from discl.harness.leaderboard.table import board
from discl.harness.report.comparison import Comparison
from discl.harness.report.drawing.canvas import altair
from discl.harness.report.figures import save_figures
from discl.harness.report.histories import load_histories
from discl.harness.report.library import drawing_library
from discl.harness.report.page import page
from discl.harness.report.section import Section, draw_section
from discl.harness.run.store import Store


@dataclass(frozen=True)
class ReportRequest:
    """The contents of a report."""

    specs: Sequence[Benchmark]
    every_seed: bool  # that has runs; otherwise those of the specs
    every_strategy: bool = True  # that has runs; otherwise those of the specs
    baselines: Sequence[str] = ()
    root: Path | None = None  # of published result files; None = the store
    study: str | None = None  # a part of a study's name; None = all of the benchmark
    studies: str = ""  # address of the database; "" = there is none
    pictures: bool = True
    papers: bool = False  # also show what papers report on other data
    command: str = ""  # that makes the report
    epoch: str | None = None  # the rule that numbers are read by; None = each benchmark's own


def save_report(request: ReportRequest, path: Path) -> list[str]:
    """Write the page; returns a sentence for each thing that is not on it."""
    altair()  # raises before all runs are read
    store = Store()
    with drawing_library() as library:
        sections = [_section(spec, request, store) for spec in request.specs]
        text = page(sections, library())
    with atomic_output(path) as tmp:
        tmp.write_text(text, "utf-8")
    return [f"{section.board.title}: {note}" for section in sections for note in section.notes]


def _section(spec: Benchmark, request: ReportRequest, store: Store) -> Section:
    comparison = _comparison(spec, request, store)
    notes: list[str] = []
    if not comparison.histories.epochs:
        notes.append("no curves and no level traces: the runs' records are not on this machine")
    more: dict[str, Any] = {"group_names": _group_names(spec, comparison)}
    if request.pictures:
        from discl.harness.report.gallery import pictures  # torch: seconds

        more |= pictures(spec, comparison, store, notes)._asdict()
    if request.studies:
        from discl.harness.report.tuning import tuning_section  # Optuna: seconds

        more["tuning"] = tuning_section(
            request.studies, spec.name, spec.scale, request.study, notes
        )
    return draw_section(comparison, notes=notes, source=request.command, **more)


def _group_names(spec: Benchmark, comparison: Comparison) -> dict[int, str]:
    """Names of groups, where the runs' own photos are on this machine and name them."""
    first = comparison.board.rows[0].results[0]
    if not any(metric.endswith("/groups_scored") for metric in first.metrics):
        return {}
    try:
        bound = spec.part("datasets")
        dataset = bound.build()
        if not dataset.ready or first.identity["dataset"] != canonical(
            bound.identity() | dataset.identity()
        ):
            return {}
    except UserError:
        return {}
    return dict(enumerate(getattr(dataset, "group_names", ())))


def save_figures_of(request: ReportRequest, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write the figures of every benchmark; returns the files."""
    store = Store()
    written = []
    for spec in request.specs:
        comparison = _comparison(spec, request, store)
        written += save_figures(comparison, folder, formats, request.command)
    return written


def _comparison(spec: Benchmark, request: ReportRequest, store: Store) -> Comparison:
    """The comparison of a benchmark's runs, of all seeds and strategies unless some are chosen."""
    every = {"every_strategy": request.every_strategy, "every_seed": request.every_seed}
    if request.root is None:
        spec, results = runs_of(spec, store, **every)
    else:
        results = [
            result
            for result in committed(request.root, spec.name, spec.scale)
            if (request.every_strategy or result.strategy in spec.strategies)
            and (request.every_seed or result.seed in spec.seeds)
        ]
        spec = with_runs(spec, results, **every)
    compared = board(
        spec, results, request.baselines, other_data=request.papers, epoch=request.epoch
    )
    return Comparison(compared, load_histories(compared, store, published=request.root is not None))
