"""What a job's record and a dead letter hold, read from Redis' bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack

OPEN = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its record tells it.

    Attributes:
        status: ``queued | running | done | failed | dead | cancelled``.
        width_px, height_px: of the upright picture.
        created_ms, ended_ms: Unix time in milliseconds, Redis' clock.
        attempts: how often work on it was taken over from a dead worker, or failed.
        error: ``{"code", "detail"}`` of a failed or dead job.
        result: what the pipeline's models found, when done and not removed.
        timings: milliseconds by stage.
        has_image: the picture is still kept.
    """

    id: str
    status: str
    pipeline: str
    name: str
    media_type: str
    size_bytes: int
    width_px: int
    height_px: int
    created_ms: int
    ended_ms: int | None = None
    attempts: int = 0
    error: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    timings: dict[str, float] = field(default_factory=dict)
    has_image: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self.status in OPEN


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Work that was given up, with its cause and history.

    Attributes:
        id: ``<partition>-<ms>-<sequence>``.
        job_id: empty for a message of no known job.
        history: one ``{"at_ms", "part", "consumer", "cause"}`` for each attempt, oldest first.
        message: the message's bytes as they were.
        size_bytes: what the letter holds of the byte budget, its picture included.
    """

    id: str
    job_id: str
    stream: str
    part: str
    cause: str
    history: list[dict[str, Any]]
    attempts: int
    size_bytes: int
    dead_ms: int
    message: bytes


def read_job(job_id: str, record: Mapping[bytes, bytes]) -> Job:
    """A job from the fields of its hash."""

    def text(name: bytes) -> str:
        return record.get(name, b"").decode("utf-8", "replace")

    ended = record.get(b"ended")
    created_ms = int(record[b"created"])
    ended_ms = int(ended) if ended else None
    status = text(b"status")
    return Job(
        id=job_id,
        status=status,
        pipeline=text(b"pipeline"),
        name=text(b"name"),
        media_type=text(b"media_type"),
        size_bytes=int(record[b"size"]),
        width_px=int(record.get(b"width", 0)),
        height_px=int(record.get(b"height", 0)),
        created_ms=created_ms,
        ended_ms=ended_ms,
        attempts=sum(int(value) for name, value in record.items() if name.startswith(b"a:")),
        error=_error(status, record),
        result=msgpack.unpackb(record[b"r:0"]) if record.get(b"r:0") else None,
        timings=_timings(record.get(b"t:0"), created_ms, ended_ms),
        has_image=b"image" in record,
    )


def _error(status: str, record: Mapping[bytes, bytes]) -> dict[str, Any] | None:
    if status == "dead":
        return {"code": "dead", "detail": record.get(b"cause", b"").decode("utf-8", "replace")}
    if status == "failed":
        error: dict[str, Any] = msgpack.unpackb(record[b"error"])
        return error
    return None


def _timings(packed: bytes | None, created_ms: int, ended_ms: int | None) -> dict[str, float]:
    """Stage timings; `queued` is what of the job's life no worker held it."""
    if not packed or ended_ms is None:
        return {}
    timings: dict[str, float] = msgpack.unpackb(packed)
    total_ms = float(ended_ms - created_ms)
    held_ms = timings.pop("held", 0.0)
    return {"queued": round(max(0.0, total_ms - held_ms), 1), **timings, "total": total_ms}


def read_dead_letter(partition: int, entry_id: bytes, fields: Mapping[bytes, bytes]) -> DeadLetter:
    """A dead letter from its stream entry."""

    def text(name: bytes) -> str:
        return fields.get(name, b"").decode("utf-8", "replace")

    history = msgpack.unpackb(fields.get(b"history", b"\x90"), unicode_errors="backslashreplace")
    return DeadLetter(
        id=f"{partition}-{entry_id.decode()}",
        job_id=text(b"job"),
        stream=text(b"stream"),
        part=text(b"part"),
        cause=text(b"cause"),
        history=history if isinstance(history, list) else [],  # Lua packs an empty list as an empty map
        attempts=int(fields.get(b"attempts", 0)),
        size_bytes=int(fields.get(b"bytes", 0)),
        dead_ms=int(entry_id.partition(b"-")[0]),
        message=fields.get(b"m", b""),
    )
