"""Figures for papers: the same runs give the same bytes, with fonts inside, whatever the names."""

from pathlib import Path

import pytest
from PIL import Image

from discl.core.errors import UserError
from discl.harness.report import figures as module
from discl.harness.report.figures import figures, plain
from discl.harness.report.histories import Histories
from tests.reports import HOSTILE, facts, run

RUNS = {
    "static": [30, 34, 31],
    "all_levels": [28, 31, 30],
    "real_rebalanced": [20, 22, 21],
    "real_only": [1, 2, 3],
}
TOLD = Histories({name: [run(3, {0: 0.5, 100: 0.5})] for name in RUNS}, "val/macro_acc")
KNOWN = module._known
DRAWN = ("differences", "chain", "groups", "classes", "levels", "val", "loss", "ood", "cost")


def test_there_is_a_figure_for_everything_there_are_data_for(tmp_path: Path) -> None:
    paths = figures(facts(RUNS, histories=TOLD), tmp_path, ["svg"], "discl figures")
    assert [path.name for path in paths] == [
        *(f"cifar10_lt-smoke-{name}.svg" for name in DRAWN),
        "cifar10_lt-smoke-captions.txt",
    ]


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_the_same_runs_give_the_same_bytes(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module,
        "_known",
        lambda drawer: [known for known in KNOWN(drawer) if known[0] in ("groups", "levels")],
    )
    made = facts(RUNS, histories=TOLD)
    first, second = (
        figures(made, tmp_path / folder, [form], "discl figures") for folder in ("one", "other")
    )
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_pdf_holds_its_fonts_as_outlines_a_publisher_takes(tmp_path: Path) -> None:
    (path, *_) = figures(facts(RUNS), tmp_path, ["pdf"], "discl figures")
    assert b"/Subtype /Type3" not in path.read_bytes()
    assert b"/FontFile2" in path.read_bytes()


def test_strategies_are_told_apart_in_grey(tmp_path: Path) -> None:
    """Levels of grey of the bars' hatches and colours together: no two bars look the same."""
    paths = figures(facts(RUNS), tmp_path, ["png"], "discl figures")
    grey = Image.open(next(path for path in paths if "groups" in path.name)).convert("L")
    assert len({shade for _, shade in grey.getcolors(1 << 20) if shade < 250}) > 20


def test_captions_say_what_is_shown_and_how_to_make_it_again(tmp_path: Path) -> None:
    text = figures(facts(RUNS), tmp_path, ["svg"], "discl figures cifar10_lt")[-1].read_text()
    assert "static beats rebalanced real photos by" in text
    assert "cifar10_lt-smoke-differences: Difference to real_rebalanced paired by seed, few" in text
    assert "Figures: discl figures cifar10_lt" in text
    assert "Comparability key: bank `0123456789abcdef`" in text


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    # emoji and Arabic have no glyph in the font of the figures, and are drawn as boxes
    names = [name for key, name in HOSTILE.items() if key not in ("emoji", "right to left")] + [
        "$\\frac{1}{0}$"
    ]
    paths = figures(
        facts({**{name: [20, 23] for name in names}, "real_rebalanced": [20, 21]}),
        tmp_path,
        ["svg"],
        "discl figures",
    )
    assert all("<script" not in path.read_text() for path in paths if path.suffix == ".svg")


def test_long_names_are_cut_and_dollars_are_no_formula() -> None:
    assert plain("a" * 300) == "a" * 31 + "…"
    assert plain("$x$") == r"\$x\$"


def test_without_matplotlib_the_way_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"pip install 'discl\[report\]'"):
        figures(facts(RUNS), tmp_path, ["svg"], "discl figures")
