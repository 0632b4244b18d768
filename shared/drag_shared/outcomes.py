"""What a consumer receives (`Entry`) and what it can say of it (the outcomes), as plain data and as scripts want it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack

from drag_shared.config import Settings
from drag_shared.jobs import ROOT_PART, UPLOAD_PART
from drag_shared.keys import frames_stream
from drag_shared.wire import Message, pack


@dataclass(frozen=True, slots=True)
class Entry:
    """A delivered stream entry.

    Attributes:
        stream: short name, like ``uploads`` or ``frames:gauge-detector``.
        attempt: attempts counted so far; over 0: run it alone.
        received_s: when it was delivered, `time.monotonic`.
    """

    partition: int
    stream: str
    entry_id: str
    job_id: str
    part: str
    attempt: int
    message: Message
    received_s: float


@dataclass(frozen=True, slots=True)
class Routed:
    """Ingest: the upload goes on to a model's stream."""

    entry: Entry
    model: str
    message: Message
    fields: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Advanced:
    """A part is done, with its result and what its stages took in milliseconds."""

    entry: Entry
    result: Mapping[str, Any]
    timings: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Failed:
    """The input's own, permanent fault: `code` for machines, `detail` for people."""

    entry: Entry
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Retry:
    """An attempt failed for a reason that may pass."""

    entry: Entry
    cause: str


@dataclass(frozen=True, slots=True)
class HandedBack:
    """Not tried; costs no attempt."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Dropped:
    """The job was cancelled meanwhile."""

    entry: Entry


Outcome = Routed | Advanced | Failed | Retry | HandedBack | Dropped
SCRIPT: dict[type[Outcome], str] = {
    Routed: "route",
    Advanced: "advance",
    Failed: "advance",
    Retry: "retry",
    HandedBack: "hand_back",
    Dropped: "acknowledge",
}


def item_of(entry: Entry) -> dict[str, Any]:
    """What every script wants to know of an entry."""
    return {"entry": entry.entry_id, "job": entry.job_id, "part": entry.part}


def route_item(outcome: Routed) -> dict[str, Any]:
    """An item of the script `route`."""
    return item_of(outcome.entry) | {
        "from": outcome.entry.part,
        "part": ROOT_PART,
        "stream": frames_stream(outcome.model),
        "message": pack(outcome.message),
        "fields": [part for pair in outcome.fields.items() for part in pair],
    }


def advance_item(outcome: Advanced | Failed, now_s: float) -> dict[str, Any]:
    """An item of the script `advance`; ``now_s`` is `time.monotonic`."""
    item = item_of(outcome.entry)
    if isinstance(outcome, Failed):
        fatal = outcome.entry.part in (UPLOAD_PART, ROOT_PART)
        return item | {"error": msgpack.packb({"code": outcome.code, "detail": outcome.detail}), "fatal": fatal}
    held_ms = round((now_s - outcome.entry.received_s) * 1000, 2)
    timings = {**outcome.timings, "held": held_ms}
    return item | {"result": msgpack.packb(outcome.result), "timings": msgpack.packb(timings)}


def backoff_ms(attempt: int, settings: Settings) -> int:
    """The pause before the next try: doubles with each attempt up to the longest pause; half of it is chance."""
    longest_ms: int = min(settings.retry_max_ms, settings.retry_base_ms << min(attempt, 20))
    return max(1, round(random.uniform(0.5, 1.0) * longest_ms))
