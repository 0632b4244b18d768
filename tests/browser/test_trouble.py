"""The page when things go wrong: busy, broken, absent and unready APIs, and pictures that cannot be worked on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.acts import choose, detail, row
from tests.browser.conftest import Watched
from tests.browser.scripted_api import ScriptedApi, answered_after_listing, broken, busy, cut_after_accepting, refused

pytestmark = pytest.mark.browser
Open = Callable[..., Watched]
Write = Callable[..., Path]


@pytest.mark.parametrize("status", [429, 503])
def test_busy_api_is_waited_for_in_plain_sight(status: int, api: ScriptedApi, open_page: Open, picture: Write) -> None:
    api.next_answers.append(busy("2", status))
    page = open_page(api.page_origin).page
    choose(page, picture("one.jpg"))
    notice = page.locator("#notice")
    expect(notice).to_contain_text("Queue full. 10,000 jobs are waiting, the most there may be.")
    expect(notice).to_contain_text(re.compile(r"goes on by itself in \d s"))
    expect(row(page, "one.jpg")).to_contain_text("Trying again")
    expect(row(page, "one.jpg")).to_contain_text("3 gauges")
    expect(notice).to_be_hidden()
    assert len(api.jobs) == 1


def test_nothing_is_sent_while_the_api_asks_to_wait_and_a_person_can_cut_it_short(
    api: ScriptedApi, open_page: Open, picture: Write
) -> None:
    api.next_answers.extend([busy("600")] * 3)
    page = open_page(api.page_origin).page
    names = [f"gauge-{n}.jpg" for n in range(9)]
    choose(page, *(picture(name) for name in names))
    expect(page.locator("#notice")).to_contain_text("in 10 min")
    assert len(api.jobs) == 0
    expect(page.locator("#list-note")).to_have_text("9 not finished")
    page.get_by_role("button", name="Try now").click()
    for name in names:
        expect(row(page, name)).to_contain_text("3 gauges")
    assert len(api.jobs) == 9


def test_answer_lost_on_the_way_makes_no_second_job(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    api.next_answers.append(cut_after_accepting)
    page = open_page(api.page_origin).page
    choose(page, picture("once.jpg"))
    expect(row(page, "once.jpg")).to_contain_text("3 gauges")
    assert [job["name"] for job in api.jobs.values()] == ["once.jpg"]
    expect(page.locator("#list .row")).to_have_count(1)


def test_cancel_after_a_lost_answer_cancels_the_job(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    api.next_answers.append(cut_after_accepting)
    page = open_page(api.page_origin).page
    choose(page, picture("held-once.jpg"))
    expect(row(page, "held-once.jpg")).to_contain_text("Trying again")
    page.get_by_role("button", name="Cancel held-once.jpg").click()
    expect(row(page, "held-once.jpg")).to_contain_text("Cancelled")
    assert [job["status"] for job in api.jobs.values()] == ["cancelled"]


def test_api_goes_away_and_comes_back(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    page = open_page(api.page_origin).page
    choose(page, picture("held-before.jpg"))
    expect(row(page, "held-before.jpg")).to_contain_text("Queued")
    api.stop()
    expect(page.locator("#health-word")).to_have_text("API does not answer")
    expect(page.locator("#notice")).to_contain_text(f"The API does not answer at {api.url}")
    choose(page, picture("meanwhile.jpg"))
    expect(row(page, "meanwhile.jpg")).to_contain_text("Trying again")
    api.start()
    api.release()
    expect(page.locator("#health-word")).to_have_text("Ready", timeout=20_000)
    expect(row(page, "held-before.jpg")).to_contain_text("3 gauges")
    expect(row(page, "meanwhile.jpg")).to_contain_text("3 gauges")
    expect(page.locator("#notice")).to_be_hidden()
    assert len(api.jobs) == 2


def test_page_opened_while_the_api_is_away_fills_when_it_comes(api: ScriptedApi, open_page: Open) -> None:
    api.add_ended(3)
    api.stop()
    page = open_page(api.page_origin).page
    expect(page.locator("#notice")).to_contain_text("This page keeps trying")
    api.start()
    expect(page.locator("#list .row")).to_have_count(3, timeout=20_000)
    expect(page.locator("#health-word")).to_have_text("Ready")


def test_machine_without_a_network_says_so_and_recovers(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    page = open_page(api.page_origin).page
    expect(page.locator("#health-word")).to_have_text("Ready")
    page.context.set_offline(True)
    expect(page.locator("#health-word")).to_have_text("No network")
    choose(page, picture("waits.jpg"))
    expect(row(page, "waits.jpg")).to_contain_text("Trying again")
    page.context.set_offline(False)
    expect(row(page, "waits.jpg")).to_contain_text("3 gauges")


def test_refused_picture_says_why_and_can_be_removed(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    api.next_answers.append(refused)
    page = open_page(api.page_origin).page
    choose(page, picture("notes.jpg"))
    expect(row(page, "notes.jpg")).to_contain_text("Refused")
    expect(detail(page)).to_contain_text("Unsupported picture")
    expect(detail(page)).to_contain_text("The bytes are not a picture. Fix: save it as JPEG.")
    expect(page.locator("#announcer")).to_contain_text("notes.jpg: refused")
    expect(detail(page).get_by_role("button", name="Try again")).to_have_count(0)
    detail(page).get_by_role("button", name="Remove from the list").click()
    expect(page.locator("#list .row")).to_have_count(0)
    expect(detail(page)).to_contain_text("The result appears here")


def test_fault_of_the_server_is_tried_a_few_times_only(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    api.next_answers.extend([broken] * 5)
    page = open_page(api.page_origin).page
    choose(page, picture("unlucky.jpg"))
    for _ in range(4):
        page.get_by_role("button", name="Try now").click()
    expect(detail(page)).to_contain_text("Tried 5 times.")
    expect(detail(page)).to_contain_text("The API answered 500")
    expect(page.locator("#notice")).to_be_hidden()
    detail(page).get_by_role("button", name="Try again").click()
    expect(row(page, "unlucky.jpg")).to_contain_text("3 gauges")


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [
        ("failed-1.jpg", "Failed", "The picture ends before its data does."),
        ("dead-1.jpg", "Dead", "Given up after 3 tries."),
        ("none-1.jpg", "No gauge found", "A closer or sharper picture"),
    ],
)
def test_endings_without_a_gauge_say_why(
    name: str, state: str, reason: str, api: ScriptedApi, open_page: Open, picture: Write
) -> None:
    watched = open_page(api.page_origin)
    choose(watched.page, picture(name))
    expect(row(watched.page, name)).to_contain_text(state)
    expect(detail(watched.page)).to_contain_text(reason)
    assert watched.complaints == []


def test_files_that_cannot_be_pictures_are_not_even_sent(
    api: ScriptedApi, open_page: Open, tmp_path: Path, picture: Write
) -> None:
    page = open_page(api.page_origin).page
    text, huge = tmp_path / "notes.txt", tmp_path / "huge.jpg"
    text.write_text("no picture")
    with huge.open("wb") as file:
        file.truncate(40 * 1024 * 1024)
    choose(page, text, huge, picture("fine.jpg"))
    expect(row(page, "fine.jpg")).to_contain_text("3 gauges")
    expect(row(page, "notes.txt")).to_contain_text("Not a picture")
    expect(row(page, "huge.jpg")).to_contain_text("Too large")
    row(page, "huge.jpg").locator(".row-select").click()
    expect(detail(page)).to_contain_text("At most 33.6 MB were expected; this file has 41.9 MB.")
    assert len(api.jobs) == 1


def test_health_tells_what_is_wrong_and_what_to_do(api: ScriptedApi, open_page: Open) -> None:
    api.problems = [{"what": "no ingest worker is ready", "fix": "start one: python -m drag_ingest"}]
    page = open_page(api.page_origin).page
    expect(page.locator("#health-word")).to_have_text("Not ready")
    expect(page.locator("#notice")).to_contain_text("No ingest worker is ready.")
    page.locator("#health-button").click()
    expect(page.locator("#health-panel")).to_contain_text("start one: python -m drag_ingest")
    api.problems = []
    expect(page.locator("#health-word")).to_have_text("Ready")
    expect(page.locator("#health-panel")).to_contain_text("worked on at once")
    expect(page.locator("#notice")).to_be_hidden()


def test_cancelled_while_waiting_is_never_sent(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    api.next_answers.append(busy("600"))
    page = open_page(api.page_origin).page
    choose(page, picture("no.jpg"))
    page.get_by_role("button", name="Cancel no.jpg").click()
    expect(row(page, "no.jpg")).to_contain_text("Cancelled")
    expect(page.locator("#notice")).to_be_hidden()
    choose(page, picture("yes.jpg"))
    page.get_by_role("button", name="Try now").click()
    expect(row(page, "yes.jpg")).to_contain_text("3 gauges")
    assert [job["name"] for job in api.jobs.values()] == ["yes.jpg"]


def test_job_that_is_forgotten_meanwhile_says_so(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    page = open_page(api.page_origin).page
    choose(page, picture("held-1.jpg"))
    expect(row(page, "held-1.jpg")).to_contain_text("Queued")
    api.stop()
    api.jobs.clear()
    api.start()
    expect(row(page, "held-1.jpg")).to_contain_text("No longer kept", timeout=20_000)


def test_dead_job_is_tried_again(api: ScriptedApi, open_page: Open, picture: Write) -> None:
    page = open_page(api.page_origin).page
    choose(page, picture("dead-1.jpg"))
    expect(row(page, "dead-1.jpg")).to_contain_text("Dead")
    detail(page).get_by_role("button", name="Try again").click()
    expect(detail(page).locator(".chip")).to_have_text("Queued")
    api.release()
    expect(detail(page).locator(".chip")).to_have_text("3 gauges")
    expect(detail(page).locator(".problem")).to_have_count(0)


def test_page_at_an_address_that_the_api_does_not_accept_says_what_to_set(api: ScriptedApi, open_page: Open) -> None:
    own = api.page_origin
    api.page_origin = "http://elsewhere.example"
    page = open_page(own).page
    expect(page.locator("#notice")).to_contain_text(f"Set DRAG_VIEWER_ORIGIN to {own}", timeout=20_000)
    expect(page.locator("#health-word")).to_have_text("Page refused")
    api.page_origin = own
    expect(page.locator("#health-word")).to_have_text("Ready", timeout=20_000)


def test_list_hears_of_a_job_before_its_own_upload_is_answered(
    api: ScriptedApi, open_page: Open, picture: Write
) -> None:
    page = open_page(api.page_origin).page
    api.next_answers.append(answered_after_listing)
    choose(page, picture("early.jpg"))
    assert api.accepted.wait(10)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(row(page, "early.jpg")).to_have_count(2)
    api.go_on.set()
    expect(row(page, "early.jpg")).to_have_count(1)
    expect(row(page, "early.jpg")).to_contain_text("3 gauges")
