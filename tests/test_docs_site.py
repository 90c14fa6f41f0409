"""The documentation as it is read: built strictly, opened in a real browser, by day and by night,
on a desk and on a phone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import opened, served, sideways
from tests.pages import ROOT, pages
from tests.shared import made_once

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# as `make docs`, and prints what was loaded on the way
BUILD = """
import sys
from mkdocs.__main__ import cli
try:
    cli(sys.argv[1:])
except SystemExit as end:
    print(sorted({"torch", "diffusers", "wandb"} & sys.modules.keys()))
    sys.exit(end.code)
"""
# one of each kind of page
LOOKED_AT = (
    "",
    "tutorial/first-comparison/",
    "howto/own-data/",
    "reference/cli/",
    "reference/api/levels/",
    "leaderboards/",
)

# axe measures the contrast of each word, for ten seconds on the longest page; three of each kind of
# element, row and entry of a menu are left, for others are made as they are
FEW = """
const seen = {};
for (const one of document.querySelectorAll('article > *')) {
    const kind = `${one.tagName} ${one.className}`;
    seen[kind] = (seen[kind] ?? 0) + 1;
    if (seen[kind] > 3) one.remove();
}
document.querySelectorAll('tbody > tr:nth-child(n+4), nav li:nth-child(n+4)')
    .forEach(one => one.remove());
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "site", _build)


def _build(folder: Path) -> None:
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    # a warning fails a strict build, but one that a library prints by itself would pass
    assert [line for line in done.stderr.splitlines() if not line.startswith("INFO ")] == []
    assert done.stdout.strip() == "[]", "a build must not wait for torch"


def build(project: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the documentation of a project with the arguments that the Makefile gives to mkdocs."""
    (arguments,) = re.findall(
        r"^\t.*/mkdocs (build\b[^#\n]*)", (ROOT / "Makefile").read_text("utf-8"), re.M
    )
    return subprocess.run(
        [sys.executable, "-c", BUILD, *arguments.split(), "--site-dir", str(site)],
        cwd=project,
        env={"NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with served(site) as url:
        yield url


def words(site: Path, page: str) -> str:
    """The text of a page, without markup."""
    html = (site / page / "index.html").read_text("utf-8")
    article = re.search(r"<article.*?</article>", html, re.S)
    assert article is not None
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", article[0])).split())


# ---------------------------------------------------------------- built


def test_a_build_with_a_warning_fails(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n")
    settings = tmp_path / "mkdocs.yml"
    settings.write_text("site_name: right\nnav: [index.md]\n")
    assert build(tmp_path, tmp_path / "site").returncode == 0
    settings.write_text("site_name: wrong\nnav: [index.md, missing.md]\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    assert "missing.md" in done.stderr


def test_every_page_is_built_and_nothing_is_left_to_fill_in(site: Path) -> None:
    for page in pages():
        folder = Path(page).parent if Path(page).stem == "index" else Path(page).with_suffix("")
        html = (site / folder / "index.html").read_text("utf-8")
        assert "<!-- generated" not in html, page
        for left in ("--8&lt;--", "```", "Sentinel", "::: "):
            assert left not in html, (page, left)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        found = re.findall(
            r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?(?:https?:)?//[^"'\s>]+""",
            path.read_text("utf-8"),
        )
        assert not found, path


def test_the_reference_says_what_the_code_says(site: Path) -> None:
    from discl.core.registry import KINDS, names, summary

    commands = words(site, "reference/cli")
    parts = words(site, "reference/parts")
    assert "discl bank export" in commands
    assert "discl sweep tune_static --retest 5" in commands
    for kind in KINDS:
        for name in names(kind):
            assert (
                f"{name} {' '.join(summary(kind, name).replace('`', '').split())[:30]}"
                in parts.replace("`", "")
            ), (kind, name)
    assert "few_acc" in words(site, "reference/metrics")
    told = "shots 'kang' the rule that says which classes are many, medium and few."
    assert parts.count(told) == 3, "settings that a part inherits"
    assert "largest 500 training photos" in parts, "the value of a constant that is a default"


def test_a_setting_is_told_with_its_bounds_default_and_reason(site: Path) -> None:
    settings = words(site, "reference/benchmark-files")
    assert (
        "threshold a number from -1, up to 1 -1.0 lowest image-text cosine that is used; -1 keeps"
        " everything" in settings
    )
    assert "epochs a whole number from 1, up to 100,000 40" in settings
    assert (
        'tail_share a number or one of classes , photos , union above 0, below 1 "classes" share of'
        " images from hard classes" in settings
    )


def test_the_comment_behind_a_field_is_its_documentation(site: Path) -> None:
    assert "[n], path under the dataset's folder with '/'; also the photo's id" in words(
        site, "reference/api/kinds"
    )


# ---------------------------------------------------------------- opened


@pytest.mark.parametrize(
    ("width", "dark"),
    [
        (390, True),
        pytest.param(390, False, marks=pytest.mark.slow),
        pytest.param(1280, True, marks=pytest.mark.slow),
        pytest.param(1280, False, marks=pytest.mark.slow),
    ],
    ids=["phone by night", "phone", "night", "day"],
)
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page,
            marks=pytest.mark.slow(reason="a page of how-to, as it looks, is one of the tutorial")
            if page.startswith("howto/")
            else (),
            id=page.strip("/") or "home",
        )
        for page in LOOKED_AT
    ],
)
def test_a_page_can_be_read_by_everybody(
    browser: Browser,
    axe: Callable[[Page], list[str]],
    address: str,
    page: str,
    width: int,
    dark: bool,
) -> None:
    with opened(browser, address, width=width) as (tab, complaints):
        tab.goto(address + page)
        if dark:
            switch_to_dark(tab)
        assert sideways(tab) == 0
        if width == 390 and dark:  # the other three look at all of it
            tab.evaluate(f"() => {{{FEW}}}")
        assert not axe(tab)
        assert not complaints


def switch_to_dark(tab: Page) -> None:
    tab.locator("label[title='Switch to dark']").click()
    tab.wait_for_function("document.body.dataset.mdColorScheme === 'slate'")


# names in tables that stand in two lines
BROKEN = """[...document.querySelectorAll("td code.name")]
    .filter(one => one.getClientRects().length > 1).map(one => one.innerText)"""


def test_names_in_tables_stay_in_one_line_on_a_phone(browser: Browser, address: str) -> None:
    with opened(browser, address, width=390) as (tab, complaints):
        for page in ("reference/parts/", "howto/failures/"):
            tab.goto(address + page)
            assert tab.locator("td code.name").count() > 5
            assert tab.evaluate(BROKEN) == []
            assert sideways(tab) == 0
        assert not complaints


def test_dark_stays_dark_on_the_next_page(browser: Browser, address: str) -> None:
    with opened(browser, address) as (tab, complaints):
        tab.goto(address)
        ground = "getComputedStyle(document.body).backgroundColor"
        day = tab.evaluate(ground)
        switch_to_dark(tab)
        assert tab.evaluate(ground) != day
        tab.goto(address + "howto/")
        assert tab.evaluate("document.body.dataset.mdColorScheme") == "slate"
        assert not complaints


def test_search_finds_a_word_and_leads_to_its_page(browser: Browser, address: str) -> None:
    with opened(browser, address) as (tab, complaints):
        tab.goto(address)
        query = tab.locator("input[name=query]")
        query.click()
        # one key starts the search; results of single letters would change while we click
        query.fill("sacc")
        query.press("t")
        tab.locator(".md-search-result__link[href*='howto/slurm']").first.click()
        tab.wait_for_url("**/howto/slurm/**")
        assert "sacct" in tab.locator("article").inner_text()
        assert not complaints


def test_the_menu_of_a_phone_leads_to_every_part(browser: Browser, address: str) -> None:
    with opened(browser, address, width=390, height=844) as (tab, complaints):
        tab.goto(address)
        tab.locator("label.md-header__button[for=__drawer]").click()
        for part in ("Tutorial", "How-to", "Reference", "Explanation", "Leaderboards"):
            assert (
                tab.locator(".md-nav--primary").get_by_text(part, exact=True).first.is_visible()
            ), part
        assert not complaints
