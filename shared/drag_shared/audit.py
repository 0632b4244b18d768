"""The audit: does the ledger close, and does each open job stand in exactly one place?

It reads page by page outside of scripts, so it holds up nobody; what looks wrong is looked at again, since jobs move on
while it reads, and only what stays wrong without having moved is a problem.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgpack

from drag_shared.jobs import JobStore
from drag_shared.keys import PartitionKeys
from drag_shared.queues import Ledger, read_ledger
from drag_shared.records import OPEN

PAGE = 500
LOOKS = 4
PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class PartitionAudit:
    """One partition's ledger and what does not agree with it."""

    partition: int
    ledger: Ledger
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The whole audit."""

    partitions: list[PartitionAudit]

    @property
    def problems(self) -> list[str]:
        """All that is wrong, a sentence each, with the job's id."""
        return [problem for audit in self.partitions for problem in audit.problems]

    @property
    def closes(self) -> bool:
        """Whether nothing is wrong anywhere."""
        return not self.problems


def audit(store: JobStore) -> AuditReport:
    """Compares the ledger with records and streams, in every partition.

    Raises:
        Unavailable: Redis is away.
    """
    return AuditReport([_audit_partition(store, keys) for keys in store.partitions])


def _audit_partition(store: JobStore, keys: PartitionKeys) -> PartitionAudit:
    suspects = _findings(store, keys)
    for _ in range(LOOKS - 1):
        if not suspects:
            break
        time.sleep(PAUSE_S)
        again = _findings(store, keys)
        suspects = {name: text for name, text in again.items() if suspects.get(name) == text}
    ledger = read_ledger(store, keys)
    problems = [f"partition {keys.partition}: {text}" for _, text in sorted(suspects.items())]
    if ledger.balance != 0:
        problems.insert(0, f"partition {keys.partition}: the ledger is off by {ledger.balance}: {ledger.counters}")
    return PartitionAudit(keys.partition, ledger, problems)


def _findings(store: JobStore, keys: PartitionKeys) -> dict[str, str]:
    """What looks wrong now: a text for each job or counter concerned."""
    places = _places(store, keys)
    findings: dict[str, str] = {}
    open_ids = set()
    open_bytes = 0
    for page in _zset_pages(store, keys.key("open")):
        open_ids.update(page)
        for job_id, record in zip(page, store.link.script("records", keys, {"jobs": page}), strict=True):
            fields = dict(zip(record[::2], record[1::2], strict=True))
            open_bytes += int(fields.get(b"size", 0))
            text = _check_open(job_id, fields, places)
            if text:
                findings[job_id] = text
        # One byte each: an open job's picture must be there.
        heads = store.link.script("headers", keys, {"jobs": page, "size_bytes": 1})
        for job_id in (job_id for job_id, head in zip(page, heads, strict=True) if not head):
            findings.setdefault(job_id, f"job {job_id} is open but its picture is gone")
    for page in _zset_pages(store, keys.key("jobs")):
        for job_id, record in zip(page, store.link.script("records", keys, {"jobs": page}), strict=True):
            fields = dict(zip(record[::2], record[1::2], strict=True))
            status = fields.get(b"status", b"").decode()
            if status in OPEN and job_id not in open_ids:
                findings[job_id] = f"job {job_id} is {status} but not in the set of open jobs"
    counters = read_ledger(store, keys).counters
    for name, held in {"open_bytes": open_bytes, **_retained_bytes(store, keys)}.items():
        if held != counters.get(name, 0):
            findings[name] = f"{name} is {held} by what is there, the ledger says {counters.get(name, 0)}"
    return findings


def _retained_bytes(store: JobStore, keys: PartitionKeys) -> dict[str, int]:
    """What ended jobs and dead letters hold of their budgets, by the ledger's names."""
    held = {}
    for name, index in (("picture_bytes", "pictures"), ("record_bytes", "ended")):
        members = {member for page in _zset_pages(store, keys.key(index)) for member in page}
        held[name] = sum(int(member.rpartition(":")[2]) for member in members)
    held["dead_bytes"] = sum(int(fields.get(b"bytes", 0)) for fields in _stream_entries(store, keys.key("dead")))
    return held


def _check_open(job_id: str, fields: dict[bytes, bytes], places: Counter[tuple[str, str]]) -> str | None:
    """What is wrong with an open job, or None."""
    status = fields.get(b"status", b"").decode()
    if not fields:
        return f"job {job_id} is open but has no record"
    if status not in OPEN:
        return f"job {job_id} is in the set of open jobs but {status}"
    parts = [name[2:].decode() for name, value in fields.items() if name.startswith(b"p:") and value == b"open"]
    for part in parts or ["upload"]:
        number = places[job_id, part]
        if number != 1:
            return f"job {job_id}, part {part}, stands in {number} places instead of one"
    return None


def _places(store: JobStore, keys: PartitionKeys) -> Counter[tuple[str, str]]:
    """In how many entries of streams and of the delayed set each (job, part) stands."""
    places: Counter[tuple[str, str]] = Counter()
    names = store.link.ask("smembers", keys.key("streams"))
    for name in {b"uploads", *names}:
        for fields in _stream_entries(store, keys.key(name.decode())):
            places[fields.get(b"job", b"").decode(), fields.get(b"part", b"").decode()] += 1
    for page in _zset_pages(store, keys.key("delayed"), raw=True):
        for packed in page:
            _, job_id, part, *_ = msgpack.unpackb(packed, raw=True)
            places[job_id.decode(), part.decode()] += 1
    return places


def _stream_entries(store: JobStore, name: str) -> Iterator[dict[bytes, bytes]]:
    start = "-"
    while True:
        rows = store.link.ask("xrange", name, start, "+", PAGE)
        for _, fields in rows:
            yield fields
        if len(rows) < PAGE:
            return
        start = "(" + rows[-1][0].decode()


def _zset_pages(store: JobStore, name: str, raw: bool = False) -> Iterator[list[Any]]:
    cursor = 0
    while True:
        cursor, rows = store.link.ask("zscan", name, cursor, count=PAGE)
        if rows:
            members = dict(rows)  # a scan may show a member twice
            yield list(members) if raw else [member.decode() for member in members]
        if cursor == 0:
            return
