"""Pictures of a report for the README: `python -m tests.shots report.html leaderboards/pictures`;
each below 250 kB.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from tests.browser import ARGUMENTS, chromium, opened

MOST_BYTES = 250_000


class Shot(NamedTuple):
    """What is photographed."""

    name: str
    at: str  # what is scrolled to the top; "" = the page's beginning
    width: int = 1280
    height: int = 900
    dark: bool = False


SHOTS = (
    Shot("report-light", ""),
    Shot("report-dark-charts", "h2:text-is('Charts'):visible", dark=True, height=1000),
    Shot("report-phone", "", 390, 844),
    Shot("report-gallery", "h2:text-is('From text to photo'):visible"),
)


def take(report: Path, folder: Path) -> list[Path]:
    """Every shot of the first benchmark of a report."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        for shot in SHOTS:
            with opened(browser, width=shot.width, height=shot.height, dark=shot.dark) as (
                page,
                complaints,
            ):
                page.goto(report.resolve().as_uri())
                page.wait_for_selector("section.bench:not([hidden])[data-drawn=all]")
                if shot.at:
                    page.locator(shot.at).first.evaluate(
                        "(found) => found.scrollIntoView({block: 'start'})"
                    )
                taken.append(small(page.screenshot(), folder / f"{shot.name}.png"))
                assert not complaints, complaints
        browser.close()
    return taken


def small(shot: bytes, path: Path) -> Path:
    """As it is where that is small enough, else with as many colours as fit."""
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    picture.save(path, optimize=True)
    for colours in (256, 128, 64):
        if path.stat().st_size <= MOST_BYTES:
            return path
        picture.quantize(colours).save(path, optimize=True)
    raise SystemExit(f"{path} takes {path.stat().st_size} bytes")


if __name__ == "__main__":
    for path in take(Path(sys.argv[1]), Path(sys.argv[2])):
        print(path, path.stat().st_size)
