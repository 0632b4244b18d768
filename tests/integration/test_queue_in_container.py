"""The queue on a Redis in a container, over a network that Docker made; skipped where Docker does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.queue import FRAMES, Queue, complete, quick, read_until, route_all, work

from drag_shared.config import Settings

pytestmark = [pytest.mark.integration]


@pytest.fixture
def contained(container_redis_url: str, tmp_path: Path) -> Iterator[Queue]:
    """The queue on the container's server, emptied."""
    opened = Queue(quick(Settings(redis_url=container_redis_url, data_dir=tmp_path), lease_ms=15_000))
    opened.client.flushall()
    yield opened
    opened.close()


def test_it_is_redis_7_and_not_of_this_machine(contained: Queue) -> None:
    info = contained.client.info("server")
    assert info["redis_version"].startswith("7.")
    assert info["process_id"] == 1, "the first process of a container, so no server that this machine runs itself"


def test_jobs_go_their_way_and_the_audit_closes(contained: Queue) -> None:
    ids = contained.accept(40, size=20_000)
    with contained.using("uploads") as ingest, contained.using(FRAMES) as worker:
        route_all(ingest, len(ids))
        done = 0
        while done < len(ids):
            done += len(work(worker, complete, block_ms=200))
    assert {contained.store.get(job_id).status for job_id in ids} == {"done"}
    assert contained.counters()["done"] == len(ids)
    contained.assert_closes()


def test_work_left_by_a_consumer_that_is_gone_is_taken_over(contained: Queue) -> None:
    (job_id,) = contained.framed()
    soon = quick(contained.settings)
    (entry,) = read_until(contained.consumer(FRAMES, settings=soon))
    assert entry.job_id == job_id
    with contained.using(FRAMES, settings=soon) as heir:
        (again,) = read_until(heir)
        assert (again.job_id, again.attempt) == (job_id, 1)
        heir.settle([complete(again)])
    assert contained.store.get(job_id).status == "done"
    contained.assert_closes()
