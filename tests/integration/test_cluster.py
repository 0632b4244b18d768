"""The same queue on a real Redis Cluster of three masters: three partitions, one on each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support import missing
from tests.support.cluster import Cluster
from tests.support.queue import FRAMES, Queue, complete, patiently, quick, route, until, upload, work
from tests.support.servers import binary

from drag_shared import consumer as consumer_module
from drag_shared.announce import Announcements
from drag_shared.config import Settings
from drag_shared.consumer import Consumer
from drag_shared.errors import KeyConflict, QueueFull, Unavailable, UnknownJob
from drag_shared.jobs import JobStore
from drag_shared.keys import PARTITIONS
from drag_shared.outcomes import Entry, Outcome, Retry
from drag_shared.queues import read_queues
from drag_shared.registry import Registry, WorkerInfo

pytestmark = [pytest.mark.integration, pytest.mark.both_servers, pytest.mark.timeout(120)]


@pytest.fixture
def cluster(redis_kind: str, tmp_path: Path) -> Iterator[Cluster]:
    if binary(redis_kind) is None:
        missing(f"a {redis_kind} server", "apt-get install redis-server")
    with Cluster(redis_kind, tmp_path) as three:
        yield three


@pytest.fixture
def queue(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setattr(consumer_module, "TEND_EVERY_S", 0.05)
    opened = Queue(quick(Settings(redis_url=cluster.url, partitions=3), lease_ms=1000))
    yield opened
    opened.close()


def open_jobs(queue: Queue) -> int:
    return sum(queue.client.zcard(keys.key("open")) for keys in queue.store.partitions)


def finish_all(queue: Queue, ingest: Consumer, worker: Consumer) -> None:
    def step() -> bool:
        patiently(lambda: work(ingest, route), 30)
        patiently(lambda: work(worker, complete), 30)
        return bool(patiently(lambda: open_jobs(queue) == 0, 30))

    until(step, 40)


def test_the_partitions_lie_on_three_masters(queue: Queue, cluster: Cluster) -> None:
    queue.accept(30)
    found = []
    for master in cluster.masters:
        with master.client() as client:
            found.append({name.split(b":")[1] for name in client.keys("*")} - {b"{control}"})
    assert sorted(found, key=sorted) == [{b"{g0}"}, {b"{g1}"}, {b"{g2}"}]


def test_jobs_go_their_way_in_every_partition(queue: Queue) -> None:
    ids = queue.accept(30)
    assert {int(job_id.partition("-")[0]) for job_id in ids} == {0, 1, 2}
    waits = Announcements(queue.store)
    with queue.using("uploads") as ingest, queue.using(FRAMES) as worker, ThreadPoolExecutor(3) as pool:
        picked = [next(i for i in ids if i.startswith(f"{number}-")) for number in range(3)]
        answers = [
            pool.submit(waits.wait, i, 20, lambda i=i: queue.store.status(i) == "done" or None)  # type: ignore[misc]
            for i in picked
        ]
        until(lambda: waits.waiting == 3)
        finish_all(queue, ingest, worker)
        assert [answer.result(timeout=5) for answer in answers] == [True] * 3
    waits.close()
    assert {queue.store.status(job_id) for job_id in ids} == {"done"}
    assert queue.store.image(ids[0]) == b"\xff" * 100
    state = read_queues(queue.store)
    assert (state.open_jobs, state.counters["done"], state.counters["accepted"]) == (0, 30, 30)
    for keys in queue.store.partitions:
        assert queue.client.xinfo_consumers(keys.key(FRAMES), "inference") == []
    queue.assert_closes()


def test_lists_dead_letters_and_keys_span_the_partitions(queue: Queue) -> None:
    same = {queue.store.accept([upload()], "a key")[0].id for _ in range(3)}
    assert len(same) == 1
    with pytest.raises(KeyConflict):
        queue.store.accept([upload(101)], "a key")
    ids = sorted([*same, *queue.accept(20)], key=lambda job_id: job_id.partition("-")[2], reverse=True)
    pages: list[str] = []
    cursor = None
    while True:
        page, cursor = queue.store.list(4, cursor)
        pages += [job.id for job in page]
        if cursor is None:
            break
    assert pages == ids
    with pytest.raises(UnknownJob):
        queue.store.get("7" + ids[0][1:])

    def bury(entry: Entry) -> Outcome:
        return Retry(entry, "died")

    with queue.using("uploads", settings=quick(queue.settings, max_attempts=1)) as ingest:
        until(lambda: work(ingest, bury) is None or open_jobs(queue) == 0)
    letters, cursor = queue.store.dead_letters(8)
    while cursor is not None:
        page_of_letters, cursor = queue.store.dead_letters(8, cursor)
        letters += page_of_letters
    assert sorted(letter.job_id for letter in letters) == sorted(ids)
    for letter in letters[::2]:
        queue.store.requeue(letter.id)
    for letter in letters[1::2]:
        queue.store.drop(letter.id)
    queue.assert_closes()
    with queue.using("uploads") as ingest, queue.using(FRAMES) as worker:
        finish_all(queue, ingest, worker)
    queue.assert_closes()


def test_a_master_killed_and_restarted_meanwhile(queue: Queue, cluster: Cluster) -> None:
    """Given work in all partitions and one master gone: its jobs wait, the others go on, and everything ends."""
    ids = queue.accept(30)
    ingest, worker = queue.consumer("uploads"), queue.consumer(FRAMES)
    until(lambda: work(ingest, route) is None or queue.client.xlen(queue.key(FRAMES, 2)) > 0)
    held = patiently(lambda: worker.read(5, 100))
    cluster.masters[1].kill()
    accepted, refused = [], 0
    for _ in range(12):
        try:
            accepted += [job.id for job in queue.store.accept([upload()])]
        except Unavailable:
            refused += 1
            if refused == 2:
                break
    assert refused, "a partition without its master cannot take anything in"
    cluster.masters[1].start()
    cluster.wait_until_whole()
    patiently(lambda: worker.settle([complete(entry) for entry in held]), 30)
    finish_all(queue, ingest, worker)
    patiently(worker.close)
    patiently(ingest.close)
    assert {queue.store.status(job_id) for job_id in ids + accepted} == {"done"}
    queue.assert_closes()


def test_the_number_of_partitions_only_grows_and_shares_the_bounds(queue: Queue) -> None:
    assert len(queue.store.partitions) == 3
    fewer = JobStore.open(queue.settings.model_copy(update={"partitions": 1, "max_open_jobs": 9, "max_files": 1}))
    assert len(fewer.partitions) == 3
    assert int(queue.client.get(PARTITIONS)) == 3
    assert fewer.limits.max_jobs == 3

    def post(_: int) -> bool:
        try:
            return bool(fewer.accept([upload()]))
        except QueueFull:
            return False

    assert sum(post(number) for number in range(60)) == 9
    fewer.close()


def test_the_registry_works_there_too(queue: Queue) -> None:
    registry = Registry(queue.store.link)
    registry.beat(WorkerInfo("w1", "ingest", "host", 1, "ready", ""))
    (info,) = registry.workers()
    assert (info.name, info.is_ready) == ("w1", True)
    registry.leave("w1")
    assert registry.workers() == []
    assert queue.store.ping() > 0
