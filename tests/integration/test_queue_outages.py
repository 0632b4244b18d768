"""Redis goes away and comes back, in the middle of anything: each step is done once, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.integration.test_queue_messages import newer, replace_message
from tests.support.cutter import Cutter
from tests.support.queue import (
    FRAMES,
    Queue,
    complete,
    patiently,
    quick,
    read_until,
    route,
    until,
    upload,
    work,
)
from tests.support.servers import RedisServer

from drag_shared import scripts
from drag_shared.announce import Announcements
from drag_shared.config import Settings
from drag_shared.errors import Unavailable
from drag_shared.outcomes import Entry, Failed, HandedBack, Outcome, Retry

pytestmark = [pytest.mark.integration, pytest.mark.both_servers]


@pytest.fixture
def cutter(redis_server: RedisServer) -> Iterator[Cutter]:
    with Cutter(redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def cut_queue(queue: Queue, cutter: Cutter) -> Iterator[Queue]:
    """The same queue, seen through the proxy; leases long, so that only lost replies are at stake."""
    opened = Queue(queue.settings.model_copy(update={"redis_url": cutter.url, "lease_ms": 30_000}))
    assert opened.store.ping() > 0
    assert opened.store.limits.max_jobs  # asked for the partitions before anything is cut
    for name in ("accept", "route", "advance", "retry", "hand_back", "take_over"):
        opened.client.script_load(scripts.load(name).source)  # else the reply that is cut may be a NOSCRIPT
    yield opened
    opened.close()


# -- a connection cut in mid-message ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "after"), [("requests", 0), ("requests", 7), ("requests", 90_000), ("answers", 0), ("answers", 7)]
)
def test_accept_through_a_cut_gives_one_job(
    queue: Queue, cut_queue: Queue, cutter: Cutter, way: str, after: int
) -> None:
    cutter.cut_after(**{way: after}, word=b"EVALSHA")  # type: ignore[arg-type]
    (job,) = cut_queue.store.accept([upload(200_000)])
    assert cutter.cuts == 1, "nothing was cut: the test proved nothing"
    assert queue.counters()["accepted"] == 1
    assert queue.client.xlen(queue.key("uploads")) == 1
    assert queue.store.image(job.id) == b"\xff" * 200_000
    queue.drain()
    queue.assert_closes()


@pytest.mark.parametrize("after", [0, 3, 40])
def test_a_lost_read_reply_is_found_again_uncounted(queue: Queue, cut_queue: Queue, cutter: Cutter, after: int) -> None:
    ids = queue.framed(3)
    worker = cut_queue.consumer(FRAMES)
    worker._join()
    cutter.cut_after(answers=after, word=b"XREADGROUP")
    with pytest.raises(Unavailable):
        worker.read(5, 50)
    assert (cutter.cuts, worker.held) == (1, 0)
    assert queue.pending(FRAMES) == 3, "they were delivered to us, and we do not know it"
    seen = []
    for _ in ids:
        (entry,) = read_until(worker)
        seen.append(entry.job_id)
        worker.settle([complete(entry)])
    assert seen == ids
    assert {job.attempts for job in queue.store.list()[0]} == {0}
    worker.close()
    queue.assert_closes()


def test_an_outage_while_a_batch_is_sorted_holds_nothing_back(queue: Queue, cut_queue: Queue, cutter: Cutter) -> None:
    newer_id, fine = queue.framed(2)
    replace_message(queue, newer_id, newer())
    worker = cut_queue.consumer(FRAMES)
    worker._join()
    worker._tend_at_s = time.monotonic() + 60  # so that the next script is the newer message's hand-back
    cutter.cut_after(answers=0, word=b"EVALSHA")
    with pytest.raises(Unavailable):
        worker.read(5, 50)
    assert (cutter.cuts, worker.held) == (1, 0)
    (entry,) = read_until(worker)
    assert entry.job_id == fine
    worker.settle([complete(entry)])
    worker.close()
    queue.assert_closes()


def test_closing_after_a_lost_read_reply_leaves_nothing_pending(queue: Queue, cut_queue: Queue, cutter: Cutter) -> None:
    queue.framed(3)
    worker = cut_queue.consumer(FRAMES)
    worker._join()
    cutter.cut_after(answers=0, word=b"XREADGROUP")
    with pytest.raises(Unavailable):
        worker.read(5, 50)
    worker.close()
    assert queue.pending(FRAMES) == 0
    assert queue.client.xinfo_consumers(queue.key(FRAMES), "inference") == []
    queue.drain()
    assert {job.attempts for job in queue.store.list()[0]} == {0}
    queue.assert_closes()


OUTCOMES: dict[str, Callable[[Entry], Outcome]] = {
    "advanced": complete,
    "failed": lambda entry: Failed(entry, "x", "y"),
    "retry": lambda entry: Retry(entry, "busy"),
    "handed back": HandedBack,
}


@pytest.mark.parametrize("name", OUTCOMES)
@pytest.mark.parametrize("way", ["requests", "answers"])
def test_settling_through_a_cut_happens_once(
    queue: Queue, cut_queue: Queue, cutter: Cutter, name: str, way: str
) -> None:
    (job_id,) = queue.framed()
    worker = cut_queue.consumer(FRAMES)
    (entry,) = read_until(worker)
    cutter.cut_after(**{way: 0 if way == "answers" else 60}, word=b"EVALSHA")  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        worker.settle([OUTCOMES[name](entry)])
    assert (cutter.cuts, worker.held) == (1, 1), "what is not known to be settled is held on"
    worker.settle([OUTCOMES[name](entry)])
    assert worker.held == 0
    queue.assert_closes()
    assert queue.store.get(job_id).attempts == (name == "retry")
    worker.close()
    queue.drain()
    counters = queue.counters()
    assert counters.get("done", 0) + counters.get("failed", 0) == 1
    queue.assert_closes()


def test_routing_through_a_cut_happens_once(queue: Queue, cut_queue: Queue, cutter: Cutter) -> None:
    queue.accept(5)
    ingest = cut_queue.consumer("uploads")
    entries = read_until(ingest, 5)
    cutter.cut_after(answers=1, word=b"EVALSHA")
    with pytest.raises(Unavailable):
        ingest.settle([route(entry) for entry in entries])
    ingest.settle([route(entry) for entry in entries])
    assert queue.client.xlen(queue.key(FRAMES)) == 5
    queue.drain()
    queue.assert_closes()


def test_a_lost_take_over_counts_one_attempt(queue: Queue, cut_queue: Queue, cutter: Cutter) -> None:
    (job_id,) = queue.framed()
    read_until(queue.consumer(FRAMES, "dead"))
    name = queue.key(FRAMES)
    (row,) = queue.client.xpending_range(name, "inference", "-", "+", 1)
    queue.client.xclaim(name, "inference", "dead", 0, [row["message_id"]], idle=120_000, justid=True)
    worker = cut_queue.consumer(FRAMES)
    worker._join()
    worker._orphans, worker._tend_at_s = True, time.monotonic() + 60
    cutter.cut_after(answers=0, word=b"EVALSHA")
    with pytest.raises(Unavailable):
        worker.read(5, 20)
    assert cutter.cuts == 1
    (entry,) = read_until(worker)
    assert (entry.job_id, queue.store.get(job_id).attempts) == (job_id, 1)
    worker.settle([complete(entry)])
    queue.assert_closes()


def test_whoever_waits_hears_of_the_end_after_a_cut(queue: Queue, cut_queue: Queue, cutter: Cutter) -> None:
    (job_id,) = queue.framed()
    waits = Announcements(cut_queue.store)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(
            waits.wait, job_id, 20, lambda: patiently(lambda: cut_queue.store.status(job_id)) == "done" or None
        )
        until(lambda: queue.client.pubsub_numsub(queue.key("announce"))[0][1])
        cutter.cut_all()
        queue.drain()
        assert answer.result(timeout=5) is True
    waits.close()


# -- the server is killed and comes back ------------------------------------------------------------------------------


@pytest.fixture
def durable(redis_server: RedisServer, settings: Settings) -> Iterator[Queue]:
    """A queue on a server with an append-only file, as `DRAG_DURABILITY=always` has it."""
    redis_server.kill()
    redis_server.options |= {"appendonly": "yes", "appendfsync": "always"}
    redis_server.start()
    opened = Queue(quick(settings))
    yield opened
    opened.close()


def test_a_kill_between_any_two_steps_loses_nothing(durable: Queue, redis_server: RedisServer) -> None:
    def crash() -> None:
        redis_server.kill()
        redis_server.start()
        patiently(durable.store.ping)
        durable.assert_closes()

    ids = durable.accept(4)
    crash()
    ingest, worker = durable.consumer("uploads"), durable.consumer(FRAMES)
    uploads = read_until(ingest, 4)
    crash()
    patiently(lambda: ingest.settle([route(entry) for entry in uploads]))
    crash()
    first, second, third, fourth = read_until(worker, 4)
    crash()
    patiently(worker.renew)
    patiently(lambda: worker.settle([complete(first), Retry(second, "busy")]))
    crash()
    patiently(lambda: worker.settle([Retry(second, "busy"), HandedBack(third)]))
    durable.store.delete(fourth.job_id)
    crash()
    patiently(lambda: worker.settle([complete(fourth)]))
    while len(done := [i for i in ids if durable.store.status(i) == "done"]) < 3:
        patiently(lambda: work(worker, complete))
    assert fourth.job_id not in done
    assert [durable.store.get(i).attempts for i in ids] == [0, 1, 0, 0]
    crash()
    worker.close()
    ingest.close()
    assert durable.counters()["done"] == 3
    durable.assert_closes()


def test_a_reader_that_waits_survives_the_kill(durable: Queue, redis_server: RedisServer) -> None:
    worker = durable.consumer(FRAMES)
    assert worker.read(1, 1) == []
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(worker.read, 1, 8000)
        until(lambda: durable.client.info("clients")["blocked_clients"] == 1)
        redis_server.kill()
        with pytest.raises(Unavailable):
            reading.result(timeout=5)
    with pytest.raises(Unavailable):
        worker.read(1, 10)
    with pytest.raises(Unavailable):
        durable.store.accept([upload()])
    redis_server.start()
    patiently(durable.store.ping)
    (job_id,) = durable.framed()
    (entry,) = read_until(worker)
    worker.settle([complete(entry)])
    assert durable.store.status(job_id) == "done"
    worker.close()
    durable.assert_closes()


def test_accept_waits_out_a_short_outage(durable: Queue, redis_server: RedisServer) -> None:
    durable.accept()
    redis_server.kill()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(durable.store.accept, [upload()])
        redis_server.start()
        assert durable.store.get(answer.result(timeout=5)[0].id).status == "queued"
    durable.assert_closes()


def test_after_a_reconnect_nobody_claims_for_one_lease(durable: Queue, redis_server: RedisServer) -> None:
    """Given an outage longer than a lease, in which nobody could renew: the living get their lease to say so."""
    settings = quick(durable.settings, lease_ms=2000)
    (job_id,) = durable.framed()
    alive, other = durable.consumer(FRAMES, "alive", settings), durable.consumer(FRAMES, "other", settings)
    (entry,) = read_until(alive)
    assert other.read(1, 1) == []
    other._claim_at_s = 0.0
    name = durable.key(FRAMES)
    durable.client.xclaim(name, "inference", "alive", 0, [entry.entry_id], idle=120_000, justid=True)
    other._orphans = True  # noticed just before the outage
    redis_server.kill()
    with pytest.raises(Unavailable):
        other.read(1, 10)
    redis_server.start()
    back = time.monotonic()
    while time.monotonic() - back < 1.0:
        assert patiently(lambda: other.read(1, 20)) == []
    joined_late = durable.consumer(FRAMES, "late", settings)
    assert patiently(lambda: joined_late.read(1, 20)) == []
    assert patiently(alive.renew) == set()
    alive.settle([complete(entry)])
    assert durable.store.get(job_id).attempts == 0


def test_an_outage_that_only_the_heartbeat_saw_counts_too(queue: Queue, redis_server: RedisServer) -> None:
    queue.framed()
    worker = queue.consumer(FRAMES)
    read_until(worker)
    worker._orphans, worker._claim_at_s = True, 0.0
    redis_server.kill()
    with pytest.raises(Unavailable):
        worker.renew()
    assert not worker._orphans
    assert worker._claim_at_s > time.monotonic()


def test_a_server_that_lost_its_data_is_served_on(queue: Queue, redis_server: RedisServer) -> None:
    ids = queue.framed(4)
    worker = queue.consumer(FRAMES)
    held = read_until(worker, 4)
    redis_server.kill()
    redis_server.start()  # no append-only file: empty
    patiently(worker.renew)
    worker.settle([complete(held[0]), Retry(held[1], "x"), HandedBack(held[2]), Failed(held[3], "x", "y")])
    assert patiently(lambda: worker.read(1, 10)) == []
    (job_id,) = queue.framed()
    (entry,) = read_until(worker)
    assert entry.job_id == job_id
    assert job_id not in ids
    worker.settle([complete(entry)])
    worker.close()
    queue.assert_closes()
