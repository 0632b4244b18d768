"""What passes through a worker: the source of work, an item on its way, and the table of all that are in flight."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from drag_inference.preprocess import Prepared
from drag_inference.runner import Output
from drag_shared.outcomes import Entry, Outcome
from drag_shared.wire import FrameMessage


class WorkSource(Protocol):
    """What a worker needs of a `drag_shared.consumer.Consumer`."""

    @property
    def held(self) -> int:
        """Entries delivered and not settled."""

    @property
    def newer_seen(self) -> bool:
        """Whether a message of a newer release came lately."""

    def read(self, count: int, block_ms: int) -> list[Entry]:
        """New entries; one with `attempt > 0` comes alone."""

    def fetch(self, entries: Sequence[Entry]) -> list[bytes | None]:
        """The pictures' bytes; None: cancelled."""

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Makes outcomes true; repeating it is safe."""

    def renew(self) -> set[str]:
        """Renews leases; the job ids whose lease was lost."""

    def close(self) -> None:
        """Hands back what is held and leaves."""


class Item:
    """One picture on its way through the worker.

    Attributes:
        entry: as delivered.
        message: its message.
        alone: it was tried before: nothing else may be in flight beside it.
        lost: its lease is lost, another worker has it: abandon it.
        prepared: the picture, once decoded.
        output: the network's answer, `(4 + labels, anchors)`.
        outcome: what became of it, once that is known.
        fetch_ms: what fetching took.
        decode_ms: what decoding and resizing took.
        infer_ms: what its batch's inference took.
        ready_s: when it was ready for inference, `time.monotonic`.
        inferred_s: when its inference ended.
    """

    __slots__ = (
        "alone",
        "decode_ms",
        "entry",
        "fetch_ms",
        "infer_ms",
        "inferred_s",
        "lost",
        "message",
        "outcome",
        "output",
        "prepared",
        "ready_s",
    )

    def __init__(self, entry: Entry, message: FrameMessage) -> None:
        self.entry = entry
        self.message = message
        self.alone = entry.attempt > 0
        self.lost = False
        self.prepared: Prepared | None = None
        self.output: Output | None = None
        self.outcome: Outcome | None = None
        self.fetch_ms = 0.0
        self.decode_ms = 0.0
        self.infer_ms = 0.0
        self.ready_s = 0.0
        self.inferred_s = 0.0


class InFlight:
    """All items between delivery and settlement: it bounds their number and their bytes, and so every queue.

    Args:
        limit: most items.
        limit_bytes: most bytes of fetched pictures that wait for decoding; one picture may always go.
    """

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._items: set[Item] = set()
        self._bytes = 0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    def room(self, timeout_s: float) -> int:
        """How many more items may come; waits for the first."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._limit, timeout_s)
            return max(0, self._limit - len(self._items))

    def add(self, items: Iterable[Item]) -> None:
        """They were delivered."""
        with self._changed:
            self._items.update(items)

    def remove(self, items: Iterable[Item]) -> None:
        """They are settled, or abandoned."""
        with self._changed:
            self._items.difference_update(items)
            self._changed.notify_all()

    def mark_lost(self, job_ids: set[str]) -> int:
        """Their leases are lost; says how many items that were."""
        with self._changed:
            lost = [item for item in self._items if item.entry.job_id in job_ids and not item.lost]
            for item in lost:
                item.lost = True
            return len(lost)

    def mark_all_lost(self) -> None:
        """The worker gives up on all of them."""
        with self._changed:
            for item in self._items:
                item.lost = True

    def wait_empty(self, timeout_s: float) -> bool:
        """Whether nothing is in flight, after waiting for that."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._items, timeout_s)

    def take_bytes(self, size_bytes: int, timeout_s: float) -> bool:
        """Whether so many bytes may be fetched now, after waiting for that; `give_bytes` gives them back."""
        with self._changed:
            fits = self._changed.wait_for(
                lambda: self._bytes == 0 or self._bytes + size_bytes <= self._limit_bytes, timeout_s
            )
            if fits:
                self._bytes += size_bytes
            return fits

    def give_bytes(self, size_bytes: int) -> None:
        """Those bytes are no longer needed."""
        with self._changed:
            self._bytes -= size_bytes
            self._changed.notify_all()


def in_portions(items: Sequence[Item], limit_bytes: int) -> list[list[Item]]:
    """Splits items so that each portion's pictures stay within `limit_bytes`, or are one picture."""
    portions: list[list[Item]] = []
    size = 0
    for item in items:
        if not portions or size + item.message.size_bytes > limit_bytes:
            portions.append([])
            size = 0
        portions[-1].append(item)
        size += item.message.size_bytes
    return portions


def stream_wait_ms(entry: Entry) -> float:
    """How long an entry lay in its stream before it was delivered: its id begins with the server's clock."""
    appended, _, _ = entry.entry_id.partition("-")
    if not appended.isdigit():
        return 0.0
    since_delivery_ms = (time.monotonic() - entry.received_s) * 1000
    return max(0.0, time.time() * 1000 - since_delivery_ms - int(appended))
