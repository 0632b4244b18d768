"""A real Chromium, the page's server, and an API: the scripted one, or the whole product's."""

from __future__ import annotations

import random
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.browser.scripted_api import SIZE, ScriptedApi
from tests.support import missing
from werkzeug.serving import make_server

from drag_shared.config import Settings
from drag_viewer.app import create_app

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
DESKTOP = {"viewport": {"width": 1280, "height": 860}}
expect.set_options(timeout=10_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        missing("Chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


class Watched:
    """A page, with all that it complained about and asked for.

    Attributes:
        complaints: errors and warnings of the console and of scripts.
        requests: addresses asked for.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("filechooser", lambda _: None)  # from the start, so that no dialog opens before a test listens
        page.on("console", lambda told: told.type in ("error", "warning") and self.complaints.append(told.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """Opens a page in a context of its own; each ends with the test."""
    contexts = []

    def open_one(url: str, **options: Any) -> Watched:
        context = browser.new_context(**{**DESKTOP, **options})
        contexts.append(context)
        watched = Watched(context.new_page())
        watched.page.goto(url)
        return watched

    yield open_one
    for context in contexts:
        context.close()


def steady_port() -> int:
    """A free port below those that outgoing connections take: it stays free while its server is away."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


@pytest.fixture
def page_url() -> Iterator[tuple[str, int]]:
    """The page, served in this process, and the port where it expects the API."""
    page_port, api_port = steady_port(), steady_port()
    app = create_app(Settings(viewer_port=page_port, api_port=api_port))
    server = make_server("127.0.0.1", page_port, app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{page_port}", api_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def api(page_url: tuple[str, int]) -> Iterator[ScriptedApi]:
    """The scripted API, running where the page looks for it."""
    url, port = page_url
    scripted = ScriptedApi(port, url)
    scripted.start()
    yield scripted
    scripted.release()
    scripted.stop()


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    """Writes a JPEG with a simple dial under a name of one's choice."""

    def write(name: str = "dial.jpg") -> Path:
        canvas = np.full((SIZE[1], SIZE[0], 3), (120, 128, 130), np.uint8)
        cv2.circle(canvas, (192, 248), 120, (245, 245, 245), -1, cv2.LINE_AA)
        cv2.circle(canvas, (192, 248), 120, (40, 40, 40), 6, cv2.LINE_AA)
        cv2.line(canvas, (192, 248), (262, 178), (20, 20, 200), 5, cv2.LINE_AA)
        path = tmp_path / name
        path.write_bytes(cv2.imencode(".jpg", canvas)[1].tobytes())
        return path

    return write
