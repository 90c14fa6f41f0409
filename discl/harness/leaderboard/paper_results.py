"""Results of papers: shown beside ours with their source, never ranked with them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from discl.core.errors import UserError
from discl.core.plain_files import plain_text
from discl.core.search_path import shipped

NAME = "published.toml"
TITLES = ("all", "many", "medium", "few", "ood")  # columns a published row may have, as on a board


class _PaperRow(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    values: dict[str, float]  # title of a column -> percent
    spread: dict[str, float] = {}  # standard deviation over runs, in points


class _PaperTable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    of: str  # dataset, network, what is measured
    source: str
    benchmarks: list[str] = Field(default=[])  # ours on the same data
    beside: list[str] = Field(default=[])  # ours on other data, for which no paper has a number
    rows: list[_PaperRow]


@dataclass(frozen=True)
class PaperResults:
    """A table from a paper, not run again here."""

    of: str
    source: str
    same_data: bool  # as the benchmark it is shown beside
    titles: list[str]
    rows: list[tuple[str, list[str]]]  # method -> percent by title, '-' where the paper has none

    @property
    def warning(self) -> str:
        """A warning: how the table must not be read."""
        return (
            "published, not re-run"
            if self.same_data
            else "published, not re-run, and on other data: not to be compared with the rows above"
        )


def paper_results(
    benchmark: str, root: Path | None = None, *, other_data: bool = False
) -> list[PaperResults]:
    """Tables on a benchmark's own data; with `other_data`, then those on what it stands in for.

    Raises UserError where the file of published tables is not what it should be.
    """
    tables = _tables((root or shipped("leaderboards")) / NAME)
    same = [_as_shown(table, True) for table in tables if benchmark in table.benchmarks]
    if not other_data:
        return same
    return same + [_as_shown(table, False) for table in tables if benchmark in table.beside]


def _tables(path: Path) -> list[_PaperTable]:
    if not path.exists():
        return []
    try:
        stored: dict[str, Any] = tomllib.loads(plain_text(path))
        tables = [_PaperTable(**table) for table in stored.get("table", [])]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError, TypeError) as error:
        raise UserError(f"{path} is not a list of published tables: {error}") from error
    for table in tables:
        for row in table.rows:
            if strange := (set(row.values) | set(row.spread)) - set(TITLES):
                raise UserError(
                    f"{path}: {row.method!r} has a column {sorted(strange)[0]!r}; there are"
                    f" {', '.join(TITLES)}"
                )
    return tables


def _as_shown(table: _PaperTable, same: bool) -> PaperResults:
    titles = [title for title in TITLES if any(title in row.values for row in table.rows)]
    return PaperResults(
        table.of,
        table.source,
        same,
        titles,
        [(row.method, [_cell(row, title) for title in titles]) for row in table.rows],
    )


def _cell(row: _PaperRow, title: str) -> str:
    if title not in row.values:
        return "-"
    spread = f" (sd {row.spread[title]:g})" if title in row.spread else ""
    return (
        f"{row.values[title]:.1f}{spread}"
        if round(row.values[title], 1) == row.values[title]
        else f"{row.values[title]:.2f}{spread}"
    )
