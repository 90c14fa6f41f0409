"""Rows from papers: shown beside ours, never ranked with them, always with their source."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from discl.core.errors import UserError
from discl.core.search_path import shipped

NAME = "published.toml"
TITLES = ("all", "many", "medium", "few", "ood")  # columns a published row may have, as on a board


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    values: dict[str, float]  # title of a column -> percent
    spread: dict[str, float] = {}  # standard deviation over runs, in points


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    of: str  # dataset, network, what is measured
    source: str
    benchmarks: list[str] = Field(default=[])  # ours on the same data
    beside: list[str] = Field(default=[])  # ours on other data, for which no paper has a number
    rows: list[_Row]


@dataclass(frozen=True)
class Published:
    """A table from a paper. Nobody has run it again here."""

    of: str
    source: str
    same_data: bool  # as the benchmark it is shown beside
    titles: list[str]
    rows: list[tuple[str, list[str]]]  # method -> percent by title, '-' where the paper has none

    @property
    def warning(self) -> str:
        """What a reader must not do with it."""
        return (
            "published, not re-run"
            if self.same_data
            else "published, not re-run, and on other data: not to be compared with the rows above"
        )


def published(benchmark: str, root: Path | None = None) -> list[Published]:
    """What papers report on a benchmark's data, then what they report on the data it stands in for."""
    tables = _tables((root or shipped("leaderboards")) / NAME)
    same = [_as_shown(table, True) for table in tables if benchmark in table.benchmarks]
    return same + [_as_shown(table, False) for table in tables if benchmark in table.beside]


def _tables(path: Path) -> list[_Table]:
    if not path.exists():
        return []
    try:
        stored: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        tables = [_Table(**table) for table in stored.get("table", [])]
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


def _as_shown(table: _Table, same: bool) -> Published:
    titles = [title for title in TITLES if any(title in row.values for row in table.rows)]
    return Published(
        table.of,
        table.source,
        same,
        titles,
        [(row.method, [_cell(row, title) for title in titles]) for row in table.rows],
    )


def _cell(row: _Row, title: str) -> str:
    if title not in row.values:
        return "-"
    spread = f" (sd {row.spread[title]:g})" if title in row.spread else ""
    return (
        f"{row.values[title]:.1f}{spread}"
        if round(row.values[title], 1) == row.values[title]
        else f"{row.values[title]:.2f}{spread}"
    )
