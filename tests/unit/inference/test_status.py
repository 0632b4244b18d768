"""What a worker tells of itself, its pauses, its bounds, and its heap."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from drag_inference import status as status_module
from drag_inference.backoff import Backoff
from drag_inference.status import Status
from drag_inference.work import InFlight, Item, in_portions, stream_wait_ms
from drag_shared.errors import Unavailable
from drag_shared.outcomes import Entry
from drag_shared.registry import WorkerInfo
from drag_shared.statistics import ModelStatistics
from drag_shared.wire import FrameMessage

from .doubles import Harness

INFO = WorkerInfo(name="w", service="inference", host="h", pid=1, model="tiny", model_version="1")


def item(job_id: str = "a", size_bytes: int = 100, entry_id: str = "1-0") -> Item:
    message = FrameMessage("image/png", 4, 4, 1, size_bytes)
    return Item(Entry(0, "frames:tiny", entry_id, job_id, "0", 0, message, time.monotonic()), message)


def test_states_and_statistics_are_described() -> None:
    status = Status(INFO)
    assert status.describe().state == "starting"
    with Harness() as harness:
        harness.source.add("a")
        harness.source.wait_settled(1)
        harness.state.in_flight.wait_empty(10)
        status.watch(harness.state)
        status.say("ready")
        told = status.describe()
    assert (told.state, told.model, told.model_version) == ("ready", "tiny", "1")
    assert ModelStatistics.together([told.stats]).summary()["count"] == 1
    assert 'drag_inference_worker_state{model="tiny",state="ready"} 1.0' in harness.metrics.render()[0].decode()


def test_messages_of_a_newer_release_make_it_not_ready() -> None:
    status = Status(INFO)
    with Harness() as harness:
        status.watch(harness.state)
        status.say("ready")
        harness.source.newer_seen = True
        assert status.describe().state != "ready"
        assert "upgrade this worker" in status.describe().reason
        harness.source.newer_seen = False
        assert status.describe().state == "ready"


def test_upkeep_marks_what_was_lost_and_outlives_odd_errors(caplog: pytest.LogCaptureFixture) -> None:
    status = Status(INFO)
    with Harness() as harness:
        status.watch(harness.state)
        mine = item("gone")
        harness.state.in_flight.add([mine])
        harness.source.lost = {"gone"}
        status.upkeep()
        assert mine.lost
        harness.state.in_flight.remove([mine])
        harness.source.away["renew"] = 1
        with pytest.raises(Unavailable):  # the heartbeat says so, and tries again
            status.upkeep()
        harness.source.renew = None  # type: ignore[method-assign, assignment]
        status.upkeep()
    assert "cannot renew leases" in caplog.text
    assert 'drag_inference_images_total{model="tiny",outcome="abandoned"} 1.0' in harness.metrics.render()[0].decode()


def test_statistics_are_logged_now_and_then_but_not_again_for_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(status_module, "STATISTICS_S", 0.0)
    monkeypatch.setattr(status_module, "TRIM_S", 0.0)
    status = Status(INFO)
    with Harness() as harness:
        status.watch(harness.state)
        harness.source.add("a")
        harness.source.wait_settled(1)
        harness.state.in_flight.wait_empty(10)
        status.upkeep()
        status.upkeep()
    lines = [record for record in caplog.records if record.getMessage() == "statistics of tiny"]
    assert len(lines) == 1
    fields = vars(lines[0])
    assert fields["count"] == 1
    assert {"queue_p95_ms", "compute_mean_ms", "latency_p99_ms", "throughput_per_s"} <= set(fields)


def test_backoff_insists_until_it_works_and_no_longer_than_wanted() -> None:
    stop = threading.Event()
    answers: Iterator[Unavailable | str] = iter([Unavailable("away", 0.01), Unavailable("away", 0.01), "here"])

    def operation() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert Backoff(stop).insist("ask", operation, lambda: True) == "here"

    def away() -> str:
        stop.set()
        raise Unavailable("away", 60)

    start_s = time.monotonic()
    assert Backoff(stop).insist("ask", away, lambda: not stop.is_set()) is None
    assert time.monotonic() - start_s < 10


def test_portions_stay_within_their_bytes_and_a_large_picture_is_one() -> None:
    items = [item(size_bytes=size) for size in (40, 40, 40, 500, 10)]
    assert in_portions(items, 100) == [items[:2], items[2:3], items[3:4], items[4:]]
    assert in_portions([], 100) == []


def test_bytes_in_flight_are_bounded_but_one_picture_always_goes() -> None:
    bound = InFlight(10, 100)
    assert bound.take_bytes(500, 0)
    assert not bound.take_bytes(1, 0.01)
    bound.give_bytes(500)
    assert bound.take_bytes(60, 0)
    assert bound.take_bytes(40, 0)
    assert not bound.take_bytes(1, 0.01)


def test_wait_in_the_stream_is_told_from_the_entrys_id() -> None:
    appended_ms = time.time_ns() // 1_000_000 - 5000
    assert stream_wait_ms(item(entry_id=f"{appended_ms}-3").entry) == pytest.approx(5000, abs=1000)
    assert stream_wait_ms(item(entry_id=f"{appended_ms + 60_000}-0").entry) == 0.0  # the server's clock is ahead
    assert stream_wait_ms(item(entry_id="odd").entry) == 0.0
