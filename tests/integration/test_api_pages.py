"""The API's description in a real browser: both readers show it, and ask no other host for anything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from tests.support import missing
from tests.support.api import ApiProcess
from tests.support.servers import free_port

from drag_shared.config import Settings

pytestmark = [pytest.mark.integration, pytest.mark.browser, pytest.mark.timeout(120)]

WORDS = "Upload photos, get the gauges in them."
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        missing("Chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_description_is_readable_without_the_internet(
    settings: Settings, tmp_path: Path, page: Page, path: str
) -> None:
    values = settings.model_dump() | {"api_port": free_port(), "viewer_port": free_port()}
    with ApiProcess(Settings(**values), tmp_path) as api:
        home = f"http://127.0.0.1:{api.settings.api_port}/"
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(home.rstrip("/") + path)
        expect(page.get_by_text(WORDS)).to_be_visible(timeout=60_000)
        page.wait_for_load_state("networkidle")
        assert [url for url in asked if not url.removeprefix("blob:").startswith((home, "data:"))] == []
        assert home + "openapi.json" in asked
        assert said == []
