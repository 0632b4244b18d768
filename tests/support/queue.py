"""What tests of the queue share: quick settings, uploads, consumers, and steps of a job in one line each."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from drag_shared.audit import audit
from drag_shared.config import Settings
from drag_shared.consumer import Consumer
from drag_shared.errors import Unavailable
from drag_shared.jobs import JobStore, Upload
from drag_shared.outcomes import Advanced, Entry, Outcome, Routed
from drag_shared.records import Job
from drag_shared.redis_client import Link
from drag_shared.wire import FrameMessage, UploadMessage

MODEL = "m"
FRAMES = f"frames:{MODEL}"
FRAME = FrameMessage("image/jpeg", 640, 480, 1, 1000, None)
RESULT: dict[str, Any] = {"gauges": [], "detections": []}
QUICK: dict[str, Any] = {"lease_ms": 300, "retry_base_ms": 1, "retry_max_ms": 2}
_numbers = itertools.count()


def quick(settings: Settings, **changes: Any) -> Settings:
    """The settings with a short lease and quick retries, and what else is given."""
    return settings.model_copy(update={**QUICK, **changes})


def upload(size: int = 100, name: str = "a.jpg", fill: bytes = b"\xff") -> Upload:
    """A picture for the queue, which never looks into it."""
    return Upload(fill * size, name, "image/jpeg", 640, 480, "gauges")


class Queue:
    """A store and consumers on one server; `close` closes them all."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = JobStore.open(settings)
        self._open: list[Any] = [self.store]

    @property
    def client(self) -> Any:
        """The raw client."""
        return self.store.link.client

    def key(self, name: str, partition: int = 0) -> str:
        """A key's full name."""
        return self.store.partitions[partition].key(name)

    def consumer(self, stream: str, name: str | None = None, settings: Settings | None = None) -> Consumer:
        """A consumer with a connection of its own, as a process has."""
        used = settings or self.settings
        link = Link(used.redis_url)
        self._open.append(link)
        group = "ingest" if stream == "uploads" else "inference"
        return Consumer(link, stream, group, name or f"consumer-{next(_numbers)}", used)

    def accept(self, number: int = 1, size: int = 100) -> list[str]:
        """Ids of new jobs, each accepted by itself."""
        return [self.store.accept([upload(size)])[0].id for _ in range(number)]

    def framed(self, number: int = 1, size: int = 100) -> list[str]:
        """Ids of new jobs that wait in the model's stream."""
        ids = self.accept(number, size)
        with self.using("uploads") as ingest:
            route_all(ingest, number)
        return ids

    @contextlib.contextmanager
    def using(self, stream: str, **changes: Any) -> Iterator[Consumer]:
        """A consumer that is closed at the end."""
        consumer = self.consumer(stream, **changes)
        try:
            yield consumer
        finally:
            consumer.close()

    def drain(self, limit_s: float = 15.0) -> None:
        """Routes and completes until no job is open."""
        with self.using("uploads") as ingest, self.using(FRAMES) as worker:
            deadline_s = time.monotonic() + limit_s
            while self.client.zcard(self.key("open")):
                assert time.monotonic() < deadline_s, f"still open: {self.client.zrange(self.key('open'), 0, -1)}"
                work(ingest, route)
                work(worker, complete)

    def pending(self, stream: str, group: str = "inference") -> int:
        """Entries delivered and not settled."""
        return int(self.client.xpending(self.key(stream), group)["pending"])

    def counters(self) -> dict[str, int]:
        """The ledger of partition 0."""
        rows = self.client.hgetall(self.key("ledger"))
        return {name.decode(): int(value) for name, value in rows.items() if name != b"forgotten_until"}

    def assert_closes(self) -> None:
        """The audit finds nothing."""
        report = audit(self.store)
        assert report.closes, report.problems

    def close(self) -> None:
        """Closes all connections."""
        for one in self._open:
            with contextlib.suppress(Exception):
                one.close()


def route(entry: Entry) -> Outcome:
    """Ingest's outcome."""
    assert isinstance(entry.message, UploadMessage)
    return Routed(entry, MODEL, FRAME, {"width": 640, "height": 480})


def complete(entry: Entry) -> Outcome:
    """A worker's outcome."""
    return Advanced(entry, RESULT, {"infer": 1.0})


def work(consumer: Consumer, outcome: Callable[[Entry], Outcome], count: int = 50, block_ms: int = 5) -> list[Entry]:
    """One batch, read and settled."""
    entries = consumer.read(count, block_ms)
    if entries:
        consumer.settle([outcome(entry) for entry in entries])
    return entries


def route_all(ingest: Consumer, number: int) -> None:
    """Routes as many uploads."""
    routed = 0
    deadline_s = time.monotonic() + 10
    while routed < number:
        assert time.monotonic() < deadline_s, f"routed {routed} of {number}"
        routed += len(work(ingest, route, block_ms=100))


def read_until(consumer: Consumer, number: int = 1, limit_s: float = 8.0, count: int = 50) -> list[Entry]:
    """Entries, read without settling until there are as many; through outages too."""
    entries: list[Entry] = []
    deadline_s = time.monotonic() + limit_s
    while len(entries) < number:
        assert time.monotonic() < deadline_s, f"read {len(entries)} of {number}"
        with contextlib.suppress(Unavailable):
            entries += consumer.read(count, 50)
    return entries


def patiently(action: Callable[[], Any], limit_s: float = 8.0) -> Any:
    """The action's answer, tried again through outages, as every loop of a service does."""
    deadline_s = time.monotonic() + limit_s
    while True:
        try:
            return action()
        except Unavailable:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)


def until(condition: Callable[[], Any], limit_s: float = 8.0, what: str = "it") -> Any:
    """The condition's first true answer: for states of other processes, which announce nothing."""
    deadline_s = time.monotonic() + limit_s
    while not (answer := condition()):
        assert time.monotonic() < deadline_s, f"{what} did not come true within {limit_s} s"
        time.sleep(0.01)
    return answer


def by_status(jobs: Sequence[Job]) -> dict[str, int]:
    """How many jobs stand where."""
    found: dict[str, int] = {}
    for job in jobs:
        found[job.status] = found.get(job.status, 0) + 1
    return found
