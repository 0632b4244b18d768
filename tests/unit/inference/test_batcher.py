"""Batches form from what waits, and no item waits longer than it may."""

from __future__ import annotations

import queue
import time

from drag_inference.batcher import Batcher
from drag_inference.work import Item
from drag_shared.outcomes import Entry
from drag_shared.wire import FrameMessage


def item(name: str = "a", attempt: int = 0, age_s: float = 0.0) -> Item:
    message = FrameMessage("image/png", 4, 4, 1, 100)
    made = Item(Entry(0, "frames:tiny", "1-0", name, "0", attempt, message, time.monotonic()), message)
    made.ready_s = time.monotonic() - age_s
    return made


def line(*items: Item | None) -> queue.SimpleQueue[Item | None]:
    made: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
    for one in items:
        made.put(one)
    return made


def test_takes_what_waits_up_to_the_maximum() -> None:
    items = [item(str(n), age_s=1) for n in range(5)]
    batcher = Batcher(line(*items), 3, 10.0)
    assert batcher.next() == items[:3]


def test_an_item_that_waited_long_enough_goes_at_once() -> None:
    start_s = time.monotonic()
    old = item(age_s=60)
    assert Batcher(line(old), 8, 50.0).next() == [old]
    assert time.monotonic() - start_s < 5


def test_waits_no_longer_than_the_delay_of_its_first_item() -> None:
    first = item(age_s=0.0)
    batch = Batcher(line(first), 8, 0.05).next()
    waited_s = time.monotonic() - first.ready_s
    assert batch == [first]
    assert 0.045 <= waited_s < 2


def test_an_item_that_must_run_alone_is_a_batch_of_its_own() -> None:
    one, alone, two = item("one", age_s=1), item("alone", attempt=1, age_s=1), item("two", age_s=1)
    batcher = Batcher(line(one, alone, two, None), 8, 0.0)
    assert [batcher.next(), batcher.next(), batcher.next(), batcher.next()] == [[one], [alone], [two], None]


def test_the_end_of_the_line_lets_what_was_gathered_go() -> None:
    last = item()
    batcher = Batcher(line(last, None), 8, 60.0)
    assert batcher.next() == [last]
    assert batcher.next() is None
