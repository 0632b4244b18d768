"""The page with an API that behaves: ways in, results, list, keyboard, widths and colours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.browser.acts import choose, detail, drop, paste, row
from tests.browser.conftest import PHONE, Watched
from tests.browser.scripted_api import ScriptedApi

pytestmark = pytest.mark.browser
Open = Callable[..., Watched]
Write = Callable[..., Path]


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_a_picture_gets_in_and_its_gauges_are_shown(
    way: str, api: ScriptedApi, open_page: Open, picture: Write
) -> None:
    watched = open_page(api.page_origin)
    page = watched.page
    {"choose": choose, "drop": drop, "paste": paste}[way](page, picture("boiler.jpg"))
    expect(detail(page).locator(".chip")).to_have_text("3 gauges")
    cells = [line.locator("td").all_inner_texts() for line in detail(page).locator("tbody tr").all()]
    assert [cell[1:] for cell in cells] == [
        ["Dial", "97\u00a0%", "64, 96, 320, 400"],
        ["Digital display", "88\u00a0%", "400, 20, 620, 110"],
        ["Drum counter", "61\u00a0%", "480, 330, 540, 360"],
    ]
    name = next(iter(api.jobs.values()))["name"]
    assert name.startswith("pasted-") if way == "paste" else name == "boiler.jpg"
    assert watched.complaints == []


def test_boxes_lie_on_the_picture_at_every_width(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    page = open_page(api.page_origin).page
    choose(page, picture())
    expect(detail(page).locator(".box")).to_have_count(3)
    for width in (1900, 1280, 700, 360):
        page.set_viewport_size({"width": width, "height": 800})
        image = detail(page).locator("img").bounding_box()
        box = detail(page).locator(".box-line").first.bounding_box()
        assert image is not None
        assert box is not None
        scale = image["width"] / 640
        assert image["height"] == pytest.approx(480 * scale, abs=1)
        seen = [box["x"] - image["x"], box["y"] - image["y"], box["width"], box["height"]]
        assert seen == pytest.approx([64 * scale, 96 * scale, 256 * scale, 304 * scale], abs=4)


def test_overlay_is_told_in_words_and_rows_light_their_boxes(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    page = open_page(api.page_origin).page
    choose(page, picture())
    expect(page.get_by_role("img", name="1: Dial, 97\u00a0%; 2: Digital display, 88\u00a0%")).to_be_visible()
    detail(page).locator("tbody tr").nth(1).hover()
    expect(detail(page).locator(".box").nth(1)).to_have_class("box lit")
    expect(detail(page).locator(".box").nth(0)).to_have_class("box")


def test_picture_that_the_browser_cannot_show_is_shown_as_the_api_draws_it(
    api: ScriptedApi, open_page: Open, picture: Write
) -> None:
    api.annotated = picture().read_bytes()
    odd = picture("odd.jpg")
    odd.write_bytes(b"read by the API alone")
    page = open_page(api.page_origin).page
    choose(page, odd)
    image = detail(page).locator("img")
    expect(image).to_have_attribute("src", re.compile("/annotated$"))
    expect(image).to_have_js_property("naturalWidth", 640)
    expect(detail(page).locator(".overlay")).to_have_count(0)


def test_links_lead_to_the_job(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    page = open_page(api.page_origin).page
    choose(page, picture())
    expect(detail(page).locator(".chip")).to_have_text("3 gauges")
    job_id = next(iter(api.jobs))
    for name, address in {"JSON": "", "Original": "/image", "Annotated picture": "/annotated"}.items():
        link = detail(page).get_by_role("link", name=name, exact=True)
        expect(link).to_have_attribute("href", f"{api.url}/v1/jobs/{job_id}{address}")


def test_many_at_once_are_sent_a_few_at_a_time_and_all_end(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    api.post_takes_s = 0.05
    page = open_page(api.page_origin).page
    names = [f"held-{n}.jpg" if n % 2 else f"gauge-{n}.jpg" for n in range(24)]
    choose(page, *(picture(name) for name in names))
    expect(page.locator("#list-note")).to_have_text("12 not finished")
    api.release()
    expect(page.locator("#list-note")).to_have_text("")
    for name in names:
        expect(row(page, name)).to_contain_text("3 gauges")
    assert len(api.jobs) == 24
    assert 1 < api.posts.most <= 3
    assert api.polls.most <= 2


def test_progress_is_shown_while_sending(api: ScriptedApi, open_page: Open, picture: Write, tmp_path: Path) -> None:
    page = open_page(api.page_origin).page
    large = tmp_path / "large.jpg"
    large.write_bytes(picture().read_bytes() + bytes(3_000_000))
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 600_000}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    choose(page, large)
    bar = row(page, "large.jpg").get_by_role("progressbar")
    expect(bar).to_be_visible()
    expect(row(page, "large.jpg")).to_contain_text(re.compile(r"Sending\s*[2-9]\d\s%"))
    expect(row(page, "large.jpg")).to_contain_text("3 gauges", timeout=20_000)
    expect(bar).to_be_hidden()


def test_names_are_text(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    watched = open_page(api.page_origin)
    name = "<img src=x onerror=alert(1)>.jpg"
    choose(watched.page, picture(name))
    expect(row(watched.page, name)).to_contain_text("3 gauges")
    expect(detail(watched.page).locator("h2")).to_have_text(name)
    assert watched.page.locator("img[src=x]").count() == 0
    assert watched.complaints == []


def test_earlier_jobs_come_in_pages_and_open(api: ScriptedApi, open_page: Open) -> None:
    api.add_ended(45)
    page = open_page(api.page_origin).page
    rows = page.locator("#list .row")
    for expected in (20, 40, 45):
        expect(rows).to_have_count(expected)
        if expected < 45:
            page.get_by_role("button", name="Show older").click()
    expect(page.get_by_role("button", name="Show older")).to_be_hidden()
    assert rows.first.locator(".row-name").inner_text() == "earlier-44.jpg"
    rows.nth(3).locator(".row-select").click()
    expect(detail(page).locator("h2")).to_have_text("earlier-41.jpg")
    expect(detail(page)).to_contain_text("The picture is no longer kept.")
    expect(detail(page).locator(".box")).to_have_count(3)


def test_page_that_stays_open_keeps_up_and_stays_small(api: ScriptedApi, open_page: Open) -> None:
    api.add_ended(30)
    page = open_page(api.page_origin).page
    rows = page.locator("#list .row")
    expect(rows).to_have_count(20)
    for known in (20 + 150, 300):  # 320 are known by then: the oldest go
        api.add_ended(150)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(rows).to_have_count(known)
        expect(rows.first.locator(".row-name")).to_have_text(f"earlier-{len(api.jobs) - 1}.jpg")
    page.get_by_role("button", name="Show older").click()
    expect(rows).to_have_count(320)
    page.get_by_role("button", name="Show older").click()
    expect(rows).to_have_count(330)
    expect(page.get_by_role("button", name="Show older")).to_be_hidden()


def test_address_shows_the_job_again_and_back_works(api: ScriptedApi, open_page: Open) -> None:
    api.add_ended(2)
    page = open_page(api.page_origin).page
    for name in ("earlier-1.jpg", "earlier-0.jpg"):
        row(page, name).locator(".row-select").click()
        expect(detail(page).locator("h2")).to_have_text(name)
    page.go_back()
    expect(detail(page).locator("h2")).to_have_text("earlier-1.jpg")
    page.reload()
    expect(detail(page).locator("h2")).to_have_text("earlier-1.jpg")


def test_address_of_a_job_that_never_was(api: ScriptedApi, open_page: Open) -> None:
    page = open_page(f"{api.page_origin}/#job=nonsense").page
    expect(detail(page)).to_contain_text("No job ever had this id here.")


def test_cancel_and_delete(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    page = open_page(api.page_origin).page
    choose(page, picture("held-1.jpg"))
    expect(row(page, "held-1.jpg")).to_contain_text("Queued")
    page.get_by_role("button", name="Cancel held-1.jpg").click()
    expect(row(page, "held-1.jpg")).to_contain_text("Cancelled")
    choose(page, picture("gone.jpg"))
    expect(detail(page).locator(".chip")).to_have_text("3 gauges")
    detail(page).get_by_role("button", name="Delete").click()
    detail(page).get_by_role("button", name="Keep").click()
    assert all(job["has_image"] for job in api.jobs.values() if job["name"] == "gone.jpg")
    detail(page).get_by_role("button", name="Delete").click()
    detail(page).get_by_role("button", name="Delete").click()
    expect(detail(page)).to_contain_text("The result is no longer kept.")
    assert not any(job["has_image"] for job in api.jobs.values())


def test_everything_by_keyboard(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    watched = open_page(api.page_origin)
    page = watched.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the pictures")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Choose pictures")).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([picture("one.jpg"), picture("none-two.jpg")])
    expect(row(page, "none-two.jpg")).to_contain_text("No gauge found")
    expect(row(page, "one.jpg")).to_contain_text("3 gauges")
    expect(page.locator("#announcer")).to_contain_text("gauge")
    page.get_by_role("button", name="Choose pictures").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    chosen = page.locator(".row-select[aria-current]")
    expect(chosen).to_be_focused()
    expect(detail(page).locator("h2")).to_have_text(chosen.locator(".row-name").inner_text())
    row(page, "one.jpg").locator(".row-select").press("Enter")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Delete":
            break
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(detail(page)).to_contain_text("The result is no longer kept.")
    assert watched.complaints == []


LOOKS: dict[str, dict[str, Any]] = {
    "desktop-light": {"color_scheme": "light"},
    "desktop-dark": {"color_scheme": "dark"},
    "phone-light": {"color_scheme": "light", **PHONE},
    "phone-dark": {"color_scheme": "dark", "reduced_motion": "reduce", **PHONE},
}


@pytest.mark.parametrize("look", LOOKS)
def test_fits_and_can_be_read(look: str, api: ScriptedApi, open_page: Open, picture: Write) -> None:
    watched = open_page(api.page_origin, **LOOKS[look])
    page = watched.page
    assert watched.overflow() == 0
    choose(page, picture("a-very-long-name-without-any-place-to-break-" * 3 + ".jpg"), picture("failed-1.jpg"))
    expect(row(page, "failed-1.jpg")).to_contain_text("ends before its data does")
    expect(detail(page).locator("tbody tr")).to_have_count(3)
    page.locator("#health-button").click()
    expect(page.locator("#health-panel")).to_contain_text("gauge-detector 1")
    assert watched.overflow() == 0
    assert json.loads(page.evaluate(CONTRAST)) == []
    assert page.get_by_role("button", name="Take a photo").is_visible() == look.startswith("phone")
    assert {address.split("/")[2] for address in watched.requests if not address.startswith("blob:")} == {
        api.page_origin.removeprefix("http://"),
        api.url.removeprefix("http://"),
    }
    assert watched.complaints == []


# Every visible text against the colour behind it, as WCAG AA counts (4.5; boxes' labels lie on their own ground).
CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => {
        const line = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        const part = [r, g, b].map((v) => line(v / 255));
        return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
    };
    const ground = (node) => {
        for (let at = node; at; at = at.parentElement) {
            const colour = rgba(getComputedStyle(at).backgroundColor);
            if (colour[3] === 255) return colour;
        }
        return [255, 255, 255, 255];
    };
    const poor = [];
    for (const node of document.querySelectorAll("body *")) {
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
        if (!own || !node.checkVisibility() || node.closest("svg, .unseen, .skip")) continue;
        const [a, b] = [light(rgba(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) poor.push([node.className || node.tagName, node.textContent.slice(0, 30), ratio.toFixed(2)]);
    }
    return JSON.stringify(poor);
}"""
