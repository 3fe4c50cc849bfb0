"""One Chromium for all tests of pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recurra.inspection.page import to_html
from support.browser import Opened, chromium

Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a recording; at the end, nothing may have gone wrong in it."""
    opened: list[Opened] = []

    def show(recording: Any, width: int = 1000, scheme: str = "light", **options: Any) -> Opened:
        path = tmp_path / f"page-{len(opened)}.html"
        to_html(recording, path, **options)
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, accept_downloads=True
        )
        opened.append(Opened(context, path))
        return opened[-1]

    yield show
    for one in opened:
        assert one.errors == []
        outside = [url for url in one.requests if not url.startswith(("file:", "data:", "blob:"))]
        assert outside == []
        one.page.context.close()
