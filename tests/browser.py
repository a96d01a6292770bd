"""A Chromium without a window, and the page in it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

READY = "html[data-ready]"
_HARMLESS = ("GPU stall due to ReadPixels", "Automatic fallback to software WebGL")


def find_chromium() -> str:
    """``$CHROMIUM`` or Chromium on the path; else skip."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("there is no Chromium here: apt-get install chromium, or set CHROMIUM")
    return found


@contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """A browser that draws WebGL on the processor."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = find_chromium()
    with api.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=path,
            args=[
                *("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"),
                *("--enable-unsafe-swiftshader", *flags),
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """What a page asks for and complains of."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.bodies: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._request)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", lambda one: self.complaints.append(f"failed: {one.url}"))

    def _request(self, request: Any) -> None:
        if request.url.startswith(("blob:", "data:")):
            return
        self.requests.append(request.url)
        if request.method != "GET" or request.post_data_buffer:
            self.bodies.append(request.url)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not any(
            text in message.text for text in _HARMLESS
        ):
            self.complaints.append(message.text)


@contextmanager
def page_at(browser: Any, address: str, **options: Any) -> Iterator[Watch]:
    """The page, its networks loaded."""
    context = browser.new_context(accept_downloads=True, **options)
    page = context.new_page()
    page.set_default_timeout(120_000)
    watch = Watch(page)
    try:
        page.goto(address)
        page.wait_for_selector(READY)
        yield watch
    finally:
        context.close()


def open_photo(watch: Watch, photo: Path) -> None:
    """Choose a photo, and wait for its faces."""
    watch.page.set_input_files("input[type=file] >> nth=0", str(photo))
    watch.page.wait_for_selector(f'.sheet canvas[aria-label^="Photo {photo.name}, "]')
    watch.page.wait_for_selector(".facts")


def download(watch: Watch, kind: str) -> bytes:
    """A file that the page makes."""
    with watch.page.expect_download() as waiting:
        watch.page.click(f".downloads button:has-text('{kind}')")
    return Path(waiting.value.path()).read_bytes()


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Until it is true. (The page's policy forbids Playwright's own way, which evaluates text.)"""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)
