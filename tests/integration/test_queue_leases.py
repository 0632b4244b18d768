"""Leases: what a dead or silent worker held is taken over, counted, alone; and nobody else's work ever is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.support.queue import FRAMES, Queue, complete, patiently, quick, read_until, route, until, work

from drag_shared.config import Settings
from drag_shared.consumer import Consumer
from drag_shared.outcomes import Advanced, Entry, Failed, HandedBack, Retry

pytestmark = [pytest.mark.integration, pytest.mark.both_servers]


@pytest.fixture
def calm(settings: Settings) -> Iterator[Queue]:
    """Leases far longer than a test: only what is aged by hand is ever taken over."""
    opened = Queue(quick(settings, lease_ms=60_000))
    yield opened
    opened.close()


def age(queue: Queue, stream: str = FRAMES, *entries: Entry) -> None:
    """Makes deliveries old, as if their consumers had been silent for a minute."""
    for entry in entries:
        name, owner = queue.key(stream), _owner(queue, entry)
        queue.client.xclaim(name, "inference", owner, 0, [entry.entry_id], idle=120_000, justid=True)


def look_for_orphans(worker: Consumer) -> None:
    """Makes its next read look at once, as it does every quarter of a lease."""
    worker._join()
    worker._claim_at_s = worker._tend_at_s = 0.0


def _owner(queue: Queue, entry: Entry) -> str:
    (row,) = queue.client.xpending_range(queue.key(entry.stream), "inference", entry.entry_id, entry.entry_id, 1)
    return str(row["consumer"].decode())


def test_what_a_dead_worker_held_is_taken_over_after_its_lease_one_at_a_time(calm: Queue) -> None:
    ids = calm.framed(3)
    dead = calm.consumer(FRAMES)
    held = read_until(dead, 3)
    with calm.using(FRAMES) as worker:
        assert worker.read(5, 20) == [], "the leases still run"
        age(calm, FRAMES, *held)
        look_for_orphans(worker)
        for job_id in ids:
            (entry,) = read_until(worker)
            assert (entry.job_id, entry.attempt) == (job_id, 1)
            assert worker.held == 1
            assert worker.read(5, 1) == [], "nothing else while one runs alone"
            worker.settle([complete(entry)])
        assert [calm.store.get(job_id).attempts for job_id in ids] == [1, 1, 1]
    assert {job.status for job in calm.store.list()[0]} == {"done"}
    calm.assert_closes()


def test_a_silent_worker_is_overtaken_by_the_clock_alone(queue: Queue) -> None:
    """No ageing by hand: 300 ms of real silence."""
    (job_id,) = queue.framed()
    read_until(queue.consumer(FRAMES))
    with queue.using(FRAMES) as worker:
        (entry,) = read_until(worker)
        assert (entry.job_id, entry.attempt) == (job_id, 1)
        worker.settle([complete(entry)])


def test_take_over_waits_until_the_worker_holds_nothing(calm: Queue) -> None:
    calm.framed(2)
    dead = calm.consumer(FRAMES)
    orphan = dead.read(1, 100)[0]
    with calm.using(FRAMES) as worker:
        (own,) = read_until(worker, 1, count=1)
        age(calm, FRAMES, orphan)
        look_for_orphans(worker)
        for _ in range(10):
            assert worker.read(1, 20) == []
            worker.renew()
        assert _owner(calm, orphan) == dead.name, "claimed too early: a crash now would count against it"
        worker.settle([complete(own)])
        (entry,) = read_until(worker)
        assert entry.job_id == orphan.job_id


def test_nothing_new_is_read_while_a_retry_runs_alone(queue: Queue) -> None:
    queue.framed(1)
    with queue.using(FRAMES) as worker:
        worker.settle([Retry(read_until(worker)[0], "busy")])
        (alone,) = read_until(worker)
        assert alone.attempt == 1
        fresh = queue.framed(2)
        for _ in range(5):
            assert worker.read(5, 20) == []
        assert worker.held == queue.pending(FRAMES) == 1, "new work would count an attempt if this one kills the worker"
        worker.settle([complete(alone)])
        assert [entry.job_id for entry in read_until(worker, 2)] == fresh


def test_several_due_retries_are_held_one_at_a_time(queue: Queue) -> None:
    ids = set(queue.framed(6))
    with queue.using(FRAMES) as worker:
        worker.settle([Retry(entry, "busy") for entry in read_until(worker, 6)])
        until(lambda: queue.client.zcard(queue.key("delayed")) == 0 or worker._tend() is not None or False)
        seen = []
        for _ in range(6):
            (entry,) = read_until(worker)
            assert worker.held == queue.pending(FRAMES) == 1
            seen.append(entry.job_id)
            worker.settle([complete(entry)])
        assert set(seen) == ids
    assert {job.attempts for job in queue.store.list()[0]} == {1}
    queue.assert_closes()


def test_a_picture_that_kills_its_workers_dies_and_takes_no_innocents_along(calm: Queue) -> None:
    ids = calm.framed(8)
    poison = ids[3]
    name = 0
    while calm.store.status(poison) != "dead":
        assert name < 10
        worker = calm.consumer(FRAMES, f"mortal-{name}")
        look_for_orphans(worker)
        name += 1
        while True:
            batch = work_or_die(worker, poison)
            if batch is None or calm.client.zcard(calm.key("open")) == 0:
                break
        for entry in list(worker._held.values()):
            age(calm, FRAMES, entry)
    (letter,), _ = calm.store.dead_letters()
    assert (letter.job_id, letter.attempts, len(letter.history)) == (poison, 3, 3)
    assert name == 4, "three workers died of it; the fourth buried it"
    calm.drain()
    jobs = {job.id: job for job in calm.store.list()[0]}
    assert {jobs[i].status for i in ids if i != poison} == {"done"}
    assert max(jobs[i].attempts for i in ids if i != poison) == 1
    calm.assert_closes()


def work_or_die(worker: Consumer, poison: str) -> list[Entry] | None:
    """A batch settled, or None when the poison was in it: the worker settles nothing any more."""
    batch = worker.read(8, 50)
    if any(entry.job_id == poison for entry in batch):
        return None
    worker.settle([complete(entry) for entry in batch])
    return batch


def test_the_cursor_is_followed_past_many_entries_and_deleted_ones(calm: Queue) -> None:
    """Given hundreds of live deliveries and deleted ones in front of the orphan: it is found, the others are spared."""
    ids = calm.framed(400)
    dead, alive = calm.consumer(FRAMES, "dead"), calm.consumer(FRAMES, "alive")
    deleted = read_until(dead, 150, count=150)
    living = read_until(alive, 249, count=249)
    (orphan,) = read_until(dead, 1, count=1)
    calm.client.xdel(calm.key(FRAMES), *(entry.entry_id for entry in deleted))
    age(calm, FRAMES, *deleted, orphan)
    assert orphan.job_id == ids[-1]
    with calm.using(FRAMES) as worker:
        look_for_orphans(worker)
        taken: list[Entry] = []
        while not taken:
            assert alive.renew() == set()
            taken = patiently(lambda: worker.read(5, 20))
        assert [(entry.job_id, entry.attempt) for entry in taken] == [(orphan.job_id, 1)]
        worker.settle([complete(taken[0])])
    assert {calm.store.get(entry.job_id).attempts for entry in living} == {0}


def test_two_that_claim_at_the_same_time_get_one_entry_once(calm: Queue) -> None:
    for _ in range(5):
        (job_id,) = calm.framed()
        held = read_until(calm.consumer(FRAMES))
        claimers = [calm.consumer(FRAMES) for _ in range(4)]
        for claimer in claimers:
            assert claimer.read(1, 1) == []
        age(calm, FRAMES, *held)
        together = threading.Barrier(4)

        def claim(claimer: Consumer, together: threading.Barrier = together) -> list[Entry]:
            claimer._orphans = True  # as all have just seen it
            together.wait(10)
            return claimer.read(5, 50)

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(claim, claimers))
        (entry,) = [entry for answer in answers for entry in answer]
        assert (entry.job_id, entry.attempt) == (job_id, 1)
        assert calm.store.get(job_id).attempts == 1
        winner = next(claimer for claimer, answer in zip(claimers, answers, strict=True) if answer)
        winner.settle([complete(entry)])
        for claimer in claimers:
            claimer.close()
    calm.assert_closes()


@pytest.mark.parametrize("late", ["advance", "fail", "retry", "hand back", "renew"])
@pytest.mark.parametrize("overtaker_ended", [False, True])
def test_a_paused_worker_wakes_after_its_lease_was_lost(calm: Queue, late: str, overtaker_ended: bool) -> None:
    (job_id,) = calm.framed()
    paused = calm.consumer(FRAMES, "paused")
    (old,) = read_until(paused)
    age(calm, FRAMES, old)
    with calm.using(FRAMES, name="overtaker") as worker:
        look_for_orphans(worker)
        (new,) = read_until(worker)
        if overtaker_ended:
            worker.settle([Advanced(new, {"by": "overtaker"}, {})])
        before = calm.client.xpending_range(calm.key(FRAMES), "inference", "-", "+", 10)
        match late:
            case "advance":
                paused.settle([Advanced(old, {"by": "paused"}, {})])
            case "fail":
                paused.settle([Failed(old, "x", "y")])
            case "retry":
                paused.settle([Retry(old, "too late")])
            case "hand back":
                paused.settle([HandedBack(old)])
            case "renew":
                assert paused.renew() == {job_id}
        assert paused.held == 0
        if late in ("retry", "hand back", "renew"):
            assert calm.store.get(job_id).attempts == 1, "only the take-over counts"
            now = calm.client.xpending_range(calm.key(FRAMES), "inference", "-", "+", 10)
            assert [(row["consumer"], row["message_id"]) for row in now] == [
                (row["consumer"], row["message_id"]) for row in before
            ]
        if not overtaker_ended:
            worker.settle([Advanced(new, {"by": "overtaker"}, {})])
    job = calm.store.get(job_id)
    first = "overtaker" if overtaker_ended or late not in ("advance", "fail") else "paused"
    if late == "fail" and first == "paused":
        assert (job.status, job.result) == ("failed", None)
    else:
        assert (job.status, job.result) == ("done", {"by": first})
    counters = calm.counters()
    assert counters.get("done", 0) + counters.get("failed", 0) == 1
    calm.assert_closes()


def test_renewed_leases_are_not_taken_over_however_long_the_work(queue: Queue) -> None:
    queue.framed(2)
    with queue.using(FRAMES) as worker, queue.using(FRAMES) as other:
        held = read_until(worker, 2)
        for _ in range(12):  # four leases
            assert worker.renew() == set()
            assert other.read(5, 100) == []
        worker.settle([complete(entry) for entry in held])
    assert {job.attempts for job in queue.store.list()[0]} == {0}


def test_renew_never_steals(calm: Queue) -> None:
    calm.framed()
    first, second = calm.consumer(FRAMES, "first"), calm.consumer(FRAMES, "second")
    (entry,) = read_until(first)
    second._held[0, entry.entry_id] = entry  # what a confused worker believes
    second.read(1, 1)
    assert second.renew() == {entry.job_id}
    assert second.held == 0
    assert _owner(calm, entry) == "first"
    assert first.renew() == set()


def test_close_leaves_no_consumer_and_nothing_pending(queue: Queue) -> None:
    ids = queue.framed(5)
    worker = queue.consumer(FRAMES)
    assert len(read_until(worker, 5)) == 5
    worker.close()
    assert queue.client.xinfo_consumers(queue.key(FRAMES), "inference") == []
    assert queue.pending(FRAMES) == 0
    assert worker.held == 0
    assert worker.read(5, 1000) == [], "a closed consumer reads nothing"
    with queue.using(FRAMES) as other:
        again = read_until(other, 5)
        assert {entry.job_id for entry in again} == set(ids)
        assert {entry.attempt for entry in again} == {0}
        other.settle([complete(entry) for entry in again])
    queue.assert_closes()


def test_close_while_another_thread_reads_leaves_nothing_either(queue: Queue) -> None:
    queue.framed(1)
    worker = queue.consumer(FRAMES)
    worker.settle([complete(entry) for entry in read_until(worker)])
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(worker.read, 5, 5000)
        until(lambda: b"xreadgroup" in b" ".join(str(c["cmd"]).encode() for c in queue.client.client_list()))
        worker.close()
        (job_id,) = queue.framed()  # wakes the reader, if it still waits
        assert reading.result(timeout=10) == []
    until(lambda: queue.pending(FRAMES) == 0)
    assert queue.client.xinfo_consumers(queue.key(FRAMES), "inference") == []
    queue.drain()
    assert queue.store.status(job_id) == "done"
    queue.assert_closes()


def test_dead_consumers_are_swept_and_those_with_work_never(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drag_shared.consumer.SWEEP_CONSUMERS_AFTER_LEASES", 1)
    queue.framed(1)
    empty, holding = queue.consumer(FRAMES, "empty"), queue.consumer(FRAMES, "holding")
    read_until(holding)
    assert empty.read(1, 1) == []
    slow = quick(queue.settings, lease_ms=400)
    with queue.using(FRAMES, name="sweeper", settings=slow) as sweeper:

        def names() -> set[str]:
            holding.renew()
            assert sweeper.read(1, 10) == []
            return {row["name"].decode() for row in queue.client.xinfo_consumers(queue.key(FRAMES), "inference")}

        until(lambda: "empty" not in names())
        assert "holding" in names()
    assert queue.pending(FRAMES) == 1


def test_sweeping_never_strands_what_a_dead_consumer_held(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a dead consumer that is old enough to be swept before its work was taken over."""
    monkeypatch.setattr("drag_shared.consumer.SWEEP_CONSUMERS_AFTER_LEASES", 0)
    (job_id,) = queue.framed()
    read_until(queue.consumer(FRAMES, "dead"))
    with queue.using(FRAMES) as worker:
        (entry,) = read_until(worker)
        assert entry.job_id == job_id
        worker.settle([complete(entry)])
    assert queue.store.status(job_id) == "done"
    queue.assert_closes()


def test_a_swept_consumer_that_was_only_slow_goes_on(queue: Queue) -> None:
    queue.framed(1)
    worker = queue.consumer(FRAMES, "slow")
    worker.settle([complete(entry) for entry in read_until(worker)])
    queue.client.xgroup_delconsumer(queue.key(FRAMES), "inference", "slow")
    (job_id,) = queue.framed(1)
    (entry,) = read_until(worker)
    worker.settle([complete(entry)])
    assert queue.store.status(job_id) == "done"


def test_work_that_hangs_is_renewed_no_more(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drag_shared.consumer.HELD_AT_MOST_S", 0.2)
    (job_id,) = queue.framed()
    hanging = queue.consumer(FRAMES)
    read_until(hanging)
    with queue.using(FRAMES) as worker:
        taken: list[Entry] = []
        while not taken:
            hanging.renew()
            taken = worker.read(1, 20)
        assert (taken[0].job_id, taken[0].attempt) == (job_id, 1)
        worker.settle([complete(taken[0])])
    assert work(hanging, complete) == []


def test_a_late_copy_of_a_routed_upload_changes_nothing(queue: Queue) -> None:
    """One worker is silent, another takes its upload over and puts off a retry, then the first one's routing comes."""
    (job_id,) = queue.accept()
    silent = queue.consumer("uploads")
    (late,) = silent.read(1, 100)
    with queue.using("uploads") as other:
        (entry,) = read_until(other)
        other.settle([Retry(entry, "a pipeline that this worker does not know")])
        silent.settle([route(late)])
        assert queue.store.status(job_id) == "running"
        until(lambda: _tended(other) and queue.client.zcard(queue.key("delayed")) == 0)
        assert other.read(1, 50) == []
    with queue.using(FRAMES) as worker:
        (entry,) = read_until(worker)
        worker.settle([complete(entry)])
    assert queue.store.status(job_id) == "done"
    silent.close()
    queue.assert_closes()


def _tended(consumer: Consumer) -> bool:
    consumer._tend_at_s = 0.0
    return consumer.read(1, 5) == []
