"""A member of a consumer group: reads work under a lease, and settles it. What ingest and inference workers stand on.

What is held is kept in one table. Entries that were tried before (a retry, or work taken over from a dead worker) come
alone and only while nothing else is held, so that a picture that kills its worker takes no innocents along.
"""

import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import redis

from drag_shared import wire
from drag_shared.config import Settings
from drag_shared.errors import NewerWireError, Unavailable, WireError
from drag_shared.keys import PartitionKeys
from drag_shared.outcomes import (
    SCRIPT,
    Advanced,
    Dropped,
    Entry,
    Failed,
    HandedBack,
    Outcome,
    Retry,
    Routed,
    advance_item,
    backoff_ms,
    item_of,
    route_item,
)
from drag_shared.partitions import Limits, settle_partitions
from drag_shared.redis_client import Link

log = logging.getLogger(__name__)

TEND_EVERY_S = 1.0
TEND_LIMIT = 500
SETTLE_LIMIT = 500  # entries a script call
NEWER_PAUSE_MS = 1000
NEWER_MEMORY_S = 30.0
HELD_AT_MOST_S = 300.0  # work held longer hangs: it is let go, and others take it over
SWEEP_CONSUMERS_AFTER_LEASES = 20
CLOSE_PATIENCE_S = 5.0
DIED = "its worker died, or was silent for longer than its lease"

Rows = list[tuple[int, Any, Any]]  # partition, entry id, fields: as Redis answers them


class Consumer:
    """One consumer of one group on one stream, in every partition. Thread safe; only `read` blocks.

    Args:
        link: the way to Redis.
        stream: short name, the same in every partition.
        group: made from the stream's first entry on, once.
        name: of this consumer; unique among all processes.

    Methods raise `Unavailable` when Redis is away; what is held stays held, and the call can be repeated.
    """

    def __init__(self, link: Link, stream: str, group: str, name: str, settings: Settings) -> None:
        self.link, self.stream, self.group, self.name, self.settings = link, stream, group, name, settings
        self._partitions: list[PartitionKeys] = []
        self._limits: dict[str, Any] = {}
        self._changed = threading.Condition()
        self._held: dict[tuple[int, str], Entry] = {}
        self._alone: list[Entry] = []  # held, waiting to run alone
        self._orphans = False  # dead consumers left work: finish ours first, then take it over piece by piece
        self._turn = 0
        self._tend_at_s = 0.0
        self._claim_at_s = 0.0
        self._cursors: dict[int, str] = {}
        self._reply_lost = False
        self._newer_until_s = 0.0
        self._closed = threading.Event()

    # -- state -------------------------------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Entries delivered and not settled."""
        return len(self._held)

    @property
    def newer_seen(self) -> bool:
        """A message of a newer release was seen within the last 30 s: this worker should say not ready."""
        return time.monotonic() < self._newer_until_s

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, count: int, block_ms: int) -> list[Entry]:
        """Up to ``count`` new entries, waiting at most about ``block_ms`` for the first.

        An entry with ``attempt > 0`` is the only element of its list, and comes only while nothing else is held.
        Retries that became due, what dead consumers left and broken messages are seen to on the way.
        """
        if self._closed.is_set():
            return []
        try:
            self._join()
            if time.monotonic() >= self._tend_at_s:
                self._tend()
            if self._reply_lost:
                self._recover()
            if self._alone or self._orphans or any(entry.attempt > 0 for entry in list(self._held.values())):
                entries = self._next_alone(block_ms)
            else:
                entries = self._sort_or_let_go(self._read_new(count, block_ms))
        except Unavailable:
            self._reply_lost = True
            self._pause_claims()
            raise
        except redis.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            for keys in self._partitions:
                self._make_group(keys)  # Redis lost its data
            return []
        if self._closed.is_set():  # meanwhile, by another thread
            self.close()
            return []
        return entries

    def _pause_claims(self) -> None:
        """After an outage nobody claims for one lease: the others could not renew theirs either."""
        self._orphans = False
        self._claim_at_s = time.monotonic() + self.settings.lease_ms / 1000

    def _join(self) -> None:
        """Makes the group in every partition, once."""
        if self._partitions:
            return
        partitions = settle_partitions(self.link, self.settings, patience_s=0)
        self._limits = Limits.share(self.settings, len(partitions)).for_scripts()
        for keys in partitions:
            self._make_group(keys)
        # Idle times go on while Redis is down: right after its start nobody's silence means anything.
        uptime_s = int(self.link.ask("info", "server", patience_s=0).get("uptime_in_seconds", 0))
        self._claim_at_s = time.monotonic() + max(0.0, self.settings.lease_ms / 1000 - uptime_s)
        self._partitions = partitions

    def _make_group(self, keys: PartitionKeys) -> None:
        self.link.script("join", keys, {"stream": self.stream, "group": self.group}, patience_s=0)

    def _read_new(self, count: int, block_ms: int) -> Rows:
        """``(partition, id, fields)`` of new entries: asks every partition without waiting, then waits at one."""
        self._turn += 1
        order = [self._partitions[(self._turn + i) % len(self._partitions)] for i in range(len(self._partitions))]
        if len(order) > 1:
            for keys in order:
                rows = self._read_group(keys, ">", count, None)
                if rows:
                    return rows
            block_ms = min(block_ms, 20)
        return self._read_group(order[0], ">", count, block_ms if block_ms > 0 else None)  # 0 would wait for ever

    def _read_group(self, keys: PartitionKeys, start: str, count: int, block_ms: int | None) -> Rows:
        block = () if block_ms is None else ("BLOCK", block_ms)
        where = ("COUNT", count, *block, "STREAMS", keys.key(self.stream), start)
        answer = self.link.command("XREADGROUP", "GROUP", self.group, self.name, *where, patience_s=0)
        return [(keys.partition, entry_id, fields) for _, rows in answer or () for entry_id, fields in rows]

    def _sort_or_let_go(self, rows: Rows) -> list[Entry]:
        """As `_sort`; where Redis goes away in the middle nothing stays held that nobody was given.

        It is still pending under our name, and `_recover` finds it.
        """
        try:
            return self._sort(rows)
        except Unavailable:
            for partition, entry_id, _ in rows:
                self._release((partition, entry_id.decode()))
            raise

    def _sort(self, rows: Rows) -> list[Entry]:
        """Takes delivered rows into the table; answers those that may run together.

        Of those that must run alone it keeps one and gives the others back: were they held and the one killed us,
        an attempt would be counted against each.
        """
        together: list[Entry] = []
        spare: list[Entry] = []
        for partition, entry_id, fields in rows:
            entry = self._take(partition, entry_id.decode(), fields or {})
            if entry is None:
                continue
            if entry.attempt == 0:
                together.append(entry)
            elif not self._alone:
                self._alone.append(entry)
            else:
                spare.append(entry)
        if spare:
            self._run("hand_back", spare[0].partition, delay_ms=0, items=[item_of(entry) for entry in spare])
            for entry in spare:
                self._release((entry.partition, entry.entry_id))
        return together if together or not self._alone else self._next_alone(0)

    def _take(self, partition: int, entry_id: str, fields: dict[bytes, bytes], attempt: int = 0) -> Entry | None:
        """The entry, held from now on; None when it cannot be run here and was seen to."""
        job_id = fields.get(b"job", b"").decode("utf-8", "replace")
        part = fields.get(b"part", b"").decode("utf-8", "replace")
        try:
            message = wire.unpack(fields.get(b"m", b""))
            attempt = max(attempt, int(fields.get(b"attempt", b"0")))
        except NewerWireError as error:
            self._newer_until_s = time.monotonic() + NEWER_MEMORY_S
            log.warning("handed back job %s: %s", job_id, error)
            item = {"entry": entry_id, "job": job_id, "part": part}
            self._run("hand_back", partition, delay_ms=NEWER_PAUSE_MS, items=[item])
            return None
        except (WireError, ValueError) as error:
            log.error("buried a broken message of job %r: %s", job_id, error)
            cause = f"broken message: {error}"
            self._run(
                "retry", partition, entry=entry_id, job=job_id, part=part, cause=cause, delay_ms=0, max_attempts=0
            )
            return None
        entry = Entry(partition, self.stream, entry_id, job_id, part, attempt, message, time.monotonic())
        with self._changed:
            self._held[partition, entry_id] = entry
        return entry

    def _next_alone(self, block_ms: int) -> list[Entry]:
        """The next entry that must run alone, once everything else that was handed out is settled."""
        deadline_s = time.monotonic() + block_ms / 1000
        with self._changed:
            while len(self._held) > len(self._alone):
                if not self._changed.wait(deadline_s - time.monotonic()):
                    return []
        if not self._alone and self._orphans:
            self._take_over()
        with self._changed:
            if not self._alone:
                return []
            entry = replace(self._alone.pop(0), received_s=time.monotonic())  # its work begins now
            self._held[entry.partition, entry.entry_id] = entry
            return [entry]

    # -- upkeep ------------------------------------------------------------------------------------------------------

    def _tend(self) -> None:
        """About once a second: due retries, retention, and what dead consumers left."""
        for keys in self._partitions:
            self.link.script("tend", keys, {"limits": self._limits, "limit": TEND_LIMIT}, patience_s=0)
        now_s = time.monotonic()
        self._tend_at_s = now_s + random.uniform(0.8, 1.2) * TEND_EVERY_S
        if now_s >= self._claim_at_s:
            self._claim_at_s = now_s + random.uniform(0.2, 0.3) * self.settings.lease_ms / 1000
            self._orphans = any(self._has_orphans(keys) for keys in self._partitions)
            for keys in self._partitions:
                idle_ms = self.settings.lease_ms * SWEEP_CONSUMERS_AFTER_LEASES
                self._run("leave", keys.partition, idle_ms=idle_ms, consumer=None)

    def _has_orphans(self, keys: PartitionKeys) -> bool:
        name, idle_ms = keys.key(self.stream), self.settings.lease_ms
        return bool(self.link.ask("xpending_range", name, self.group, "-", "+", 1, idle=idle_ms, patience_s=0))

    def _take_over(self) -> None:
        """Claims at most one entry of a dead consumer, to run alone; notes when there is nothing left to claim."""
        for keys in self._partitions:
            cursor = self._cursors.get(keys.partition, "0-0")
            answer = self._run(
                "take_over",
                keys.partition,
                min_idle_ms=self.settings.lease_ms,
                cursor=cursor,
                max_attempts=self.settings.max_attempts,
                cause=DIED,
            )
            self._cursors[keys.partition] = answer[0].decode()
            if len(answer) > 1:
                _, entry_id, job, part, attempts, message = answer
                fields = {b"job": job, b"part": part, b"m": message}
                entry = self._take(keys.partition, entry_id.decode(), fields, attempts)
                if entry is not None:
                    log.warning("took over job %s after %d counted attempts: %s", entry.job_id, attempts, DIED)
                    self._alone.append(entry)
                return
        self._orphans = any(cursor != "0-0" for cursor in self._cursors.values())

    def _recover(self) -> None:
        """Finds what was delivered to us in replies that were lost; it runs alone, uncounted."""
        for keys in self._partitions:
            start = "0"
            while rows := self._read_group(keys, start, 100, None):
                start = rows[-1][1].decode()
                for partition, entry_id, fields in rows:
                    if (partition, entry_id.decode()) not in self._held and fields:
                        entry = self._take(partition, entry_id.decode(), fields, attempt=1)
                        if entry is not None:
                            self._alone.append(entry)
        self._reply_lost = False

    def renew(self) -> set[str]:
        """Starts the leases of all that is held anew; call it at least every third of a lease.

        Returns:
            The ids of jobs whose lease was lost meanwhile: abandon the work on them.
        """
        now_s = time.monotonic()
        entries: dict[int, list[str]] = defaultdict(list)
        lost = set()
        for (partition, entry_id), entry in list(self._held.items()):
            if now_s - entry.received_s < HELD_AT_MOST_S or entry in self._alone:
                entries[partition].append(entry_id)
            else:
                log.error("let go of job %s, held for over %.0f s", entry.job_id, HELD_AT_MOST_S)
                lost |= self._release((partition, entry_id))
        try:
            for partition, mine in entries.items():
                for entry_id in self._run("renew", partition, entries=mine):
                    lost |= self._release((partition, entry_id.decode()))
        except Unavailable:
            self._pause_claims()
            raise
        return lost

    def _release(self, key: tuple[int, str]) -> set[str]:
        with self._changed:
            entry = self._held.pop(key, None)
            if entry in self._alone:
                self._alone.remove(entry)
            self._changed.notify_all()
        return {entry.job_id} if entry else set()

    # -- work --------------------------------------------------------------------------------------------------------

    def fetch(self, entries: Sequence[Entry]) -> list[bytes | None]:
        """The pictures' bytes; None where the job was cancelled meanwhile (settle it as `Dropped`)."""
        found: dict[str, bytes | None] = {}
        for keys in self._partitions:
            mine = [entry.job_id for entry in entries if entry.partition == keys.partition]
            if mine:
                names = [keys.blob(job_id) for job_id in mine]
                found |= dict(zip(mine, self.link.command("MGET", *names, patience_s=0), strict=True))
        return [found[entry.job_id] for entry in entries]

    def fetch_headers(self, entries: Sequence[Entry], size_bytes: int) -> list[bytes]:
        """The first ``size_bytes`` of each picture; empty where the job was cancelled meanwhile."""
        found: dict[str, bytes] = {}
        for keys in self._partitions:
            mine = [entry.job_id for entry in entries if entry.partition == keys.partition]
            if mine:
                request = {"jobs": mine, "size_bytes": size_bytes}
                found |= dict(zip(mine, self.link.script("headers", keys, request, patience_s=0), strict=True))
        return [found[entry.job_id] for entry in entries]

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Makes outcomes true in Redis, each in one atomic step, and lets go of their entries.

        Repeating it after `Unavailable` is safe: what was settled stays as it is.
        """
        groups: dict[tuple[str, int], list[Outcome]] = defaultdict(list)
        for outcome in outcomes:
            groups[SCRIPT[type(outcome)], outcome.entry.partition].append(outcome)
        for (script, partition), group in groups.items():
            for start in range(0, len(group), SETTLE_LIMIT):
                chunk = group[start : start + SETTLE_LIMIT]
                getattr(self, f"_{script}")(partition, chunk)
                for outcome in chunk:
                    self._release((partition, outcome.entry.entry_id))

    def _route(self, partition: int, outcomes: Sequence[Routed]) -> None:
        self._run("route", partition, items=[route_item(outcome) for outcome in outcomes])

    def _advance(self, partition: int, outcomes: Sequence[Advanced | Failed]) -> None:
        now_s = time.monotonic()
        items = [advance_item(outcome, now_s) for outcome in outcomes]
        self._run("advance", partition, items=items, limits=self._limits)

    def _retry(self, partition: int, outcomes: Sequence[Retry]) -> None:
        for outcome in outcomes:
            entry = outcome.entry
            answer = self._run(
                "retry",
                partition,
                **item_of(entry),
                cause=outcome.cause,
                delay_ms=backoff_ms(entry.attempt, self.settings),
                max_attempts=self.settings.max_attempts,
            )
            attempt = entry.attempt + 1
            log.warning("job %s: attempt %d failed (%s): %s", entry.job_id, attempt, answer.decode(), outcome.cause)

    def _hand_back(self, partition: int, outcomes: Sequence[HandedBack]) -> None:
        items = [item_of(outcome.entry) for outcome in outcomes]
        bounds = {"max_hand_backs": self.settings.max_hand_backs, "max_attempts": self.settings.max_attempts}
        self._run("hand_back", partition, items=items, delay_ms=0, **bounds)

    def _acknowledge(self, partition: int, outcomes: Sequence[Dropped]) -> None:
        self._run("acknowledge", partition, entries=[outcome.entry.entry_id for outcome in outcomes])

    def _run(self, script: str, partition: int, **request: Any) -> Any:
        """Runs a script for this consumer, without patience: callers know what to do when Redis is away."""
        request = {"stream": self.stream, "group": self.group, "consumer": self.name} | request
        return self.link.script(script, self._partitions[partition], request, patience_s=0)

    def close(self) -> None:
        """Hands back what is held and leaves the group; when Redis is away, others take over after the lease."""
        self._closed.set()
        deadline_s = time.monotonic() + CLOSE_PATIENCE_S
        while True:
            try:
                if self._reply_lost:
                    self._recover()
                self.settle([HandedBack(entry) for entry in list(self._held.values())])
                for keys in self._partitions:
                    self._run("leave", keys.partition, idle_ms=0)
                return
            except Unavailable as error:
                if time.monotonic() > deadline_s:
                    log.warning("left %d entries to others after the lease: %s", self.held, error)
                    return
                time.sleep(random.uniform(0.05, 0.2))
