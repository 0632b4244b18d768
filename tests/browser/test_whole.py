"""The page in front of the whole product: real API, queue, ingest and inference, as `drag run` starts them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.browser.acts import choose, detail, drop, paste, row
from tests.browser.conftest import PHONE, Watched
from tests.support.servers import free_port

from drag_launcher.readiness import readiness

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]
PHOTOS = Path(__file__).resolve().parents[1] / "photos"
Open = Callable[..., Watched]
Write = Callable[..., Path]


@dataclass(frozen=True)
class Whole:
    """A running product."""

    page: str
    api: str

    def ready(self) -> bool:
        """Whether a picture posted now would be worked on."""
        return readiness(self.api) is None

    def ask(self, path: str) -> Any:
        """What the API answers, as JSON."""
        with urllib.request.urlopen(self.api + path, timeout=20) as answer:
            return json.load(answer)

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, newest first."""
        found: list[dict[str, Any]] = self.ask("/v1/jobs?limit=200")["jobs"]
        return found

    def pid(self, service: str) -> int:
        """The process that diagnostics name for a service."""
        workers = self.ask("/v1/diagnostics")["services"][service]
        return int(max(workers, key=lambda worker: worker["seen_ms"])["pid"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    ports = {"DRAG_API_PORT": str(free_port()), "DRAG_VIEWER_PORT": str(free_port())}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRAG_")}
    env = kept | ports | {"DRAG_DATA_DIR": str(tmp_path_factory.mktemp("drag"))}
    running = subprocess.Popen([sys.executable, "-m", "drag_shared.cli", "run"], env=env, process_group=0)
    product = Whole(*(f"http://127.0.0.1:{ports[f'DRAG_{name}_PORT']}" for name in ("VIEWER", "API")))
    try:
        wait_until(product.ready, running)
        yield product
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(60)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def wait_until(check: Callable[[], bool], running: subprocess.Popen[bytes], within_s: float = 90) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert running.poll() is None, f"`drag run` ended with exit status {running.returncode}"
        assert time.monotonic() < deadline, "it is not ready in time"
        time.sleep(0.1)


@pytest.fixture
def photo(picture: Write) -> Path:
    """A photo that ships with the source, else a drawing."""
    shipped = sorted(path for path in PHOTOS.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return shipped[0] if shipped else picture("dial.jpg")


@pytest.mark.parametrize("look", [{}, {"color_scheme": "dark", **PHONE}], ids=["desktop", "phone"])
def test_photo_is_shown_with_exactly_what_the_api_found(
    whole: Whole, open_page: Open, photo: Path, look: dict[str, Any]
) -> None:
    watched = open_page(whole.page, **look)
    page = watched.page
    choose(page, photo)
    expect(row(page, photo.name).first).to_have_attribute("data-level", "good", timeout=30_000)
    job = next(job for job in whole.jobs() if job["name"] == photo.name)
    expect(detail(page).locator("tbody tr")).to_have_count(len(job["result"]["gauges"]))
    expect(detail(page).locator(".box")).to_have_count(len(job["result"]["gauges"]))
    boxes = [", ".join(str(int(v + 0.5)) for v in gauge["box"]) for gauge in job["result"]["gauges"]]
    assert [text.strip() for text in detail(page).locator("td.mono").all_inner_texts()] == boxes
    expect(detail(page).locator(".times")).to_contain_text("infer")
    for name in ("JSON", "Original", "Annotated picture"):
        address = detail(page).get_by_role("link", name=name, exact=True).get_attribute("href")
        assert address is not None
        assert page.request.get(address).ok, name
    assert watched.overflow() == 0
    assert watched.complaints == []


def test_all_ways_in_many_at_once_and_a_file_that_is_no_picture(whole: Whole, open_page: Open, picture: Write) -> None:
    page = open_page(whole.page).page
    names = [f"many-{n}.jpg" for n in range(8)]
    choose(page, *(picture(name) for name in names))
    drop(page, picture("dropped.jpg"))
    paste(page, picture("pasted.jpg"))
    lie = picture("lie.jpg")
    lie.write_text("this is no picture")
    choose(page, lie)
    for name in [*names, "dropped.jpg"]:
        expect(row(page, name)).to_have_attribute("data-level", "good", timeout=40_000)
    expect(row(page, "lie.jpg")).to_contain_text("Unsupported picture")
    row(page, "lie.jpg").locator(".row-select").click()
    expect(detail(page)).to_contain_text("Fix: send another file, or save this one as JPEG.")
    ended = {job["name"]: job["status"] for job in whole.jobs()}
    assert all(ended[name] == "done" for name in [*names, "dropped.jpg"])
    assert [name for name in ended if name.startswith("pasted-")]
    assert "lie.jpg" not in ended


def test_truncated_picture_ends_with_its_reason(whole: Whole, open_page: Open, picture: Write) -> None:
    page = open_page(whole.page).page
    cut = picture("cut.jpg")
    cut.write_bytes(cut.read_bytes()[:4000])
    choose(page, cut)
    expect(row(page, "cut.jpg")).to_have_attribute("data-level", "bad", timeout=30_000)
    expect(detail(page).locator(".problem")).to_be_visible()


def test_turned_picture_is_shown_upright_under_its_boxes(whole: Whole, open_page: Open, picture: Write) -> None:
    page = open_page(whole.page).page
    turned = picture("turned.jpg")
    tag = bytes.fromhex("4d4d002a00000008000101120003000000010006000000000000")  # TIFF, one entry: orientation 6
    segment = b"Exif\0\0" + tag
    data = turned.read_bytes()
    turned.write_bytes(data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:])
    choose(page, turned)
    expect(row(page, "turned.jpg")).to_have_attribute("data-level", "good", timeout=30_000)
    expect(detail(page).locator(".facts")).to_contain_text(re.compile(r"480 . 640 px"))
    page.reload()
    image = detail(page).locator("img")
    expect(image).to_have_js_property("naturalWidth", 480)
    expect(image).to_have_js_property("naturalHeight", 640)
    expect(detail(page).locator("svg.overlay")).to_have_attribute("viewBox", "0 0 480 640")


def test_delete_removes_picture_and_result(whole: Whole, open_page: Open, picture: Write) -> None:
    page = open_page(whole.page).page
    choose(page, picture("deleted.jpg"))
    expect(row(page, "deleted.jpg")).to_have_attribute("data-level", "good", timeout=30_000)
    address = detail(page).get_by_role("link", name="Original").get_attribute("href")
    assert address is not None
    detail(page).get_by_role("button", name="Delete").click()
    detail(page).get_by_role("button", name="Delete").click()
    expect(detail(page)).to_contain_text("The result is no longer kept.")
    assert page.request.get(address).status == 410


def test_api_killed_under_way_is_lived_through(whole: Whole, open_page: Open, picture: Write) -> None:
    page = open_page(whole.page).page
    names = [f"killed-{n}.jpg" for n in range(6)]
    choose(page, *(picture(name) for name in names))
    os.kill(whole.pid("api"), signal.SIGKILL)
    more = [f"after-{n}.jpg" for n in range(3)]
    choose(page, *(picture(name) for name in more))
    for name in names + more:
        expect(row(page, name)).to_have_attribute("data-level", "good", timeout=60_000)
    expect(page.locator("#notice")).to_be_hidden(timeout=30_000)
    known = [job["name"] for job in whole.jobs()]
    assert sorted(name for name in known if name.startswith(("killed-", "after-"))) == sorted(names + more)


def test_killed_inference_worker_costs_no_picture(whole: Whole, open_page: Open, picture: Write) -> None:
    page = open_page(whole.page).page
    expect(page.locator("#health-word")).to_have_text("Ready", timeout=30_000)
    page.locator("#health-button").click()
    expect(page.locator("#health-panel")).to_contain_text("gauge-detector")
    os.kill(whole.pid("inference"), signal.SIGKILL)
    choose(page, picture("patient.jpg"))
    expect(row(page, "patient.jpg")).to_have_attribute("data-level", "good", timeout=90_000)
    expect(page.locator("#health-word")).to_have_text("Ready", timeout=60_000)
