"""Forms batches from what is waiting, and never lets a picture wait longer than the model allows."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable

from drag_inference.work import Item


class Batcher:
    """Takes ready items from a queue in batches.

    Args:
        ready: where items come from, each with `ready_s` set.
        max_batch: most items in a batch.
        max_delay_s: longest that an item waits for others once it is ready.
        clock: `time.monotonic`.
    """

    def __init__(
        self,
        ready: queue.SimpleQueue[Item | None],
        max_batch: int,
        max_delay_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ready = ready
        self._max_batch = max_batch
        self._max_delay_s = max_delay_s
        self._clock = clock
        self._kept: Item | None = None
        self._ended = False

    def next(self) -> list[Item] | None:
        """The next batch, waiting for its first item; None: the queue was ended with a None.

        An item that must run alone is a batch of its own.
        """
        first = self._first()
        if first is None:
            return None
        batch = [first]
        deadline_s = first.ready_s + self._max_delay_s
        while len(batch) < self._max_batch and not first.alone:
            item = self._another(deadline_s)
            if item is None:
                break
            if item.alone:
                self._kept = item
                break
            batch.append(item)
        return batch

    def _first(self) -> Item | None:
        if self._kept is not None:
            first, self._kept = self._kept, None
            return first
        if self._ended:
            return None
        return self._ready.get()

    def _another(self, deadline_s: float) -> Item | None:
        try:
            item = self._ready.get_nowait()
        except queue.Empty:
            left_s = deadline_s - self._clock()
            if left_s <= 0:
                return None
            try:
                item = self._ready.get(timeout=left_s)
            except queue.Empty:
                return None
        if item is None:
            self._ended = True
        return item
