"""The page is one file that fetches nothing, whatever the names in it."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from discl.harness.leaderboard.paper_results import paper_results
from discl.harness.report.chart import all_charts, draw_charts
from discl.harness.report.comparison import Comparison
from discl.harness.report.drawing.canvas import css_variable
from discl.harness.report.drawing.style import plot_styles
from discl.harness.report.gallery import Gallery, GalleryTile
from discl.harness.report.histories import Histories
from discl.harness.report.page import SYMBOL_PATHS, embedded, page, ticks
from discl.harness.report.section import draw_section
from tests.reports import HOSTILE, comparison_of, run

RUNS = {
    "static": [30, 34],
    "adaptive": [29, 33],
    "all_levels": [28, 31],
    "real_rebalanced": [20, 22],
    "real_only": [1, 2],
}
HISTORIES = Histories(
    {"adaptive": [run(3, {0: 0.5, 100: 0.5}, {0: 0.1})], "static": [run(3, {50: 1.0})]},
    "val/macro_acc",
)

CHARTS = [
    *("chain", "seeds", "forest", "groups", "scatter", "classes", "levels"),
    *("sampler_shares", "gains", "val", "loss", "costs", "trials", "importance"),
]


def hostile() -> Comparison:
    """Strategies and classes with every hostile name."""
    classes = [*HOSTILE.values(), *"abcd"]
    histories = Histories({name: [run(2, {0: 1.0})] for name in HOSTILE.values()}, "val/macro_acc")
    return comparison_of(
        {**{name: [20, 23] for name in HOSTILE.values()}, "real_rebalanced": [20, 21]},
        histories=histories,
        classes=classes,
    )


def test_json_in_a_page_is_read_back_and_ends_no_element() -> None:
    names = [*HOSTILE.values(), "\u2029", "<!--", "]]>"]
    text = str(embedded(names))
    assert json.loads(text) == names
    assert not re.search(r"[<>&\u2028\u2029]", text)
    with pytest.raises(ValueError, match="Out of range"):
        embedded(float("nan"))


def test_hostile_names_stay_words() -> None:
    text = page([draw_section(hostile())], "")
    assert text.count("<script") == text.count("</script>") == 3
    assert "<img src=x" not in text
    assert "&lt;script&gt;" in text
    assert "<!-- a comment" not in text
    assert (
        "\u2028"
        not in text.partition('<script type="application/json"')[2].partition("</script>")[0]
    )


def test_a_name_becomes_a_variable_that_is_its_own() -> None:
    names = [*HOSTILE.values(), "static", "real_only", "real-only", "réal"]
    assert len({css_variable(name) for name in names}) == len(names)
    assert all(re.fullmatch(r"\w+", css_variable(name), re.ASCII) for name in names)


def test_nothing_is_fetched_and_only_its_own_scripts_may_run() -> None:
    text = page([draw_section(comparison_of(RUNS, histories=HISTORIES))], "/* the library */")
    assert "default-src &#39;none&#39;" in text
    assert len(re.findall(r"sha256-", text)) == 2
    assert not re.findall(r"(?:src|href|url\()\s*=?\s*[\"']?(?:https?:)?//", text)


def test_pages_of_two_benchmarks_have_no_id_twice() -> None:
    one, other = comparison_of(RUNS), comparison_of(RUNS)
    object.__setattr__(other.board, "benchmark", "cifar10_cams")
    text = page([draw_section(one), draw_section(other)], "")
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert 'data-tab="cifar10_cams-smoke"' in text


def test_every_chart_is_valid_vega_lite_on_the_page_and_in_print() -> None:
    trial = {"study": "s", "strategy": "static", "trial": 0, "state": "complete"}
    tuning_rows = {
        "trials": [{**trial, "value": 20.0, "best": 20.0}],
        "importance": [{"study": "s", "strategy": "static", "path": "train.lr", "share": 80.0}],
    }
    comparison = replace(comparison_of(RUNS, histories=HISTORIES), tuning_rows=tuning_rows)
    found = draw_charts(comparison, checked=True)
    assert [chart.id for chart in found if chart.id in CHARTS] == CHARTS
    for chart in found:
        assert chart.about.endswith(".")
        assert not set(chart.kind.columns) - {key for row in chart.rows for key in row}
        assert not {"datasets", "values"} & set(chart.spec)  # the data stay apart
        params = {param["name"] for param in chart.spec["params"]}
        assert params == {*chart.kind.choices, "which" if chart.panels else "hidden"}
    for chart in draw_charts(comparison, paper=True, checked=True):
        assert chart.kind.caption(comparison).endswith(".")
        assert "var(--" not in json.dumps(chart.spec)


def test_each_chart_has_a_name_and_a_place_of_its_own() -> None:
    charts = all_charts()
    assert len({chart.id for chart in charts}) == len(charts)
    assert len({chart.order for chart in charts}) == len(charts)
    figures = [chart.figure for chart in charts if chart.figure]
    assert len(set(figures)) == len(figures)


def test_charts_without_data_are_left_out() -> None:
    found = draw_charts(comparison_of({"static": [30, 34]}))
    assert {chart.id for chart in found} == {"seeds", "groups", "scatter", "classes", "costs"}


def test_partial_rows_are_marked_and_unranked() -> None:
    text = page([draw_section(comparison_of({**RUNS, "static": [30]}))], "")
    row = re.search(r'<tr data-strategy="static"[^>]*>.*?</tr>', text, re.S)
    assert row
    assert 'class="partial"' in row[0]
    assert "seeds missing" in row[0]
    assert '<td data-value="999">-</td>' in row[0]
    said = " ".join(text.split())
    assert "bold is what no other row is clearly above, so one row or several" in said
    assert "No ± stands where a row's seeds are alike" in said
    assert "call all photos one class" not in said


def test_rows_of_papers_stand_apart_with_their_warning() -> None:
    compared = comparison_of(RUNS)
    assert 'class="published"' not in page([draw_section(compared)], "")
    papers = paper_results("cifar10_lt", other_data=True)
    asked = replace(compared, board=replace(compared.board, papers=papers))
    text = page([draw_section(asked)], "")
    assert "published, not re-run" in text.partition('class="published"')[2][:400]


def test_a_level_without_a_kept_image_is_marked() -> None:
    shown = Gallery(
        ["level 0 %", "photo"],
        [("truck", [GalleryTile("", "not made", False), GalleryTile("data:,", "", True)])],
        "cosine",
        True,
        [0],
        [("truck", 8, [0])],
        "0.3",
        "Images are made from the photos at 40x24 (originals 60x40 in the median).",
    )
    text = page([draw_section(comparison_of(RUNS), gallery=shown)], "")
    assert '<td style="--v:0.00" class="nothing">0 of 8</td>' in text
    assert "✕ dropped" in text
    assert 'class="hole"' in text
    assert "originals 60x40 in the median" in text


def test_strategies_look_alike_on_every_chart_and_differ_from_each_other() -> None:
    assert (
        plot_styles(["static"])["static"] == plot_styles(["zebra", "static", "real_only"])["static"]
    )
    found = plot_styles([f"plugin_{i}" for i in range(30)])
    assert len({(look.light, look.shape) for look in found.values()}) == 30
    assert {look.shape for look in found.values()} == set(SYMBOL_PATHS)


def test_back_ticks_become_code_and_nothing_else_does() -> None:
    assert ticks("`a < b` & c") == "<code>a &lt; b</code> &amp; c"


def test_a_large_comparison_stays_under_three_megabytes() -> None:
    rng = np.random.default_rng(0)
    scores = {f"strategy_{i}": list(rng.uniform(10, 40, 100)) for i in range(19)} | {
        "real_rebalanced": [20.0] * 100
    }
    histories = Histories(
        {name: [run(100, dict.fromkeys((0, 30, 50, 70, 90, 100), 1 / 6))] for name in scores},
        "val/macro_acc",
    )
    text = page(
        [draw_section(comparison_of(scores, histories=histories))], "x" * 900_000
    )  # the library takes about so much
    assert len(text.encode()) < 3_000_000


def test_a_page_says_the_power_of_its_first_two_rows_and_holds_no_nan() -> None:
    """By every column; the first shown is that of the headline."""
    text = page([draw_section(comparison_of({**RUNS, "real_only": [1, float("nan")]}))], "")
    said = re.findall(r'<p class="quiet power" data-metric="([^"]+)"( hidden)?>(.*?)</p>', text)
    shown = [(metric, words) for metric, hidden, words in said if not hidden]
    ((metric, words),) = shown
    assert metric == "test/few_acc"
    assert "the first two, static and adaptive, differ by 1.0 points" in words
    assert "seeds would tell them apart four times out of five (5 rows, spread" in words
    assert len(said) > 1
    shown_text = text.partition("<script")[0]  # scripts are code, and their JSON refuses NaN
    assert not re.search(r"\bnan\b", shown_text, re.IGNORECASE)
