"""Taking jobs in: all or none, within bounds, once for each idempotency key."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.support.queue import FRAMES, Queue, complete, quick, read_until, route_all, upload, work

from drag_shared import ids
from drag_shared.errors import GoneJob, KeyConflict, QueueFull, UnknownJob
from drag_shared.jobs import JobStore

pytestmark = [pytest.mark.integration, pytest.mark.both_servers]


def test_an_accepted_job_is_there_at_once(queue: Queue) -> None:
    answered = queue.store.accept([upload(1234, "gauge ü.jpg")])[0]
    stored = queue.store.get(answered.id)
    assert (stored.status, stored.name, stored.size_bytes, stored.has_image) == ("queued", "gauge ü.jpg", 1234, True)
    assert (stored.pipeline, stored.media_type, stored.width_px, stored.height_px) == ("gauges", "image/jpeg", 640, 480)
    assert queue.store.status(answered.id) == "queued"
    assert queue.store.image(answered.id) == b"\xff" * 1234
    assert queue.store.list() == ([stored], None)
    queue.assert_closes()


def test_several_are_accepted_in_their_order(queue: Queue) -> None:
    jobs = queue.store.accept([upload(10 + i, f"{i}.jpg") for i in range(5)])
    assert [queue.store.get(job.id).name for job in jobs] == [f"{i}.jpg" for i in range(5)]
    assert [queue.store.get(job.id).size_bytes for job in jobs] == [10, 11, 12, 13, 14]
    queue.assert_closes()


@pytest.mark.parametrize(
    ("bound", "fits", "over"),
    [({"max_open_jobs": 3, "max_files": 1}, [10, 10, 10], [10]), ({"max_open_bytes": 100}, [60, 40], [1])],
    ids=["jobs", "bytes"],
)
def test_admission_stops_at_the_bound_and_opens_again(
    queue: Queue, bound: dict[str, int], fits: list[int], over: list[int]
) -> None:
    store = JobStore.open(quick(queue.settings, max_upload_bytes=50, **bound))
    for size in fits:
        store.accept([upload(size)])
    with pytest.raises(QueueFull, match="DRAG_MAX_OPEN") as refused:
        store.accept([upload(size) for size in over])
    assert refused.value.retry_after_s >= 1
    with pytest.raises(QueueFull):
        store.check_admission(1, over[0])
    queue.drain()
    store.accept([upload(size) for size in over])
    store.close()
    queue.assert_closes()


def test_a_batch_over_the_bound_leaves_nothing_behind(queue: Queue) -> None:
    store = JobStore.open(quick(queue.settings, max_open_jobs=3, max_files=1))
    store.accept([upload()])
    before = sorted(queue.client.keys("*"))
    with pytest.raises(QueueFull):
        store.accept([upload(), upload(), upload()], "a key")
    assert sorted(queue.client.keys("*")) == before
    assert queue.client.xlen(queue.key("uploads")) == 1
    assert len(store.accept([upload(), upload()], "a key")) == 2
    store.close()
    queue.assert_closes()


def test_the_same_key_gives_the_same_jobs(queue: Queue) -> None:
    first = queue.store.accept([upload(10), upload(20)], "k")
    queue.drain()
    again = queue.store.accept([upload(10), upload(20)], "k")
    assert [job.id for job in again] == [job.id for job in first]
    assert {job.status for job in again} == {"done"}
    assert queue.counters()["accepted"] == 2


@pytest.mark.parametrize("other", [upload(11), upload(10, fill=b"\x01"), upload(10, "b.jpg")])
def test_another_body_under_the_same_key_is_a_conflict(queue: Queue, other: object) -> None:
    queue.store.accept([upload(10)], "k")
    with pytest.raises(KeyConflict, match="'k'"):
        queue.store.accept([other], "k")  # type: ignore[list-item]
    assert queue.counters()["accepted"] == 1


def test_concurrent_posts_with_one_key_make_one_job(queue: Queue) -> None:
    together = threading.Barrier(8)
    queue.store.ping()

    def post(_: int) -> str:
        together.wait(10)
        return queue.store.accept([upload(50_000)], "same")[0].id

    with ThreadPoolExecutor(8) as pool:
        answered = set(pool.map(post, range(8)))
    assert len(answered) == 1
    assert queue.client.xlen(queue.key("uploads")) == 1
    queue.drain()
    queue.assert_closes()


def test_a_key_outlives_its_open_job_and_is_remembered_for_its_time_after(queue: Queue) -> None:
    store = JobStore.open(quick(queue.settings, idempotency_ttl_s=1))
    job_id = store.accept([upload()], "k")[0].id
    (name,) = queue.client.keys("*idempotency:*")
    assert queue.client.ttl(name) == -1
    worker_settings = quick(queue.settings, idempotency_ttl_s=1)
    with queue.using("uploads") as ingest, queue.using(FRAMES, settings=worker_settings) as worker:
        route_all(ingest, 1)
        assert work(worker, complete, block_ms=1000)
    assert 0 < queue.client.pttl(name) <= 1000
    queue.client.pexpire(name, 1)
    while queue.client.exists(name):
        pass
    assert store.accept([upload()], "k")[0].id != job_id
    store.close()
    queue.drain()
    queue.assert_closes()


def test_a_key_used_anew_is_not_forgotten_with_its_first_jobs(queue: Queue) -> None:
    """Given two jobs of one key, of which one was forgotten, and the key used anew; the other's end changes nothing."""
    ended, other = (job.id for job in queue.store.accept([upload(1), upload(2)], "k"))
    queue.store.delete(ended)
    (name,) = queue.client.keys("*idempotency:*")
    queue.client.delete(name)  # as the first one's retention does
    anew = queue.store.accept([upload(3)], "k")[0].id
    queue.store.delete(other)
    assert queue.client.pttl(name) == -1, "an open job's key never expires"
    assert queue.store.accept([upload(3)], "k")[0].id == anew


def test_sending_the_same_ids_again_changes_nothing(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = ids.new_job_id(0)
    monkeypatch.setattr(ids, "new_job_id", lambda *_: fixed)
    queue.store.accept([upload()])
    queue.store.accept([upload()])
    assert queue.counters()["accepted"] == 1
    assert queue.client.xlen(queue.key("uploads")) == 1
    with queue.using("uploads") as ingest:
        assert [entry.job_id for entry in read_until(ingest)] == [fixed]
    queue.assert_closes()


@pytest.mark.parametrize("wrong", ["", "x", "0-", "7-01hzzzzzzzzzzzzzzzzzzzzzzz", "0-01HZZZZZZZZZZZZZZZZZZZZZZZ", "ü"])
def test_what_was_never_known_is_unknown(queue: Queue, wrong: str) -> None:
    for ask in (queue.store.get, queue.store.status, queue.store.image, queue.store.delete):
        with pytest.raises(UnknownJob):
            ask(wrong)


def test_lists_are_newest_first_and_pages_meet(queue: Queue) -> None:
    accepted = []
    for _ in range(11):
        accepted += queue.accept()
    everything, cursor = queue.store.list(50)
    assert cursor is None
    assert sorted(job.id for job in everything) == sorted(accepted)
    assert [job.id for job in everything] == sorted((job.id for job in everything), reverse=True)
    pages, cursor = [], None
    while True:
        page, cursor = queue.store.list(4, cursor)
        pages += [job.id for job in page]
        if cursor is None:
            break
    assert pages == [job.id for job in everything]
    queue.store.delete(accepted[3])
    cancelled, _ = queue.store.list(50, status="cancelled")
    assert [job.id for job in cancelled] == [accepted[3]]
    with pytest.raises(UnknownJob, match="cursor"):
        queue.store.list(4, "rubbish")


def test_delete_cancels_an_open_job_and_empties_an_ended_one(queue: Queue) -> None:
    (done,) = queue.accept()
    queue.drain()
    assert queue.store.get(done).result is not None
    (cancelled,) = queue.accept()
    for job_id, status in ((done, "done"), (cancelled, "cancelled")):
        for _ in range(2):  # again changes nothing
            job = queue.store.delete(job_id)
            assert (job.status, job.result, job.has_image) == (status, None, False)
        with pytest.raises(GoneJob):
            queue.store.image(job_id)
    assert queue.counters()["cancelled"] == 1
    queue.assert_closes()
