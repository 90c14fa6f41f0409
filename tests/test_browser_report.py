"""The report in a browser: it opens from disk, draws, filters and sorts.

By mouse and by keyboard, in light and dark, and on a phone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from discl.core.text import printable
from discl.engine.evaluation.confusion import count, pack
from discl.harness.report.comparison import Comparison
from discl.harness.report.gallery import (
    Gallery,
    GalleryTile,
    MistakePicture,
    PairPicture,
    RunMistakes,
    WorstClass,
    uri,
)
from discl.harness.report.histories import Histories
from discl.harness.report.library import drawing_library
from discl.harness.report.page import page as page_of
from discl.harness.report.section import draw_section
from discl.harness.report.tuning import StudyLine, TuningSection
from tests.browser import opened, sideways
from tests.reports import HOSTILE, comparison_of, run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RUNS = {
    "static": [31, 32, 33],
    "adaptive": [30, 31, 33],
    "all_levels": [27, 28, 29],
    "text_only": [23, 24, 25],
    "real_rebalanced": [21, 22, 23],
    "real_only": [1, 2, 3],
}
PICTURE = uri(np.full((32, 32, 3), 120, np.uint8))
MARK = ".mark-symbol.role-mark > path:not([opacity='0.45'])"  # a row's, not one of its seeds'
FOREST = "section:not([hidden]) [data-chart=forest]"
OPEN_ALL = "document.querySelectorAll('details').forEach(details => { details.open = true })"
# axe looks at each word and mark for ten seconds, most of which are made as those before them
REPEATED = """document.querySelectorAll(
    ".one[data-strategy] ~ .one[data-strategy], tbody tr:nth-child(n+4), .plot svg g:nth-child(n+6)"
).forEach(each => each.remove())"""
PARTS = ("#cifar10_lt-smoke", "#hostile-smoke")
HOSTILE_RUNS = {
    **{name: [21.0, 20.0] for name in HOSTILE.values()},
    "real_rebalanced": [20.0, 20.0],
}


def _grouped() -> str:
    """Six groups of 30 photos of three classes, of which the next class is called more and more."""
    truth, group = np.repeat([0, 1, 2], 60), np.tile(np.arange(6), 30)
    wrong = np.random.default_rng(0).uniform(size=180) < group / 6
    return pack(count("test", "", group, truth, np.where(wrong, truth + 1, truth)))


GROUPED = {"test": {"": _grouped()}}


def _plain() -> Comparison:
    mixes = {"static": {0: 1.0}, "adaptive": {50: 1.0}, "all_levels": {0: 0.5, 100: 0.5}}
    told = {
        name: (
            [run(4, mixes.get(name, {100: 1.0}), {0: 0.1, 50: 0.2} if name == "adaptive" else {})]
            * 2
        )
        for name in RUNS
    }
    return comparison_of(RUNS, histories=Histories(told, "val/macro_acc"), confusion_counts=GROUPED)


def _hostile() -> Comparison:
    told = Histories({name: [run(2, {0: 1.0})] for name in HOSTILE_RUNS}, "val/macro_acc")
    made = comparison_of(
        HOSTILE_RUNS,
        histories=told,
        classes=[*HOSTILE.values(), *"abcd"],
        confusion_counts=GROUPED,
    )
    object.__setattr__(made.board, "benchmark", "hostile")
    object.__setattr__(made.board, "title", HOSTILE["script"])
    return made


def _pictures(names: list[str]) -> dict[str, object]:
    rows = [
        (
            name,
            [
                GalleryTile(PICTURE, "0.812", False),
                GalleryTile(PICTURE, "0.100", True),
                GalleryTile("", "not made", False),
            ],
        )
        for name in names
    ]
    worst = [
        WorstClass(name, "3 %", [MistakePicture(PICTURE, name, "99 % sure")] * 3) for name in names
    ]
    trials = [
        {
            "study": "tune/b/s/static",
            "strategy": "static",
            "trial": i,
            "state": state,
            "value": 20.0 + i,
            "best": best,
        }
        for i, state, best in ((0, "complete", 20.0), (1, "given up", None), (2, "complete", 22.0))
    ]
    importance = [
        {"study": "tune/b/s/static", "strategy": "static", "path": "train.lr", "share": 100.0}
    ]
    pairs = {(0, 1): PairPicture(PICTURE, PICTURE), (1, 2): PairPicture(PICTURE, "")}
    study = StudyLine("tune/b/s/static", 3, 1, "0.10", "22.0", "train.lr = 0.003")
    return {
        "gallery": Gallery(
            ["level 0 %", "level 50 %", "photo"],
            rows,
            "cosine",
            True,
            [0, 50],
            [(name, 8, [8, 0]) for name in names],
            "0.3",
            "Images are made from the photos at 32x32.",
        ),
        "failures": [RunMistakes(name, 0, True, worst) for name in (names[0], "real_rebalanced")],
        "pairs": pairs,
        "group_names": dict(enumerate(HOSTILE.values())),
        "tuning": TuningSection([study], {"trials": trials, "importance": importance}),
    }


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two benchmarks, the second with names that nobody should give."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    with drawing_library() as library:
        sections = [
            draw_section(_plain(), **_pictures(["static"])),
            draw_section(_hostile(), **_pictures([*HOSTILE.values()]), notes=["a note"]),
        ]
        file.write_text(page_of(sections, library()), "utf-8")
    return file


@contextmanager
def shown(browser: Browser, path: Path, part: str = "", **how: object) -> Iterator[Page]:
    """The page once a benchmark is drawn; fails where the page complains of anything."""
    with opened(browser, **how) as (page, complaints):  # type: ignore[arg-type]
        page.goto(path.as_uri() + part)
        page.wait_for_selector("section.bench:not([hidden])[data-drawn=all]")
        yield page
        assert not complaints
        assert page.evaluate("window.hacked") is None


@pytest.fixture(scope="module")
def desk(browser: Browser, path: Path) -> Iterator[Page]:
    """The page on a desk by day, for tests that leave it as they find it."""
    with shown(browser, path) as page:
        yield page


@pytest.fixture(scope="module")
def phone(
    request: pytest.FixtureRequest, browser: Browser, path: Path
) -> Iterator[tuple[Page, list[str]]]:
    """A benchmark on a phone, with what the page complains of: hostile names by night."""
    with opened(browser, width=390, height=844, dark="hostile" in request.param) as one:
        one[0].goto(path.as_uri() + request.param)
        one[0].wait_for_selector("section.bench:not([hidden])[data-drawn=all]")
        yield one


def _count(page: Page, selector: str) -> int:
    found: int = page.locator(f"section.bench:not([hidden]) {selector}").count()
    return found


def _sentence(page: Page) -> str:
    return page.locator(".sentence:visible").inner_text().replace("\xa0", " ")


def _marks(page: Page, chart: str) -> int:
    """Points of a chart."""
    return _count(page, f"[data-chart={chart}] .plot svg {MARK}")


def _column(page: Page, label: str, column: int) -> list[str]:
    rows = page.locator(
        f"section.bench:not([hidden]) [aria-label='{label}'] tbody tr:not([hidden])"
    )
    return [
        text.strip()
        for text in rows.evaluate_all(f"rows => rows.map(row => row.cells[{column}].innerText)")
    ]


def test_it_opens_from_disk_and_draws_every_chart(desk: Page) -> None:
    # one a chart, two a strategy (its levels, what its sampler gave), one a probe
    assert _count(desk, ".plot") == _count(desk, ".plot svg") == 11 + 2 * len(RUNS) + 1
    assert _marks(desk, "forest") == 5
    assert _marks(desk, "chain") == 4
    assert desk.locator("h1:visible").inner_text() == "CIFAR-10-LT"
    assert _sentence(desk).startswith(
        "At the last epoch: static beats rebalanced real photos by 10.0 ± 4.3 points"
    )


def test_the_filter_works_on_tables_and_charts(desk: Page) -> None:
    desk.locator("section:not([hidden]) .chip", has_text="static").first.click()
    desk.wait_for_function(f"document.querySelectorAll(`[data-chart=forest] {MARK}`).length === 4")
    assert "static" not in _column(desk, "table of strategies", 1)
    assert "static" not in _column(desk, "differences to the baseline", 0)
    assert _count(desk, ".one[data-strategy=static]:visible") == 0
    assert _count(desk, ".key [data-strategy=static]:visible") == 0
    desk.locator("section:not([hidden]) .chip", has_text="static").first.click()
    desk.wait_for_function(f"document.querySelectorAll(`[data-chart=forest] {MARK}`).length === 5")
    assert "static" in _column(desk, "table of strategies", 1)


def test_another_metric_and_baseline_change_sentence_table_and_charts(desk: Page) -> None:
    desk.locator("select[data-choice=metric]:visible").select_option("ood/macro_acc")
    desk.locator("select[data-choice=baseline]:visible").select_option("real_only")
    _wait_for_row(desk, "real_rebalanced")
    said, against = _sentence(desk), desk.locator("h2:visible", has_text="Against").inner_text()
    compared = _column(desk, "differences to the baseline", 0)
    desk.locator("select[data-choice=metric]:visible").select_option("test/few_acc")
    desk.locator("select[data-choice=baseline]:visible").select_option("real_rebalanced")
    _wait_for_row(desk, "real_only")
    assert said.startswith("At the last epoch: static beats rebalanced real photos by 10.0 ± 4.3")
    assert against == "Against real_only: ood"
    assert "real_only" not in compared


def _wait_for_row(page: Page, strategy: str) -> None:
    """Until the chart of differences has it."""
    page.wait_for_function(
        f"[...document.querySelectorAll('{FOREST} text')].some(text => text.textContent ==="
        f" '{strategy}')"
    )


def test_the_numbers_of_a_chart_can_be_read(desk: Page) -> None:
    desk.locator("[data-chart=forest]:visible summary").click()
    desk.wait_for_selector("[data-chart=forest] td")
    cells = desk.locator("[data-chart=forest]:visible td").all_inner_texts()
    assert cells[:5] == ["static", "10", "5.719", "14.28", "3"]
    assert len(cells) == 5 * 8
    desk.locator("[data-chart=forest]:visible summary").click()


def test_tables_are_sorted_by_keyboard(desk: Page) -> None:
    buttons = desk.locator("[aria-label='table of strategies'] button:visible")
    buttons.filter(has_text=re.compile("^few$")).focus()
    desk.keyboard.press("Enter")
    assert [float(text.split()[0]) for text in _column(desk, "table of strategies", 6)] == [
        32.0,
        31.3,
        28.0,
        24.0,
        22.0,
        2.0,
    ]
    desk.keyboard.press("Space")
    assert [float(text.split()[0]) for text in _column(desk, "table of strategies", 6)] == [
        2.0,
        22.0,
        24.0,
        28.0,
        31.3,
        32.0,
    ]
    assert desk.locator("th[aria-sort]:visible").first.inner_text().startswith("few")


def test_strategies_are_chosen_by_keyboard(desk: Page) -> None:
    desk.locator(".chip input").first.focus()
    desk.keyboard.press("Space")
    assert "static" not in _column(desk, "table of strategies", 1)
    desk.keyboard.press("Space")
    assert "static" in _column(desk, "table of strategies", 1)


def test_the_other_benchmark_is_a_link_away(desk: Page) -> None:
    desk.locator("nav a").nth(1).click()
    desk.wait_for_selector("#hostile-smoke:not([hidden])[data-drawn=all]")
    assert desk.locator("#cifar10_lt-smoke").is_hidden()
    assert desk.locator("nav a[aria-current=page]").inner_text() == HOSTILE["script"]
    desk.go_back()
    desk.wait_for_selector("#cifar10_lt-smoke:not([hidden])")


def test_colours_follow_the_system_and_the_switch(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "small.html"
    few = comparison_of({name: RUNS[name] for name in ("static", "real_rebalanced")})
    with drawing_library() as library:
        path.write_text(page_of([draw_section(few)], library()), "utf-8")
    paper = "getComputedStyle(document.body).backgroundColor"
    mark = f"getComputedStyle(document.querySelector(`[data-chart=forest] {MARK}`)).fill"
    with shown(browser, path, dark=True) as page:
        dark = page.evaluate(f"[{paper}, {mark}]")
        page.locator("#theme").click()
        light = page.evaluate(f"[{paper}, {mark}]")
        assert dark == ["rgb(15, 20, 25)", "rgb(86, 180, 233)"]
        assert light == ["rgb(255, 255, 255)", "rgb(0, 114, 178)"]
        page.reload()
        page.wait_for_selector("section[data-drawn=all]")
        assert page.evaluate(f"[{paper}, {mark}]") == light  # and is remembered


@pytest.mark.parametrize("phone", PARTS, indirect=True)
def test_a_phone_scrolls_down_and_not_sideways(phone: tuple[Page, list[str]]) -> None:
    page, complaints = phone
    assert not sideways(page)
    wide = page.evaluate(
        "Math.max(...[...document.querySelectorAll('section:not([hidden]) .plot svg')].map(svg"
        " => svg.clientWidth))"
    )
    assert 200 < wide <= 390
    table = page.locator("section:not([hidden]) [aria-label='table of strategies']")
    assert table.evaluate("box => box.nextElementSibling.innerText").startswith("Scrolls side")
    table.evaluate("box => { box.scrollLeft = 9999 }")  # the names stay in view
    assert (
        table.evaluate(
            "box => box.querySelector('tbody th').getBoundingClientRect().left"
            " - box.getBoundingClientRect().left"
        )
        == 0
    )
    assert not complaints


@pytest.mark.parametrize("phone", ["#hostile-smoke"], indirect=True)
def test_hostile_names_are_words_and_run_nothing(phone: tuple[Page, list[str]]) -> None:
    page, complaints = phone
    assert page.locator("h1:visible").inner_text() == HOSTILE["script"]
    assert _marks(page, "forest") == len(HOSTILE)
    shown_names = [name.strip() for name in _column(page, "differences to the baseline", 0)]
    assert sorted(shown_names) == sorted(printable(name) for name in HOSTILE.values())
    page.evaluate(OPEN_ALL)
    for marks in (len(HOSTILE) - 1, len(HOSTILE)):
        page.locator(".chip:visible").first.click()
        page.wait_for_function(
            f"document.querySelectorAll(`#hostile-smoke [data-chart=forest] {MARK}`).length"
            f" === {marks}"
        )
    assert not complaints
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("phone", PARTS, indirect=True)
def test_there_is_no_grave_fault_of_accessibility(
    phone: tuple[Page, list[str]], axe: Callable[[Page], list[str]]
) -> None:
    """One of each kind of table, row and chart; all of them, on a desk, is below."""
    page, _ = phone  # axe itself makes styles that the page's policy forbids
    page.evaluate(OPEN_ALL)
    page.wait_for_function("!document.querySelector('section:not([hidden]) details:not([open])')")
    page.evaluate(REPEATED)
    assert not axe(page)


def test_a_printed_page_is_light_and_cuts_no_chart_and_no_table(desk: Page) -> None:
    paper = 703  # CSS pixels between the margins of A4
    desk.emulate_media(media="print", color_scheme="dark")
    desk.evaluate(f"document.querySelector('main').style.width = '{paper}px'")
    beyond = desk.evaluate(
        "[...document.querySelectorAll('section:not([hidden]) :is(.plot svg, table.data, img)')]"
        ".filter(each => each.checkVisibility()).filter(each => {"
        " const card = (each.closest('.card') ?? document.querySelector('main'))"
        ".getBoundingClientRect(), own = each.getBoundingClientRect();"
        " return own.right > card.right + 1 || own.bottom > card.bottom + 1; })"
        ".map(each => each.outerHTML.slice(0, 80))"
    )
    background = desk.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    tools = desk.locator(".tools").first.is_visible()
    desk.evaluate("document.querySelector('main').style.width = ''")
    desk.emulate_media(media="screen", color_scheme="light")
    assert beyond == []
    assert background == "rgb(247, 249, 251)"
    assert not tools


@pytest.mark.slow(reason="the same of a phone, where what is repeated is left out, is above")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("part", PARTS)
def test_there_is_no_grave_fault_of_accessibility_in_all_of_a_desk(
    browser: Browser, axe: Callable[[Page], list[str]], path: Path, part: str, dark: bool
) -> None:
    with opened(browser, dark=dark) as (page, _):
        page.goto(path.as_uri() + part)
        page.wait_for_selector("section.bench:not([hidden])[data-drawn=all]")
        page.evaluate(OPEN_ALL)
        assert not axe(page)


def test_without_javascript_the_words_and_tables_are_there(browser: Browser, path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert (
        page.locator("noscript")
        .first.inner_text()
        .startswith("Charts, sorting and filters need JavaScript")
    )
    assert page.locator(".sentence:visible").count() == 2
    assert page.locator("table:visible").count() > 4
    context.close()
