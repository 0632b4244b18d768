"""The API's description in a real browser: both readers show it, and ask no other host for anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import Watched
from tests.support.api import ApiProcess
from tests.support.servers import free_port

from drag_shared.config import Settings

pytestmark = [pytest.mark.integration, pytest.mark.browser, pytest.mark.timeout(120)]

WORDS = "Upload photos, get the gauges in them."


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_description_is_readable_without_the_internet(
    settings: Settings, tmp_path: Path, open_page: Callable[..., Watched], path: str
) -> None:
    values = settings.model_dump() | {"api_port": free_port(), "viewer_port": free_port()}
    with ApiProcess(Settings(**values), tmp_path) as api:
        home = f"http://127.0.0.1:{api.settings.api_port}/"
        watched = open_page(home.rstrip("/") + path)
        expect(watched.page.get_by_text(WORDS)).to_be_visible(timeout=60_000)
        watched.page.wait_for_load_state("networkidle")
        assert [url for url in watched.requests if not url.removeprefix("blob:").startswith((home, "data:"))] == []
        assert home + "openapi.json" in watched.requests
        assert watched.complaints == []
