"""The helpers that look at pages find what is wrong with one: else nothing they let pass would mean
anything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import opened, served, sideways

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BAD = """<!doctype html><html><body><img src="missing.png">
<script>console.error("a complaint")</script>
<script src="https://example.invalid/far.js"></script>
<script>throw new Error("thrown")</script>
<div style="width: 3000px">wide</div></body></html>"""
GOOD = """<!doctype html><html lang="en"><head><title>Good</title>
<link rel="icon" href="data:,"></head>
<body><main><h1>Good</h1></main></body></html>"""


def write(folder: Path, text: str) -> Path:
    path = folder / "index.html"
    path.write_text(text)
    return path


@pytest.mark.parametrize("disk", [False, True], ids=["served", "from disk"])
def test_a_bad_page_is_told_from_a_good_one(
    browser: Browser, axe: Callable[[Page], list[str]], tmp_path: Path, disk: bool
) -> None:
    with (
        served(tmp_path) as url,
        opened(browser, "file:" if disk else url, width=390) as (page, complaints),
    ):
        page.goto(write(tmp_path, GOOD).as_uri() if disk else url)
        assert not complaints
        assert not axe(page)
        assert not sideways(page)
        write(tmp_path, BAD)
        page.reload()
        said = "\n".join(complaints)
        for expected in (
            "missing.png",
            "console error: a complaint",
            "asks elsewhere: https://example.invalid/far.js",
            "exception: thrown",
        ):
            assert expected in said
        assert any(fault.startswith("image-alt (critical)") for fault in axe(page))
        assert sideways(page) > 2000
