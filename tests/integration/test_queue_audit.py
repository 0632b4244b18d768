"""The audit closes on every healthy state, and names each kind of damage with the job's id."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from tests.support.queue import FRAMES, Queue, complete, quick, read_until, work

from drag_shared import audit as audit_module
from drag_shared.audit import audit
from drag_shared.config import environment_of
from drag_shared.outcomes import Failed, Retry

pytestmark = [pytest.mark.integration, pytest.mark.both_servers]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "PAUSE_S", 0.0)


def furnish(queue: Queue) -> dict[str, str]:
    """A job in every place where one can stand, by the name of the place."""
    jobs: dict[str, str] = {}
    jobs["done"], jobs["failed"], jobs["dead"], jobs["delayed"], jobs["held"] = queue.framed(5)
    slow = quick(queue.settings, retry_base_ms=60_000, retry_max_ms=60_000, lease_ms=60_000)
    worker = queue.consumer(FRAMES, settings=slow)
    entries = {entry.job_id: entry for entry in read_until(worker, 5)}
    worker.settle([complete(entries[jobs["done"]]), Failed(entries[jobs["failed"]], "x", "y")])
    worker.settle([Retry(entries[jobs["delayed"]], "busy")])
    worker.settings = quick(slow, max_attempts=1)
    worker.settle([Retry(entries[jobs["dead"]], "died")])
    (jobs["frames"],) = queue.framed()
    (jobs["uploads"],) = queue.accept()
    (jobs["cancelled"],) = queue.accept()
    queue.store.delete(jobs["cancelled"])
    return jobs


def test_it_closes_with_a_job_in_every_place(queue: Queue) -> None:
    queue.assert_closes()
    jobs = furnish(queue)
    report = audit(queue.store)
    assert report.problems == []
    assert report.closes
    assert report.partitions[0].ledger.open == 4
    assert queue.store.get(jobs["dead"]).status == "dead"


def _entry_of(queue: Queue, stream: str, job_id: str) -> tuple[bytes, dict[bytes, bytes]]:
    rows = queue.client.xrange(queue.key(stream))
    return next((i, fields) for i, fields in rows if fields[b"job"].decode() == job_id)


def delete_entry(stream: str) -> Callable[[Queue, str], object]:
    return lambda queue, job: queue.client.xdel(queue.key(stream), _entry_of(queue, stream, job)[0])


def duplicate_entry(stream: str) -> Callable[[Queue, str], object]:
    return lambda queue, job: queue.client.xadd(queue.key(stream), _entry_of(queue, stream, job)[1])


def set_field(**fields: str) -> Callable[[Queue, str], object]:
    return lambda queue, job: queue.client.hset(queue.key(f"job:{job}"), mapping=fields)


DAMAGE: dict[str, tuple[str, Callable[[Queue, str], object]]] = {
    "an upload's entry is gone": ("uploads", delete_entry("uploads")),
    "a frame's entry is gone": ("frames", delete_entry(FRAMES)),
    "a delivered entry is gone": ("held", delete_entry(FRAMES)),
    "an upload stands twice": ("uploads", duplicate_entry("uploads")),
    "a frame stands twice": ("frames", duplicate_entry(FRAMES)),
    "a retry is gone": ("delayed", lambda queue, _: queue.client.delete(queue.key("delayed"))),
    "not in open": ("frames", lambda queue, job: queue.client.zrem(queue.key("open"), job)),
    "in open though done": ("done", lambda queue, job: queue.client.zadd(queue.key("open"), {job: 1})),
    "done though open": ("frames", set_field(status="done")),
    "open though done": ("done", set_field(status="running")),
    "the record is gone": ("frames", lambda queue, job: queue.client.delete(queue.key(f"job:{job}"))),
    "the picture is gone": ("frames", lambda queue, job: queue.client.delete(queue.key(f"blob:{job}"))),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_it_names_the_job_that_was_damaged(queue: Queue, name: str) -> None:
    jobs = furnish(queue)
    place, damage = DAMAGE[name]
    damage(queue, jobs[place])
    report = audit(queue.store)
    assert not report.closes
    assert any(jobs[place] in problem for problem in report.problems), report.problems
    others = [job for other, job in jobs.items() if other != place]
    assert not any(job in problem for job in others for problem in report.problems), "the others are sound"


@pytest.mark.parametrize(
    "counter",
    ["accepted", "done", "failed", "dead", "cancelled", "open_bytes", "picture_bytes", "record_bytes", "dead_bytes"],
)
def test_it_sees_a_counter_that_is_off(queue: Queue, counter: str) -> None:
    furnish(queue)
    queue.client.hincrby(queue.key("ledger"), counter, 1)
    assert not audit(queue.store).closes
    queue.client.hincrby(queue.key("ledger"), counter, -1)
    queue.assert_closes()


def test_it_is_not_fooled_by_jobs_that_move_while_it_reads(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given work between the reading of the streams and that of the records: the second look tells."""
    queue.framed(3)
    worker = queue.consumer(FRAMES)
    places = audit_module._places

    def places_then_work(*args: object) -> object:
        answer = places(*args)  # type: ignore[arg-type]
        work(worker, lambda entry: Retry(entry, "busy"), count=1)
        queue.accept()
        return answer

    monkeypatch.setattr(audit_module, "_places", places_then_work)
    assert audit(queue.store).problems == []
    worker.close()


def test_pages_meet(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "PAGE", 7)
    ids = queue.framed(40)
    queue.assert_closes()
    delete_entry(FRAMES)(queue, ids[33])
    (problem,) = audit(queue.store).problems
    assert ids[33] in problem


def test_the_command_exits_1_and_names_the_job(queue: Queue) -> None:
    ids = queue.framed(2)
    env = {name: value for name, value in os.environ.items() if not name.startswith("DRAG_")}
    env |= environment_of(queue.settings)

    def command() -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "drag_shared.cli", "audit"]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=50, check=False)

    fine = command()
    assert (fine.returncode, "the ledger closes" in fine.stdout) == (0, True), fine.stdout + fine.stderr
    delete_entry(FRAMES)(queue, ids[0])
    broken = command()
    assert broken.returncode == 1
    assert ids[0] in broken.stdout
    assert ids[1] not in broken.stdout
