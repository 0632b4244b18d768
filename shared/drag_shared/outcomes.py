"""What a consumer receives (`Entry`) and what it can say of it (the outcomes), as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drag_shared.wire import Message


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
