"""Messages that cannot be read, that a newer release wrote, or that are nobody's: none stops a worker, none is lost."""

from __future__ import annotations

import msgpack
import pytest
from tests.support.queue import FRAME, FRAMES, Queue, complete, read_until, until, work

from drag_shared import wire
from drag_shared.consumer import Consumer
from drag_shared.errors import GoneJob
from drag_shared.jobs import JobStore
from drag_shared.outcomes import Retry, Routed

pytestmark = [pytest.mark.integration, pytest.mark.both_servers]


def replace_message(queue: Queue, job_id: str, message: bytes, **fields: str) -> None:
    """Puts another message in place of the one that waits for a job in the model's stream."""
    name = queue.key(FRAMES)
    (old,) = (entry_id for entry_id, row in queue.client.xrange(name) if row[b"job"].decode() == job_id)
    queue.client.xadd(name, {"job": job_id, "part": "0", "attempt": "0", **fields, "m": message})
    queue.client.xdel(name, old)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (b"\xc1rubbish", {}),
        (b"", {}),
        (wire.pack(FRAME)[:-3], {}),
        (msgpack.packb({"v": 1, "kind": "frame"}), {}),
        (wire.pack(FRAME), {"attempt": "many"}),
    ],
    ids=["rubbish", "empty", "cut", "fields", "attempt"],
)
def test_a_broken_message_is_buried_with_its_bytes_and_the_worker_goes_on(
    queue: Queue, message: bytes, fields: dict[str, str]
) -> None:
    broken, fine = queue.framed(2)
    replace_message(queue, broken, message, **fields)
    with queue.using(FRAMES) as worker:
        (entry,) = read_until(worker)
        assert entry.job_id == fine
        worker.settle([complete(entry)])
        assert worker.read(5, 20) == []
        assert worker.held == 0
    assert queue.store.status(broken) == "dead"
    (letter,), _ = queue.store.dead_letters()
    assert (letter.job_id, letter.message, letter.attempts) == (broken, message, 1)
    assert letter.cause.startswith("broken message:")
    queue.assert_closes()


def test_a_broken_message_that_a_dead_worker_held_is_buried_too(queue: Queue) -> None:
    (job_id,) = queue.framed()
    with queue.using(FRAMES) as worker:
        worker._join()
    replace_message(queue, job_id, b"broken")
    queue.client.xreadgroup("inference", "dead", {queue.key(FRAMES): ">"})
    assert queue.pending(FRAMES) == 1
    with queue.using(FRAMES) as worker:
        until(lambda: worker.read(5, 20) or queue.store.status(job_id) == "dead")
    assert queue.pending(FRAMES) == 0
    queue.assert_closes()


def newer(version: int = wire.VERSION + 1) -> bytes:
    """A frame as a later release may write it."""
    values = msgpack.unpackb(wire.pack(FRAME)) | {"v": version, "colour_space": "srgb"}
    packed: bytes = msgpack.packb(values)
    return packed


def test_a_newer_message_is_handed_back_uncounted_and_the_worker_says_so(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drag_shared.consumer.NEWER_PAUSE_MS", 1)
    job_id, fine = queue.framed(2)
    replace_message(queue, job_id, newer())
    with queue.using(FRAMES) as worker:
        assert not worker.newer_seen
        (entry,) = read_until(worker)
        assert entry.job_id == fine
        worker.settle([complete(entry)])
        seen = 0
        while seen < 30:  # far more often than hand-backs may be
            worker._tend_at_s = 0.0
            before = queue.client.xinfo_stream(queue.key(FRAMES))["entries-added"]
            assert worker.read(5, 5) == []
            seen += queue.client.xinfo_stream(queue.key(FRAMES))["entries-added"] - before
        assert worker.newer_seen
        assert queue.store.get(job_id).attempts == 0
        assert queue.store.status(job_id) == "running"
        queue.assert_closes()
    monkeypatch.setattr(wire, "unpack", lambda data: FRAME)  # the upgraded worker
    with queue.using(FRAMES) as upgraded:
        (entry,) = read_until(upgraded)
        assert (entry.job_id, entry.attempt) == (job_id, 0)
        upgraded.settle([complete(entry)])
    assert queue.store.status(job_id) == "done"
    queue.assert_closes()


def test_hand_backs_of_newer_messages_use_up_nothing(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drag_shared.consumer.NEWER_PAUSE_MS", 0)
    (job_id,) = queue.framed()
    replace_message(queue, job_id, newer())
    with queue.using(FRAMES) as worker:
        for _ in range(5):
            assert worker.read(1, 20) == []
    assert queue.client.hget(queue.key(f"job:{job_id}"), "h:0") is None


@pytest.mark.parametrize("job", ["", "0-01hzzzzzzzzzzzzzzzzzzzzzzz", "not an id", "a\x00b"])
def test_a_broken_message_of_no_job_is_kept_as_evidence(queue: Queue, job: str) -> None:
    with queue.using(FRAMES) as worker:
        worker.read(1, 1)
        queue.client.xadd(queue.key(FRAMES), {"job": job, "part": "0", "m": b"alien"})
        assert worker.read(5, 100) == []
    (letter,), _ = queue.store.dead_letters()
    assert (letter.job_id, letter.message, letter.stream, letter.history) == ("", b"alien", FRAMES, [])
    with pytest.raises(GoneJob, match="no job"):
        queue.store.requeue(letter.id)
    queue.assert_closes()
    queue.store.drop(letter.id)
    assert queue.store.dead_letters() == ([], None)
    assert queue.counters()["dead_bytes"] == 0
    queue.assert_closes()


def test_an_entry_with_no_field_that_we_know_is_buried(queue: Queue) -> None:
    (job_id,) = queue.framed()
    queue.client.xadd(queue.key(FRAMES), {"what": "ever"})
    with queue.using(FRAMES) as worker:
        (entry,) = read_until(worker)
        worker.settle([complete(entry)])
        worker.read(5, 20)
    assert queue.store.status(job_id) == "done"
    assert queue.client.xlen(queue.key(FRAMES)) == 0
    assert queue.client.xlen(queue.key("dead")) == 1
    queue.assert_closes()


def test_a_fine_message_of_no_job_is_dropped(queue: Queue) -> None:
    with queue.using(FRAMES) as worker:
        worker.read(1, 1)
        queue.client.xadd(
            queue.key(FRAMES), {"job": "0-01hzzzzzzzzzzzzzzzzzzzzzzz", "part": "0", "m": wire.pack(FRAME)}
        )
        (entry,) = read_until(worker)
        assert worker.fetch([entry]) == [None]
        worker.settle([complete(entry)])
    assert queue.client.xlen(queue.key(FRAMES)) == 0
    assert queue.counters().get("done", 0) == 0
    queue.assert_closes()


def test_an_entry_planted_for_a_job_gives_it_no_second_result(queue: Queue) -> None:
    (job_id,) = queue.framed()
    queue.client.xadd(queue.key(FRAMES), {"job": job_id, "part": "0", "attempt": "0", "m": wire.pack(FRAME)})
    with queue.using(FRAMES) as worker:
        for entry in read_until(worker, 2):
            worker.settle([complete(entry)])
    assert queue.counters()["done"] == 1
    queue.assert_closes()


def test_a_retried_job_keeps_its_very_message(queue: Queue) -> None:
    """Messages of every length go through Lua's own msgpack when they wait for their time."""
    (job_id,) = queue.accept()
    long = wire.FrameMessage("image/" + "x" * 300, 1, 2, 8, 70_000, 0.25)
    with queue.using("uploads") as ingest, queue.using(FRAMES) as worker:
        ingest.settle([Routed(read_until(ingest)[0], "m", long)])
        worker.settle([Retry(read_until(worker)[0], "ü" * 300)])
        (entry,) = read_until(worker)
        assert entry.message == long
        worker.settle([complete(entry)])
    assert queue.store.status(job_id) == "done"


def test_one_worker_meets_everything_at_once(queue: Queue) -> None:
    ids = queue.framed(5)
    replace_message(queue, ids[0], b"broken")
    replace_message(queue, ids[1], newer())
    queue.store.delete(ids[2])
    with queue.using(FRAMES) as worker:
        _finish(worker, queue.store, ids[3:])
    assert [queue.store.status(i) for i in ids] == ["dead", "running", "cancelled", "done", "done"]
    queue.assert_closes()


def _finish(worker: Consumer, store: JobStore, ids: list[str]) -> None:
    until(lambda: work(worker, complete) is None or all(store.status(i) == "done" for i in ids))
