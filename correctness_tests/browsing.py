"""Pages in a real browser: Debian's chromium, by playwright (`pip install -e '.[browser]'`)."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import made_reports
import pytest

from eagerbench.cli import main

APT = "apt-get update && apt-get install -y chromium"
DRAWN = "html[data-drawn=yes]"
_TIMEOUT_MS = 60_000  # a busy machine; nothing asserts on time


def needed() -> None:
    """Skip a module whose tests need a browser where there is none; the reason says what to type."""
    missing = [name for name in ("playwright", "axe_playwright_python") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"no {missing[0]}: pip install -e '.[browser]'", allow_module_level=True)
    if program() is None:
        pytest.skip(f"no chromium: {APT}", allow_module_level=True)


def program() -> str | None:
    return next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
                None)


@contextmanager
def started() -> Iterator:
    """A browser; one is enough for many pages."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program(), args=root)
        try:
            yield browser
        finally:
            browser.close()


class Opened:
    """A page that was opened, what it asked the network for, and what its console says."""

    def __init__(self, context, file: Path, address: str, drawn: bool):
        self.requests: list[str] = []
        self.console: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(_TIMEOUT_MS)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        self.page.goto(f"{file.as_uri()}{address}")
        if drawn:
            self.page.wait_for_selector(DRAWN, state="attached")

    def draw_all(self) -> "Opened":
        """Scroll to each plot, which draws it, and back."""
        for plot in self.page.locator("[data-figure], #explore").all():
            plot.scroll_into_view_if_needed()
            plot.locator("svg").first.wait_for(state="attached")
        self.page.evaluate("scrollTo(0, 0)")
        return self

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_text_contents()

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()


def written(directory: Path, content: dict, *options: str) -> Path:
    """The report of a file's content."""
    file, page = made_reports.saved(directory, content), directory / "report.html"
    assert main(["report", str(file), "-o", str(page), *options]) == 0
    return page


@contextmanager
def opened(browser, file: Path, address: str = "", width: int = 1280, **how) -> Iterator[Opened]:
    """Open a file; `how` as playwright's contexts take it, such as `color_scheme="dark"`."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **how)
    try:
        yield Opened(context, file, address, drawn=how.get("java_script_enabled", True))
    finally:
        context.close()
