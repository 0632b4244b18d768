"""Dead letters: listed newest first, tried anew, dropped; each once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.support.queue import FRAMES, Queue, complete, quick, read_until

from drag_shared.errors import GoneJob, UnknownJob
from drag_shared.outcomes import Entry, Retry

pytestmark = [pytest.mark.integration, pytest.mark.both_servers]


def bury(queue: Queue, number: int, stage: str = FRAMES, size: int = 100) -> list[str]:
    """As many jobs, dead after one attempt."""
    ids = queue.framed(number, size) if stage == FRAMES else queue.accept(number, size)
    with queue.using(stage, settings=quick(queue.settings, max_attempts=1)) as worker:
        worker.settle([Retry(entry, f"died of {entry.job_id}") for entry in read_until(worker, number)])
    return ids


def test_dead_letters_are_listed_newest_first_in_pages_that_meet(queue: Queue) -> None:
    ids = bury(queue, 7)
    letters, cursor = queue.store.dead_letters(50)
    assert cursor is None
    assert [letter.job_id for letter in letters] == ids[::-1]
    found, cursor = queue.store.dead_letters(3)
    while cursor is not None:
        page, cursor = queue.store.dead_letters(3, cursor)
        found += page
    assert found == letters
    assert queue.store.dead_letter(letters[2].id) == letters[2]


@pytest.mark.parametrize("stage", ["uploads", FRAMES])
def test_a_requeued_job_is_tried_anew_with_its_attempts_at_zero(queue: Queue, stage: str) -> None:
    (job_id,) = bury(queue, 1, stage)
    (letter,), _ = queue.store.dead_letters()
    job = queue.store.requeue(letter.id)
    assert (job.id, job.status, job.attempts, job.error) == (
        job_id,
        "queued" if stage == "uploads" else "running",
        0,
        None,
    )
    assert queue.store.dead_letters() == ([], None)
    queue.assert_closes()
    queue.drain()
    assert queue.store.status(job_id) == "done"
    counters = queue.counters()
    assert (counters["accepted"], counters["requeued"], counters["dead"], counters["done"]) == (1, 1, 1, 1)
    assert (counters["dead_bytes"], counters["open_bytes"]) == (0, 0)
    queue.assert_closes()


def test_two_that_requeue_one_letter_make_one_job_of_it(queue: Queue) -> None:
    bury(queue, 1)
    (letter,), _ = queue.store.dead_letters()

    def requeue(_: int) -> str | None:
        try:
            return queue.store.requeue(letter.id).id
        except UnknownJob:
            return None

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for answer in pool.map(requeue, range(4)) if answer]
    assert answers == [letter.job_id]
    assert queue.client.xlen(queue.key(FRAMES)) == 1
    assert queue.counters()["requeued"] == 1
    queue.assert_closes()


def test_a_job_can_die_more_than_once(queue: Queue) -> None:
    (job_id,) = bury(queue, 1)
    for _ in range(3):
        (letter,), _ = queue.store.dead_letters()
        queue.store.requeue(letter.id)
        with queue.using(FRAMES, settings=quick(queue.settings, max_attempts=1)) as worker:
            worker.settle([Retry(read_until(worker)[0], "again")])
        queue.assert_closes()
    assert queue.store.status(job_id) == "dead"
    assert queue.counters()["dead"] == 4


def test_a_dropped_letter_takes_its_picture_and_leaves_the_record(queue: Queue) -> None:
    (job_id,) = bury(queue, 1)
    (letter,), _ = queue.store.dead_letters()
    queue.store.drop(letter.id)
    for ask in (queue.store.dead_letter, queue.store.requeue, queue.store.drop):
        with pytest.raises(UnknownJob):
            ask(letter.id)
    job = queue.store.get(job_id)
    assert (job.status, job.has_image) == ("dead", False)
    assert job.error == {"code": "dead", "detail": f"died of {job_id}"}
    with pytest.raises(GoneJob):
        queue.store.image(job_id)
    assert queue.counters()["dead_bytes"] == 0
    queue.assert_closes()


def test_deleting_a_dead_job_takes_its_letter(queue: Queue) -> None:
    (job_id,) = bury(queue, 1)
    assert queue.store.delete(job_id).status == "dead"
    assert queue.store.dead_letters() == ([], None)
    assert queue.counters()["dead_bytes"] == 0
    queue.assert_closes()


def test_the_byte_budget_drops_the_oldest_letters(queue: Queue) -> None:
    ids = bury(queue, 6, size=10_000)
    small = quick(queue.settings, dead_budget_bytes=40_000)
    with queue.using(FRAMES, settings=small) as worker:
        worker._join()
        worker._tend()
    letters, _ = queue.store.dead_letters()
    assert [letter.job_id for letter in letters] == ids[:2:-1]
    assert 30_000 < queue.counters()["dead_bytes"] <= 40_000
    for job_id in ids[:3]:
        assert queue.store.get(job_id).status == "dead"
        with pytest.raises(GoneJob):
            queue.store.image(job_id)
    assert queue.store.image(ids[-1])
    queue.assert_closes()


@pytest.mark.parametrize("wrong", ["", "x", "0", "0-1", "0-1-x", "9-1-1", "0--1", "0-1-1", "-1-1-1", f"0-{9**40}-1"])
def test_a_letter_that_is_not_there_is_unknown(queue: Queue, wrong: str) -> None:
    for ask in (queue.store.dead_letter, queue.store.requeue, queue.store.drop):
        with pytest.raises(UnknownJob):
            ask(wrong)


def test_open_jobs_go_on_beside_dead_ones(queue: Queue) -> None:
    dead = bury(queue, 3)
    ids = queue.framed(3)
    with queue.using(FRAMES) as worker:

        def settle(entry: Entry) -> None:
            worker.settle([complete(entry)])

        for entry in read_until(worker, 3):
            settle(entry)
    assert [queue.store.status(i) for i in dead + ids] == ["dead"] * 3 + ["done"] * 3
    queue.assert_closes()
