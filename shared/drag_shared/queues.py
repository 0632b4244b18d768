"""How the queues stand: the ledger, lengths and ages, for metrics, diagnostics and health checks."""

from dataclasses import dataclass, field
from typing import Any

import redis

from drag_shared.jobs import JobStore
from drag_shared.keys import INFERENCE_GROUP, INGEST_GROUP, UPLOADS, PartitionKeys

ENDINGS = ("done", "failed", "dead", "cancelled")


@dataclass(frozen=True, slots=True)
class Ledger:
    """The counters of one partition, or of all, and the sizes of the sets that they must agree with, in one instant."""

    counters: dict[str, int]
    open: int
    delayed: int
    jobs: int
    ended: int
    pictures: int
    dead: int
    now_ms: int

    @property
    def balance(self) -> int:
        """``accepted + requeued - done - failed - dead - cancelled - open``: 0 when the ledger closes."""
        taken_in = self.counters.get("accepted", 0) + self.counters.get("requeued", 0)
        return taken_in - sum(self.counters.get(name, 0) for name in ENDINGS) - self.open


@dataclass(frozen=True, slots=True)
class StreamState:
    """One work stream, over all partitions.

    Attributes:
        waiting: entries not delivered yet.
        pending: delivered and not settled.
        consumers: members of its group.
        oldest_ms: age of the oldest entry.
    """

    name: str
    waiting: int = 0
    pending: int = 0
    consumers: int = 0
    oldest_ms: int = 0


@dataclass(frozen=True, slots=True)
class QueueState:
    """Everything about the queues, over all partitions."""

    open_jobs: int
    open_bytes: int
    delayed: int
    dead_letters: int
    counters: dict[str, int] = field(default_factory=dict)
    streams: list[StreamState] = field(default_factory=list)


def read_ledger(store: JobStore, keys: PartitionKeys) -> Ledger:
    """A partition's ledger, in one instant."""
    flat, *sizes = store.link.script("ledger", keys, {})
    counters = {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
    counters.pop("forgotten_until", None)
    numbers = {name: int(value) for name, value in counters.items()}
    return Ledger(numbers, *(int(size) for size in sizes))


def read_queues(store: JobStore) -> QueueState:
    """The state of all queues.

    Raises:
        Unavailable: Redis is away.
    """
    counters: dict[str, int] = {}
    streams: dict[str, StreamState] = {UPLOADS: StreamState(UPLOADS)}
    open_jobs = delayed = dead = 0
    for keys in store.partitions:
        ledger = read_ledger(store, keys)
        open_jobs, delayed, dead = open_jobs + ledger.open, delayed + ledger.delayed, dead + ledger.dead
        for name, value in ledger.counters.items():
            counters[name] = counters.get(name, 0) + value
        for name in {
            UPLOADS.encode(),
            *store.link.ask("smembers", keys.key("streams")),
        }:  # uploads: before ingest joins
            state = _read_stream(store, keys, name.decode(), ledger.now_ms)
            streams[state.name] = _sum(streams.get(state.name, StreamState(state.name)), state)
    return QueueState(
        open_jobs=open_jobs,
        open_bytes=counters.get("open_bytes", 0),
        delayed=delayed,
        dead_letters=dead,
        counters=counters,
        streams=sorted(streams.values(), key=lambda state: (state.name != UPLOADS, state.name)),
    )


def _sum(one: StreamState, other: StreamState) -> StreamState:
    return StreamState(
        one.name,
        one.waiting + other.waiting,
        one.pending + other.pending,
        max(one.consumers, other.consumers),
        max(one.oldest_ms, other.oldest_ms),
    )


def _read_stream(store: JobStore, keys: PartitionKeys, name: str, now_ms: int) -> StreamState:
    group = INGEST_GROUP if name == UPLOADS else INFERENCE_GROUP
    full = keys.key(name)

    def read(client: Any) -> StreamState:
        length = client.xlen(full)
        first = client.xrange(full, "-", "+", 1)
        try:
            groups = [row for row in client.xinfo_groups(full) if row["name"] == group.encode()]
        except redis.ResponseError:  # no such stream yet
            groups = []
        pending = int(groups[0]["pending"]) if groups else 0
        consumers = int(groups[0]["consumers"]) if groups else 0
        oldest_ms = max(0, now_ms - int(first[0][0].partition(b"-")[0])) if first else 0
        # Settled entries are deleted, so what is neither pending nor gone waits; the group's own `lag` can be unknown.
        return StreamState(name, max(0, length - pending), pending, consumers, oldest_ms)

    return store.link.call(read)
