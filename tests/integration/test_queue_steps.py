"""Route, advance, failed, retry, bury and hand back: each once, whatever is delivered or sent twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgpack
import pytest
from tests.support.queue import (
    FRAME,
    FRAMES,
    MODEL,
    RESULT,
    Queue,
    complete,
    quick,
    read_until,
    route,
    until,
    upload,
    work,
)

from drag_shared.announce import Announcements
from drag_shared.outcomes import Advanced, Dropped, Failed, HandedBack, Retry, Routed
from drag_shared.wire import pack

pytestmark = [pytest.mark.integration, pytest.mark.both_servers]


def test_a_job_goes_its_way(queue: Queue) -> None:
    (job_id,) = queue.accept()
    with queue.using("uploads") as ingest, queue.using(FRAMES) as worker:
        (entry,) = read_until(ingest)
        assert (entry.job_id, entry.part, entry.attempt, entry.stream) == (job_id, "upload", 0, "uploads")
        assert ingest.fetch_headers([entry], 10) == [b"\xff" * 10]
        ingest.settle([Routed(entry, MODEL, FRAME, {"width": 480, "height": 640})])
        assert (queue.store.get(job_id).status, queue.store.get(job_id).width_px) == ("running", 480)
        (entry,) = read_until(worker)
        assert (entry.job_id, entry.part, entry.message) == (job_id, "0", FRAME)
        assert worker.fetch([entry]) == [b"\xff" * 100]
        assert worker.held == 1
        worker.settle([Advanced(entry, {"gauges": [1]}, {"infer": 2.5})])
        assert worker.held == 0
    job = queue.store.get(job_id)
    assert (job.status, job.result, job.attempts, job.error) == ("done", {"gauges": [1]}, 0, None)
    assert job.timings["infer"] == 2.5
    assert job.timings["total"] == job.ended_ms - job.created_ms  # type: ignore[operator]
    assert queue.client.xlen(queue.key("uploads")) == queue.client.xlen(queue.key(FRAMES)) == 0
    queue.assert_closes()


def test_what_was_added_before_the_group_was_made_is_delivered(queue: Queue) -> None:
    ids = queue.accept(3)
    assert queue.client.xinfo_groups(queue.key("uploads")) == []
    with queue.using("uploads") as ingest:
        assert [entry.job_id for entry in read_until(ingest, 3)] == ids


def test_the_group_is_made_once(queue: Queue) -> None:
    ids = queue.framed(2)
    with queue.using(FRAMES) as first:
        assert [entry.job_id for entry in read_until(first, 2)] == ids
        with queue.using(FRAMES) as second:
            assert second.read(5, 20) == [], "a second start must not deliver from the beginning again"


def test_the_first_outcome_stands(queue: Queue) -> None:
    (job_id,) = queue.framed()
    with queue.using(FRAMES) as worker:
        (entry,) = read_until(worker)
        worker.settle([Advanced(entry, {"n": 1}, {})])
        ended = queue.store.get(job_id)
        for late in (Advanced(entry, {"n": 2}, {}), Failed(entry, "late", ""), Retry(entry, "late"), HandedBack(entry)):
            worker.settle([late])
            assert queue.store.get(job_id) == ended
    assert queue.counters() == {"accepted": 1, "done": 1, "open_bytes": 0, "picture_bytes": 100, **_record(queue)}
    queue.assert_closes()


def _record(queue: Queue) -> dict[str, int]:
    return {"record_bytes": queue.counters()["record_bytes"]}


def test_a_second_route_makes_no_second_part_and_a_late_failure_fails_nothing(queue: Queue) -> None:
    """Given an upload that two workers hold, as after a lost lease: only the first one's word counts."""
    (job_id,) = queue.accept()
    with queue.using("uploads") as ingest:
        (entry,) = read_until(ingest)
        ingest.settle([route(entry)])
        ingest.settle([route(entry)])
        ingest.settle([Failed(entry, "truncated", "late and wrong")])
    assert queue.client.xlen(queue.key(FRAMES)) == 1
    assert queue.store.status(job_id) == "running"
    queue.drain()
    assert queue.store.status(job_id) == "done"
    queue.assert_closes()


@pytest.mark.parametrize("stage", ["uploads", FRAMES])
def test_the_inputs_own_fault_fails_the_job_with_its_reason(queue: Queue, stage: str) -> None:
    (job_id,) = queue.accept() if stage == "uploads" else queue.framed()
    with queue.using(stage) as worker:
        (entry,) = read_until(worker)
        worker.settle([Failed(entry, "truncated", "The file ends early.")])
    job = queue.store.get(job_id)
    assert (job.status, job.error) == ("failed", {"code": "truncated", "detail": "The file ends early."})
    assert job.has_image
    assert queue.counters()["failed"] == 1
    queue.assert_closes()


def test_parts_fan_out_and_join(queue: Queue) -> None:
    """Given a first part that names two that follow: the job is done with the last of them, in any order."""
    (job_id,) = queue.framed()
    keys = queue.store.partitions[0]
    limits = queue.store.limits.for_scripts()
    follow = [{"part": f"0.{i}", "stream": "frames:reader", "message": pack(FRAME)} for i in range(2)]

    def advance(stream: str, entry: Any, **item: Any) -> int:
        items = [{"entry": entry.entry_id, "job": job_id, "part": entry.part, **item}]
        request = {"stream": stream, "group": "inference", "limits": limits, "items": items}
        return int(queue.store.link.script("advance", keys, request))

    result = {"result": msgpack.packb({"gauges": []}), "timings": msgpack.packb({})}
    with queue.using(FRAMES) as worker, queue.using("frames:reader") as reader:
        (entry,) = read_until(worker)
        assert advance(FRAMES, entry, **result, follow=follow) == 1
        assert advance(FRAMES, entry, **result, follow=follow) == 0, "a duplicate must not fan out again"
        assert queue.store.status(job_id) == "running"
        queue.assert_closes()
        first, second = read_until(reader, 2)
        assert {first.part, second.part} == {"0.0", "0.1"}
        assert advance("frames:reader", second, **result) == 1
        assert advance("frames:reader", second, **result) == 0
        assert queue.store.status(job_id) == "running", "one part is still out"
        unreadable = {"error": msgpack.packb({"code": "unreadable", "detail": ""}), "fatal": False}
        assert advance("frames:reader", first, **unreadable) == 1
        assert queue.store.status(job_id) == "done", "only the first part can fail the job"
    assert queue.counters()["done"] == 1
    queue.assert_closes()


def test_retries_back_off_and_the_last_one_is_buried_with_its_history(queue: Queue) -> None:
    (job_id,) = queue.framed()
    with queue.using(FRAMES) as worker:
        for attempt in range(3):
            (entry,) = read_until(worker)
            assert entry.attempt == attempt
            worker.settle([Retry(entry, f"cause {attempt}")])
            assert queue.store.get(job_id).attempts == attempt + 1
            queue.assert_closes()
        assert worker.read(5, 10) == []
    job = queue.store.get(job_id)
    assert (job.status, job.error) == ("dead", {"code": "dead", "detail": "cause 2"})
    (letter,), cursor = queue.store.dead_letters()
    assert cursor is None
    assert (letter.job_id, letter.part, letter.stream, letter.cause) == (job_id, "0", FRAMES, "cause 2")
    assert (letter.attempts, letter.message) == (3, pack(FRAME))
    assert [(row["cause"], row["consumer"], row["part"]) for row in letter.history] == [
        (f"cause {i}", worker.name, "0") for i in range(3)
    ]
    assert queue.store.image(job_id) == b"\xff" * 100, "a dead letter keeps its picture"
    assert queue.counters()["dead"] == 1
    queue.assert_closes()


def test_a_retry_waits_for_its_time(queue: Queue) -> None:
    queue.framed()
    slow = quick(queue.settings, retry_base_ms=60_000, retry_max_ms=120_000)
    with queue.using(FRAMES, settings=slow) as worker:
        worker.settle([Retry(read_until(worker)[0], "busy")])
        ((_, due),) = queue.client.zrange(queue.key("delayed"), 0, -1, withscores=True)
        seconds, micros = queue.client.time()
        assert 29_000 < due - (seconds * 1000 + micros / 1000) <= 60_000, "half of the pause is chance"
        worker._tend_at_s = 0.0  # as after a second
        assert worker.read(5, 10) == []
        queue.assert_closes()
        (member,) = queue.client.zrange(queue.key("delayed"), 0, -1)
        queue.client.zadd(queue.key("delayed"), {member: 0})
        worker._tend_at_s = 0.0
        (entry,) = read_until(worker)
        assert entry.attempt == 1
        worker.settle([complete(entry)])
    queue.assert_closes()


def test_a_cancelled_job_is_dropped_wherever_it_waits(queue: Queue) -> None:
    (in_uploads,) = queue.accept()
    queue.store.delete(in_uploads)
    with queue.using("uploads") as ingest:
        (entry,) = read_until(ingest)
        assert ingest.fetch_headers([entry], 16) == [b""]
        ingest.settle([Dropped(entry)])
    in_frames, delivered, delayed = queue.framed(3)
    with queue.using(FRAMES) as worker:
        entries = {entry.job_id: entry for entry in read_until(worker, 3)}
        worker.settle([HandedBack(entries[in_frames]), Retry(entries[delayed], "busy")])
        for job_id in (in_frames, delivered, delayed):
            queue.store.delete(job_id)
        assert worker.fetch([entries[delivered]]) == [None]
        worker.settle([complete(entries[delivered])])
        (entry,) = read_until(worker)
        assert worker.fetch([entry]) == [None]
        worker.settle([Dropped(entry)])
        worker._tend_at_s = 0.0
        assert worker.read(5, 10) == []
    assert queue.client.zcard(queue.key("delayed")) == 0
    assert queue.client.xlen(queue.key(FRAMES)) == 0
    assert queue.counters()["cancelled"] == 4
    assert {job.status for job in queue.store.list()[0]} == {"cancelled"}
    queue.assert_closes()


def test_handing_back_costs_no_attempt_up_to_a_number(queue: Queue) -> None:
    (job_id,) = queue.framed()
    with queue.using(FRAMES, settings=quick(queue.settings, max_hand_backs=2)) as worker:
        for _ in range(2):
            worker.settle([HandedBack(read_until(worker)[0])])
            assert queue.store.get(job_id).attempts == 0
        for attempt in (1, 2):
            for _ in range(3 if attempt > 1 else 1):
                entry = read_until(worker)[0]
                worker.settle([HandedBack(entry)])
            assert queue.store.get(job_id).attempts == attempt
            queue.assert_closes()
        for _ in range(3):
            worker.settle([HandedBack(read_until(worker)[0])])
    assert queue.store.status(job_id) == "dead", "nothing circulates for ever"
    assert queue.store.dead_letters()[0][0].cause == "handed back too often"
    queue.assert_closes()


def test_hand_back_keeps_the_attempts_that_were_counted(queue: Queue) -> None:
    queue.framed()
    with queue.using(FRAMES) as worker:
        worker.settle([Retry(read_until(worker)[0], "busy")])
        worker.settle([HandedBack(read_until(worker)[0])])
        assert read_until(worker)[0].attempt == 1


def test_a_batch_settles_every_kind_at_once(queue: Queue) -> None:
    ids = queue.framed(6)
    with queue.using(FRAMES) as worker:
        a, b, c, d, e, f = read_until(worker, 6)
        queue.store.delete(e.job_id)
        worker.settle(
            [complete(a), Failed(b, "x", "y"), Retry(c, "z"), HandedBack(d), Dropped(e), Advanced(f, RESULT, {})]
        )
        assert worker.held == 0
        assert [queue.store.status(i) for i in ids] == ["done", "failed", "running", "running", "cancelled", "done"]
        queue.assert_closes()
    queue.drain()
    queue.assert_closes()


def test_five_hundred_at_once_and_more(queue: Queue) -> None:
    """More than one script call's worth, so that chunks meet."""
    ids: list[str] = []
    for _ in range(36):
        ids += [job.id for job in queue.store.accept([upload(10)] * 32)]
    with queue.using("uploads") as ingest, queue.using(FRAMES) as worker:
        entries = read_until(ingest, len(ids), count=len(ids))
        ingest.settle([route(entry) for entry in entries])
        entries = read_until(worker, len(ids), count=len(ids))
        worker.settle([complete(entry) for entry in entries])
    assert queue.counters()["done"] == len(ids) == 1152
    queue.assert_closes()


def test_an_announcement_wakes_who_waits_for_that_job(queue: Queue) -> None:
    waits = Announcements(queue.store)
    (job_id,) = queue.framed()

    def done() -> str | None:
        return "done" if queue.store.status(job_id) == "done" else None

    assert waits.wait(job_id, 0.01, done) is None
    with ThreadPoolExecutor(1) as pool, queue.using(FRAMES) as worker:
        answer = pool.submit(waits.wait, job_id, 20, done)
        until(lambda: waits.waiting)
        until(lambda: queue.client.pubsub_numsub(queue.key("announce"))[0][1])
        work(worker, complete, block_ms=1000)
        assert answer.result(timeout=0.9) == "done", "woken, not by the reading once a second"
    assert waits.waiting == 0
    waits.close()
