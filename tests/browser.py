"""Chromium, a loopback server, what a page complains of, and axe-core, for tests of pages.

    def test_it(browser, axe):        # they skip, with the reason, where something is missing
        with served(folder) as url, opened(browser, url) as (page, complaints):
            page.goto(url)            # a file opens too: page.goto(path.as_uri())
            assert not complaints     # console errors, exceptions, requests that fail or leave
            assert not axe(page)      # serious and critical faults, a sentence each
            assert not sideways(page) # pixels by which the page scrolls sideways

`opened(browser, url, width=390, dark=True)` is a phone at night. Nothing is fetched but from `url`:
requests to elsewhere are stopped and are complaints.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from discl.core.errors import UserError
from discl.files.disk import data_home
from discl.files.fetch import npm_pack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Route

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
AXE = ("axe-core@4.14.1", "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745")
GRAVE = {"serious", "critical"}


def chromium() -> str | None:
    """Debian's, or any other that is installed."""
    return next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium a module: while it runs, nothing else here can run an asyncio loop."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if (path := chromium()) is None:
        pytest.skip("no Chromium on this machine; apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe() -> Callable[[Page], list[str]]:
    """The serious and critical faults that axe-core finds on a page, a sentence each."""
    try:
        source = _axe_source()
    except UserError as error:
        pytest.skip(f"no axe-core: {error}")

    def look(page: Page) -> list[str]:
        page.evaluate(source)
        found: list[dict[str, Any]] = page.evaluate(
            "async () => (await axe.run({resultTypes: ['violations']})).violations"
        )
        return [
            f"{fault['id']} ({fault['impact']}): {fault['help']}:"
            f" {'; '.join(node['html'][:160] for node in fault['nodes'][:5])}"
            for fault in found
            if fault["impact"] in GRAVE
        ]

    return look


def _axe_source() -> str:
    """The script, from npm the first time."""
    name, sha256 = AXE
    tarball = npm_pack(name, sha256, data_home() / "downloads" / f"{name.replace('@', '-')}.tgz")
    with tarfile.open(tarball) as opened:
        member = opened.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder at a loopback address, which ends with '/'."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Quiet, directory=os.fspath(folder))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def opened(
    browser: Browser,
    url: str = "file:",
    *,
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
) -> Iterator[tuple[Page, list[str]]]:
    """A fresh page, with what it complains of; `url` is the only place it may fetch from."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(120_000)  # milliseconds: other tests may keep the machine busy
    complaints: list[str] = []

    def guard(route: Route) -> None:
        if route.request.url.startswith((url, "data:", "blob:")):
            return route.continue_()
        complaints.append(f"asks elsewhere: {route.request.url}")
        return route.abort()

    def failed(request: Request) -> None:
        complaints.append(f"failed: {request.url} ({request.failure})")

    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"console {message.type}: {message.text}")

    context.route("**/*", guard)
    page = context.new_page()
    page.on("console", console)
    page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
    page.on("requestfailed", failed)
    page.on(
        "response",
        lambda answer: (
            complaints.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None
        ),
    )
    try:
        yield page, complaints
    finally:
        context.close()


def sideways(page: Page) -> int:
    """Pixels by which the page scrolls sideways; what scrolls within a box of its own does not
    count.
    """
    found: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return found
