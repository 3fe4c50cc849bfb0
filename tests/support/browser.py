"""A page in a real browser: opened from its file, watched for errors and requests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATHS = ("chromium", "chromium-browser", "google-chrome")
READY = "html[data-ready]"


def executable() -> str:
    """Where Chromium is; the test is skipped where there is none."""
    found = next((path for path in map(shutil.which, PATHS) if path), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    return found


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium, driven by playwright."""
    path = executable()
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


class Opened:
    """One page: `page` of playwright, and what went wrong in it."""

    def __init__(self, context: Any, path: Path) -> None:
        self.page = context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type != "log" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(READY, timeout=20_000)

    def texts(self, selector: str) -> list[str]:
        """The text of every element that matches."""
        return [str(text) for text in self.page.locator(selector).all_inner_texts()]

    def text(self, selector: str) -> str:
        """The text of the first element that matches."""
        return str(self.page.locator(selector).first.inner_text())

    def until(self, script: str) -> None:
        """Wait for a JavaScript expression to be true."""
        for _ in range(100):
            if self.run(script):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never true: {script}")

    def run(self, script: str) -> Any:
        """What a JavaScript expression gives."""
        return self.page.evaluate(script)
