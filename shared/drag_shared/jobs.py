"""Jobs as the API, the viewer and the commands see them: accept, look up, list, remove, and the dead letters."""

import hashlib
import random
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from drag_shared import ids, wire
from drag_shared.config import Settings, redis_address
from drag_shared.durability import ServerState, read_servers
from drag_shared.errors import GoneJob, KeyConflict, QueueFull, UnknownJob
from drag_shared.keys import UPLOADS, PartitionKeys
from drag_shared.partitions import Limits, settle_partitions
from drag_shared.records import DeadLetter, Job, read_dead_letter, read_job
from drag_shared.redis_client import Link

UPLOAD_PART = "upload"
ROOT_PART = "0"
_ADMISSION_MAX_AGE_S = 0.1
_SCAN_LIMIT = 1000
_DIGITS = re.compile(r"[0-9]{1,19}")

# `JobStore.list` hides the builtin in its class's signatures.
Jobs = list[Job]
DeadLetters = list[DeadLetter]
Servers = list[ServerState]


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture to accept; type and size (upright) are what its header tells."""

    data: bytes
    name: str
    media_type: str
    width_px: int
    height_px: int
    pipeline: str
    min_score: float | None = None


class JobStore:
    """All jobs of an installation, over all its partitions. Thread safe.

    Every method raises `Unavailable` when Redis cannot serve it within a short patience.
    """

    def __init__(self, link: Link, settings: Settings) -> None:
        self.link = link
        self.settings = settings
        self._partitions: list[PartitionKeys] = []
        self._limits: Limits | None = None
        self._admission_lock = threading.Lock()
        self._admission = (0.0, 0, 0)  # when read (monotonic), open jobs, open bytes

    @classmethod
    def open(cls, settings: Settings) -> "JobStore":
        """A store over the Redis of the settings; connects on first use."""
        return cls(Link(redis_address(settings)), settings)

    def close(self) -> None:
        """Closes the connections."""
        self.link.close()

    @property
    def partitions(self) -> list[PartitionKeys]:
        """The partitions, asked from Redis once."""
        if not self._partitions:
            self._partitions = settle_partitions(self.link, self.settings)
        return self._partitions

    @property
    def limits(self) -> Limits:
        """One partition's share of the limits."""
        if self._limits is None:
            self._limits = Limits.share(self.settings, len(self.partitions))
        return self._limits

    def servers(self) -> Servers:
        """The servers that hold the jobs, as they are now."""
        return read_servers(self.link)

    def ping(self) -> float:
        """Round trip to Redis in milliseconds."""
        return self.link.ping_ms()

    # -- accepting ---------------------------------------------------------------------------------------------------

    def check_admission(self, jobs: int, size_bytes: int) -> None:
        """Refuses early, before a body is read, from numbers at most 0.1 s old; `accept` checks again, exactly.

        Raises:
            QueueFull: all partitions together have no room for ``jobs`` more of ``size_bytes`` in all.
        """
        read_s, open_jobs, open_bytes = self._admission
        # One thread asks anew, the others go by the last numbers meanwhile.
        if time.monotonic() - read_s > _ADMISSION_MAX_AGE_S and self._admission_lock.acquire(blocking=read_s == 0.0):
            try:
                open_jobs, open_bytes = self._read_admission()
                self._admission = (time.monotonic(), open_jobs, open_bytes)
            finally:
                self._admission_lock.release()
        number = len(self.partitions)
        if open_jobs + jobs > self.limits.max_jobs * number or open_bytes + size_bytes > self.limits.max_bytes * number:
            raise self._full(open_jobs, open_bytes)

    def _read_admission(self) -> tuple[int, int]:
        jobs = size_bytes = 0
        for keys in self.partitions:
            jobs += self.link.command("ZCARD", keys.key("open"), patience_s=0)
            size_bytes += int(self.link.command("HGET", keys.key("ledger"), "open_bytes", patience_s=0) or 0)
        return jobs, size_bytes

    def _full(self, open_jobs: int, open_bytes: int) -> QueueFull:
        return QueueFull(
            f"the queue is full: {open_jobs} unfinished jobs of at most {self.settings.max_open_jobs} "
            f"(DRAG_MAX_OPEN_JOBS), {open_bytes} bytes of at most {self.settings.max_open_bytes} "
            "(DRAG_MAX_OPEN_BYTES); send again later, or add inference workers",
            retry_after_s=min(30.0, max(1.0, open_jobs / 100)),
        )

    def accept(self, uploads: Sequence[Upload], idempotency_key: str | None = None) -> Jobs:
        """Takes pictures in, all of them or none; after this no crash loses them.

        Args:
            uploads: at least one.
            idempotency_key: the same key with the same uploads gives the same jobs again.

        Raises:
            QueueFull: no room.
            KeyConflict: the key was used with other uploads.
        """
        keys = self._partition_for(idempotency_key)
        now_ms = time.time_ns() // 1_000_000
        job_ids = [ids.new_job_id(keys.partition, now_ms) for _ in uploads]
        request: dict[str, Any] = {
            "stream": UPLOADS,
            "upload_part": UPLOAD_PART,
            "max_jobs": self.limits.max_jobs,
            "max_bytes": self.limits.max_bytes,
            "jobs": [_accept_item(job_id, upload) for job_id, upload in zip(job_ids, uploads, strict=True)],
        }
        if idempotency_key is not None:
            request |= {"key": hashlib.sha256(idempotency_key.encode()).hexdigest(), "digest": _digest(uploads)}
        answer = self.link.script("accept", keys, request, *(upload.data for upload in uploads))
        match answer[0]:
            case b"full":
                raise self._full(int(answer[1]), int(answer[2]))
            case b"conflict":
                raise KeyConflict(
                    f"Idempotency-Key {idempotency_key!r} was used before with another body: "
                    "use a new key for a new request"
                )
            case b"same":
                return [self.get(job_id.decode()) for job_id in answer[1:]]
        return [_queued(job_id, upload, now_ms) for job_id, upload in zip(job_ids, uploads, strict=True)]

    def _partition_for(self, idempotency_key: str | None) -> PartitionKeys:
        if idempotency_key is None:
            return random.choice(self.partitions)
        number = int.from_bytes(hashlib.sha256(idempotency_key.encode()).digest()[:8])
        return self.partitions[number % len(self.partitions)]

    # -- looking up --------------------------------------------------------------------------------------------------

    def _keys_of(self, job_id: str) -> PartitionKeys:
        parsed = ids.parse_job_id(job_id)
        if parsed is None:
            raise UnknownJob(f"{job_id!r} is not a job id: expected the `id` that POST /v1/images answered")
        if parsed[0] >= len(self.partitions):
            raise UnknownJob(f"there is no job {job_id!r}")
        return self.partitions[parsed[0]]

    def _missing(self, job_id: str, keys: PartitionKeys) -> Exception:
        """UnknownJob, or GoneJob when jobs as old as this one have been forgotten."""
        forgotten = self.link.ask("hget", keys.key("ledger"), "forgotten_until")
        if forgotten is not None and job_id.partition("-")[2] <= forgotten.decode():
            return GoneJob(f"job {job_id!r} is past retention (DRAG_RESULT_TTL_S, DRAG_RESULT_BUDGET_BYTES)")
        return UnknownJob(f"there is no job {job_id!r}")

    def get(self, job_id: str) -> Job:
        """The job's record, in one read.

        Raises:
            UnknownJob: there never was such a job.
            GoneJob: it is past retention.
        """
        keys = self._keys_of(job_id)
        record = self.link.command("HGETALL", keys.job(job_id))
        if not record:
            raise self._missing(job_id, keys)
        return read_job(job_id, record)

    def status(self, job_id: str) -> str:
        """The job's status alone; cheaper than `get`, raises the same."""
        keys = self._keys_of(job_id)
        status = self.link.ask("hget", keys.job(job_id), "status")
        if status is None:
            raise self._missing(job_id, keys)
        return str(status, "ascii")

    def image(self, job_id: str) -> bytes:
        """The picture's bytes, as uploaded.

        Raises:
            UnknownJob: there never was such a job.
            GoneJob: the picture was removed, or is past retention.
        """
        keys = self._keys_of(job_id)
        data = self.link.ask("get", keys.blob(job_id))
        if data is None:
            self.get(job_id)
            raise GoneJob(f"the picture of job {job_id!r} was removed or is past retention (DRAG_PICTURE_BUDGET_BYTES)")
        return bytes(data)

    def list(self, limit: int = 50, cursor: str | None = None, status: str | None = None) -> tuple[Jobs, str | None]:
        """Jobs, newest first: at most ``limit`` (fewer when ``status`` matches few), and the cursor of the next page.

        Raises:
            UnknownJob: the cursor is not one that a list answered.
        """
        if cursor is not None and ids.parse_job_id(f"0-{cursor}") is None:
            raise UnknownJob(f"{cursor!r} is not a cursor: use `next` of the page before")
        found: list[Job] = []
        for _ in range(_SCAN_LIMIT // max(limit, 1) + 1):
            page = self._page(limit, cursor)
            found += [job for job in self._read_many(page) if status is None or job.status == status]
            cursor = page[-1].partition("-")[2] if len(page) == limit else None
            if len(found) >= limit or cursor is None:
                break
        if len(found) > limit:
            found = found[:limit]
            cursor = found[-1].id.partition("-")[2]
        return found, cursor

    def _page(self, limit: int, cursor: str | None) -> Sequence[str]:
        job_ids: list[str] = []
        for keys in self.partitions:
            below = "+" if cursor is None else f"({keys.partition}-{cursor}"
            names = self.link.ask("zrevrangebylex", keys.key("jobs"), below, "-", 0, limit)
            job_ids += [name.decode() for name in names]
        return sorted(job_ids, key=lambda job_id: job_id.partition("-")[2], reverse=True)[:limit]

    def _read_many(self, job_ids: Sequence[str]) -> Jobs:
        jobs = []
        for keys in self.partitions:
            mine = [job_id for job_id in job_ids if ids.parse_job_id(job_id)[0] == keys.partition]  # type: ignore[index]
            if mine:
                records = self.link.script("records", keys, {"jobs": mine})
                found = zip(mine, records, strict=True)
                jobs += [read_job(job_id, _pairs(record)) for job_id, record in found if record]
        return sorted(jobs, key=lambda job: job.id.partition("-")[2], reverse=True)

    # -- removing ----------------------------------------------------------------------------------------------------

    def delete(self, job_id: str) -> Job:
        """Cancels an open job; removes the picture and result of any.

        Raises:
            UnknownJob, GoneJob: as `get`.
        """
        keys = self._keys_of(job_id)
        if not self.link.script("remove", keys, {"job": job_id, "limits": self.limits.for_scripts()}):
            raise self._missing(job_id, keys)
        return self.get(job_id)

    # -- dead letters ------------------------------------------------------------------------------------------------

    def dead_letters(self, limit: int = 50, cursor: str | None = None) -> tuple[DeadLetters, str | None]:
        """Dead letters, newest first within each partition, and the cursor of the next page.

        Raises:
            UnknownJob: the cursor is not one that a list answered.
        """
        start, entry = self._dead_position(cursor) if cursor is not None else (0, "+")
        letters: list[DeadLetter] = []
        for keys in self.partitions[start:]:
            wanted = limit - len(letters)
            rows = self.link.ask("xrevrange", keys.key("dead"), entry, "-", wanted + 1)
            letters += [read_dead_letter(keys.partition, row_id, fields) for row_id, fields in rows[:wanted]]
            if len(rows) > wanted:
                return letters, f"{keys.partition}-{rows[wanted][0].decode()}"
            entry = "+"
        return letters, None

    def _dead_position(self, dead_id: str) -> tuple[int, str]:
        """``<partition>-<ms>-<sequence>`` apart."""
        partition, _, entry = dead_id.partition("-")
        parts = entry.split("-")
        if len(parts) != 2 or not all(_DIGITS.fullmatch(part) for part in (partition, *parts)):
            raise UnknownJob(f"{dead_id!r} is not a dead letter's id: expected one that GET /v1/dead answered")
        if int(partition) >= len(self.partitions):
            raise _no_letter(dead_id)
        return int(partition), entry

    def dead_letter(self, dead_id: str) -> DeadLetter:
        """One dead letter.

        Raises:
            UnknownJob: there is none of that id (any more).
        """
        partition, entry = self._dead_position(dead_id)
        rows = self.link.ask("xrange", self.partitions[partition].key("dead"), entry, entry)
        if not rows:
            raise _no_letter(dead_id)
        return read_dead_letter(partition, *rows[0])

    def requeue(self, dead_id: str) -> Job:
        """Tries a dead letter's job anew, with its attempts counted from zero.

        Raises:
            UnknownJob: there is no such letter.
            GoneJob: the letter has no job whose picture is still there.
        """
        partition, entry = self._dead_position(dead_id)
        answer = self.link.script("requeue", self.partitions[partition], {"letter": entry}, patience_s=0)
        if answer[0] == b"unknown":
            raise _no_letter(dead_id)
        if answer[0] == b"no job":
            raise GoneJob(f"dead letter {dead_id!r} has no job to requeue: it was a message of no known job")
        return self.get(answer[1].decode())

    def drop(self, dead_id: str) -> None:
        """Takes a dead letter and its picture away for good.

        Raises:
            UnknownJob: there is no such letter.
        """
        partition, entry = self._dead_position(dead_id)
        request = {"letter": entry, "limits": self.limits.for_scripts()}
        if not self.link.script("drop", self.partitions[partition], request, patience_s=0):
            raise _no_letter(dead_id)


def _no_letter(dead_id: str) -> UnknownJob:
    return UnknownJob(f"there is no dead letter {dead_id!r}: it was requeued, dropped or pushed out by newer ones")


def _accept_item(job_id: str, upload: Upload) -> dict[str, Any]:
    fields: list[str | int] = ["pipeline", upload.pipeline, "name", upload.name, "media_type", upload.media_type]
    fields += ["width", upload.width_px, "height", upload.height_px]
    message = wire.pack(wire.UploadMessage(upload.pipeline, len(upload.data), upload.min_score))
    return {"id": job_id, "size": len(upload.data), "fields": fields, "message": message}


def _queued(job_id: str, upload: Upload, now_ms: int) -> Job:
    return Job(
        id=job_id,
        status="queued",
        pipeline=upload.pipeline,
        name=upload.name,
        media_type=upload.media_type,
        size_bytes=len(upload.data),
        width_px=upload.width_px,
        height_px=upload.height_px,
        created_ms=now_ms,
        has_image=True,
    )


def _digest(uploads: Sequence[Upload]) -> bytes:
    digest = hashlib.sha256()
    for upload in uploads:
        digest.update(msgpack.packb([upload.name, upload.pipeline, upload.min_score, len(upload.data)]))
        digest.update(upload.data)
    return digest.digest()


def _pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
