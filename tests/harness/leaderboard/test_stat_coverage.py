"""The page of statistics says how often intervals hold, as the script measured it."""

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_page_has_the_coverage_that_was_measured() -> None:
    page = (ROOT / "docs/explanation/statistics.md").read_text("utf-8")
    stored = json.loads((ROOT / "benchmarks/perf/coverage.json").read_text("utf-8"))
    cells = stored["coverage"]["cells"]
    assert len(cells) == 12
    for cell in cells:
        numbers = (cell["student"], cell["shown"], cell["not_shown"])
        line = " | ".join(map(str, (cell["shape"], cell["seeds"], *numbers)))
        assert f"| {line} |" in page


def test_intervals_of_two_humps_hold_more_often_where_close_seeds_give_none() -> None:
    coverage = runpy.run_path(str(ROOT / "benchmarks/perf/coverage.py"))["coverage"]
    cell = coverage("two humps", 5, 150)
    assert cell["student"] < 92 < 97 < cell["shown"]
    assert 5 < cell["not_shown"] < 25
