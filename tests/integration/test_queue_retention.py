"""Retention: ended jobs go after their time or past their bytes, oldest first; under endless load memory stays flat."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.support.queue import FRAMES, Queue, complete, quick, read_until, route, route_all, until, upload, work

from drag_shared import ids
from drag_shared.errors import GoneJob, QueueFull, Unavailable, UnknownJob
from drag_shared.jobs import JobStore
from drag_shared.outcomes import Advanced, Entry, Failed, HandedBack, Retry

pytestmark = [pytest.mark.integration, pytest.mark.both_servers]


def finish(queue: Queue, number: int, size: int = 100, result: Any = None, **changes: Any) -> list[str]:
    """Jobs that ended one after the other, under changed limits."""
    done = []
    settings = quick(queue.settings, **changes)
    with queue.using("uploads") as ingest, queue.using(FRAMES, settings=settings) as worker:
        for _ in range(number):
            done += queue.accept(1, size)
            route_all(ingest, 1)
            entry = read_until(worker)[0]
            worker.settle([Advanced(entry, result or {"gauges": []}, {})])
    return done


def test_pictures_past_their_budget_go_oldest_first_and_records_stay(queue: Queue) -> None:
    done = finish(queue, 6, size=1000, picture_budget_bytes=3500)
    for job_id in done[:3]:
        assert queue.store.get(job_id).status == "done"
        assert not queue.store.get(job_id).has_image
        with pytest.raises(GoneJob, match="DRAG_PICTURE_BUDGET_BYTES"):
            queue.store.image(job_id)
    for job_id in done[3:]:
        assert queue.store.image(job_id) == b"\xff" * 1000
    assert queue.counters()["picture_bytes"] == 3000
    queue.assert_closes()


def test_records_past_their_budget_go_oldest_first_and_are_gone_not_unknown(queue: Queue) -> None:
    done = finish(queue, 6, result={"x": "y" * 2000}, result_budget_bytes=9500)
    for job_id in done[:3]:
        for ask in (queue.store.get, queue.store.status, queue.store.image, queue.store.delete):
            with pytest.raises(GoneJob, match="past retention"):
                ask(job_id)
    assert {queue.store.status(job_id) for job_id in done[3:]} == {"done"}
    with pytest.raises(UnknownJob):
        queue.store.get(ids.new_job_id(0, int(time.time() * 1000) + 60_000))
    assert queue.client.zcard(queue.key("jobs")) == 3
    assert [job.id for job in queue.store.list()[0]] == done[:2:-1]
    queue.assert_closes()


def test_the_time_to_live_starts_at_the_end_and_open_jobs_never_expire(queue: Queue) -> None:
    short = quick(queue.settings, result_ttl_s=1)
    (open_job,) = queue.framed()
    started = time.monotonic()
    with queue.using(FRAMES, settings=short) as worker:
        entry = read_until(worker)[0]
        until(lambda: worker.renew() or time.monotonic() > started + 1.2)
        worker._tend()
        assert queue.store.status(open_job) == "running", "unfinished jobs never expire"
        worker.settle([complete(entry)])
        ended = time.monotonic()
        assert queue.store.status(open_job) == "done", "the time starts now"

        def gone() -> bool:
            worker.read(1, 20)
            try:
                queue.store.get(open_job)
            except GoneJob:
                return True
            return False

        until(gone)
        assert time.monotonic() - ended > 0.95
    assert [name for name in queue.client.keys("*") if open_job.encode() in name] == []
    queue.assert_closes()


def test_failed_and_cancelled_jobs_are_kept_within_the_same_budgets(queue: Queue) -> None:
    for _ in range(20):
        queue.store.delete(queue.accept()[0])
    small = quick(queue.settings, result_budget_bytes=5000)
    with queue.using(FRAMES, settings=small) as worker:
        worker._join()
        worker._tend()
    assert queue.client.zcard(queue.key("jobs")) == 5
    assert queue.counters()["record_bytes"] <= 5000
    with queue.using("uploads") as ingest:
        until(lambda: not work(ingest, route, count=100) and not queue.client.xlen(queue.key("uploads")))
    assert queue.counters()["cancelled"] == 20
    queue.assert_closes()


def test_memory_stays_flat_under_endless_load(queue: Queue) -> None:
    """Thousands of jobs of every ending, through small budgets: keys and bytes stop growing."""
    changes = {"picture_budget_bytes": 200_000, "result_budget_bytes": 100_000, "dead_budget_bytes": 100_000}
    settings = quick(queue.settings, max_attempts=1, **changes)
    seen: list[tuple[int, int]] = []

    def end(entry: Entry) -> Any:
        kind = int(entry.job_id[-1], 36) % 16
        return Retry(entry, "x" * 50) if kind == 0 else complete(entry)

    with queue.using("uploads", settings=settings) as ingest, queue.using(FRAMES, settings=settings) as worker:
        for lap in range(10):
            for batch in range(3):
                jobs = queue.store.accept([upload(2000)] * 100, f"{lap}.{batch}" if batch % 2 else None)
                queue.store.delete(jobs[0].id)
                until(lambda: not work(ingest, route, count=100) and not queue.client.xlen(queue.key("uploads")))
                until(lambda: not work(worker, end, count=100) and not queue.client.xlen(queue.key(FRAMES)))
            worker._tend()
            used = int(queue.client.info("memory")["used_memory"])
            seen.append((queue.client.dbsize(), used))
    assert queue.counters()["accepted"] == 3000
    early = seen[3]
    assert max(keys for keys, _ in seen[4:]) <= early[0] * 1.15, seen
    assert max(used for _, used in seen[4:]) <= early[1] * 1.15 + 500_000, seen
    assert queue.counters()["dead"] > 100
    counters = queue.counters()
    for name, budget in (("picture", 200_000), ("record", 100_000), ("dead", 100_000)):
        assert counters[f"{name}_bytes"] <= budget
    queue.assert_closes()


def test_a_full_server_takes_nothing_in_and_finishes_what_it_accepted(queue: Queue) -> None:
    """Given a server at maxmemory that evicts nothing: everything but accepting and requeueing goes on."""
    dying = queue.framed(1, 20_000)
    with queue.using(FRAMES, settings=quick(queue.settings, max_attempts=1)) as worker:
        for entry in read_until(worker):
            worker.settle([Retry(entry, "died")])
    (letter,), _ = queue.store.dead_letters()
    assert letter.job_id == dying[0]
    done, failed, retried, cancelled, handed, orphaned = queue.accept(6, 20_000)
    used = int(queue.client.info("memory")["used_memory"])
    queue.client.config_set("maxmemory-policy", "noeviction")
    queue.client.config_set("maxmemory", used // 2)
    with pytest.raises(Unavailable) as refused:
        queue.store.accept([upload(1000)])
    assert refused.value.retry_after_s > 0
    with pytest.raises(Unavailable):
        queue.store.requeue(letter.id)
    with queue.using("uploads") as ingest, queue.using(FRAMES) as worker:
        route_all(ingest, 6)
        entries = {entry.job_id: entry for entry in read_until(worker, 6)}
        assert worker.renew() == set()
        queue.store.delete(cancelled)
        worker.settle(
            [
                complete(entries[done]),
                Failed(entries[failed], "x", "y"),
                Retry(entries[retried], "busy"),
                HandedBack(entries[handed]),
            ]
        )
        worker._held.clear()  # forgets `orphaned` and `cancelled`, as a crash does
        worker.close()
        with queue.using(FRAMES) as heir:
            until(
                lambda: (
                    work(heir, complete) is None
                    or all(queue.store.status(i) == "done" for i in (retried, handed, orphaned))
                )
            )
    assert [queue.store.status(i) for i in (done, failed, cancelled)] == ["done", "failed", "cancelled"]
    queue.store.drop(letter.id)
    queue.assert_closes()
    queue.client.config_set("maxmemory", 0)
    assert queue.accept()


def test_the_bounds_hold_while_many_post_at_once(queue: Queue) -> None:
    store = JobStore.open(quick(queue.settings, max_open_jobs=50, max_files=1))

    def post(_: int) -> bool:
        try:
            store.accept([upload(1000)])
        except QueueFull:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(200)))
    assert answers.count(True) == queue.client.zcard(queue.key("open")) == 50
    store.close()
    queue.drain()
    queue.assert_closes()
