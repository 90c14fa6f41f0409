"""Figures for papers: the same runs give the same bytes, with fonts inside, whatever the names."""

import itertools
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from discl.core.errors import UserError
from discl.files.vega import svg, write_picture
from discl.harness.report.chart import draw_charts
from discl.harness.report.drawing.canvas import PAPER_WIDTH
from discl.harness.report.figures import figure, save_figures
from discl.harness.report.histories import Histories
from tests.reports import HOSTILE, comparison_of, run

RUNS = {
    "static": [30, 34, 31],
    "all_levels": [28, 31, 30],
    "real_rebalanced": [20, 22, 21],
    "real_only": [1, 2, 3],
}
HISTORIES = Histories({name: [run(3, {0: 0.5, 100: 0.5})] for name in RUNS}, "val/macro_acc")
DRAWN = (
    "chain",
    "seeds",
    "differences",
    "groups",
    "ood",
    "classes",
    "levels",
    "val",
    "loss",
    "cost",
)


def test_there_is_a_figure_for_everything_there_are_data_for(tmp_path: Path) -> None:
    paths = save_figures(
        comparison_of(RUNS, histories=HISTORIES), tmp_path, ["svg"], "discl figures"
    )
    *pictures, captions = [path.name for path in paths]
    expected = [f"cifar10_lt-smoke-{name}.svg" for name in DRAWN]
    assert [name for name in pictures if name in expected] == expected
    assert captions == "cifar10_lt-smoke-captions.txt"


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_the_same_runs_give_the_same_bytes(form: str, tmp_path: Path) -> None:
    comparison = comparison_of(RUNS, histories=HISTORIES)
    charts = {chart.id: chart for chart in draw_charts(comparison, paper=True)}
    # with clip paths and transparency, and with panels, which are no other matter in a PNG
    for name in ("groups", "levels") if form == "svg" else ("groups",):
        spec = figure(charts[name], comparison)
        assert spec is not None
        first, second = (
            write_picture(spec, tmp_path / f"{name}{copy}.{form}", scale=0.75) for copy in (1, 2)
        )
        assert first.read_bytes() == second.read_bytes()


def test_a_pdf_holds_its_fonts_as_outlines_a_publisher_takes(tmp_path: Path) -> None:
    (path, *_) = save_figures(comparison_of(RUNS), tmp_path, ["pdf"], "discl figures")
    assert b"/Subtype /Type3" not in path.read_bytes()
    assert b"/FontFile2" in path.read_bytes()


def test_strategies_are_told_apart_in_grey(tmp_path: Path) -> None:
    """Their marks differ in shape, or in how dark they are."""
    paths = save_figures(comparison_of(RUNS), tmp_path, ["svg"], "discl figures")
    text = next(path for path in paths if path.name.endswith("groups.svg")).read_text()
    symbols = re.findall(r'role-legend-symbol"[^>]*><path [^>]*>', text)
    marks = [
        (re.search(r' d="([^"]+)"', symbol)[1], _grey(re.search(r'fill="([^"]+)"', symbol)[1]))  # type: ignore[index]
        for symbol in symbols
    ]
    assert len(marks) == len(RUNS)
    for (shape, grey), (other_shape, other_grey) in itertools.combinations(marks, 2):
        assert shape != other_shape or abs(grey - other_grey) > 25


def _grey(colour: str) -> int:
    grey = Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0))
    assert isinstance(grey, int)
    return grey


def test_captions_say_what_is_shown_and_how_to_make_it_again(tmp_path: Path) -> None:
    text = save_figures(comparison_of(RUNS), tmp_path, ["svg"], "discl figures cifar10_lt")[
        -1
    ].read_text()
    assert "static beats rebalanced real photos by" in text
    assert "cifar10_lt-smoke-differences: Difference to real_rebalanced by seed, few" in text
    assert "Figures: discl figures cifar10_lt" in text
    assert "Comparability key: bank `0123456789abcdef`" in text


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    names = [*HOSTILE.values(), "$\\frac{1}{0}$"]
    comparison = comparison_of({**{name: [20, 23] for name in names}, "real_rebalanced": [20, 21]})
    paths = save_figures(comparison, tmp_path, ["svg"], "discl figures")
    drawn = {path.name: path.read_text() for path in paths if path.suffix == ".svg"}
    assert len(drawn) > 4
    assert all("<script" not in text and "<img" not in text for text in drawn.values())
    assert "$\\frac{1}{0}$" in drawn["cifar10_lt-smoke-differences.svg"]  # no formula


def test_a_long_name_is_cut() -> None:
    comparison = comparison_of({"very_" * 60: [20, 23], "real_rebalanced": [20, 21]})
    for chart in draw_charts(comparison, paper=True):
        spec = figure(chart, comparison)
        assert spec is not None
        width = float(re.search(r'width="([\d.]+)"', svg(spec))[1])  # type: ignore[index]
        assert width <= 1.3 * PAPER_WIDTH


def test_without_vl_convert_the_way_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(UserError, match=r"pip install 'discl\[report\]'"):
        save_figures(comparison_of(RUNS), tmp_path / "new", ["svg"], "discl figures")
    assert not (tmp_path / "new").exists()
