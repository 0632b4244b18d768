"""Which processes are there: each says so every few seconds; who falls silent is forgotten."""

import functools
import os
import secrets
import socket
import time
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from typing import Any

import msgpack

from drag_shared.keys import WORKERS
from drag_shared.redis_client import Link

ALIVE_MS = 10_000
FORGOTTEN_MS = 60_000
BEAT_EVERY_S = 2.0

# Stamps and stores in one step, by the server's clock; the one place where a worker's row is written.
_BEAT = """#!lua flags=allow-oom
local t = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack({t[1] * 1000 + math.floor(t[2] / 1000), ARGV[2]}))
return 1
"""
_READ = """#!lua flags=allow-oom
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local rows = redis.call('HGETALL', KEYS[1])
local answer = {}
for i = 1, #rows, 2 do
  local row = cmsgpack.unpack(rows[i + 1])
  if now - row[1] > tonumber(ARGV[1]) then redis.call('HDEL', KEYS[1], rows[i])
  else answer[#answer + 1] = {row[1], now - row[1], row[2]} end
end
return answer
"""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A process as it last told of itself.

    Attributes:
        service: ``api | ingest | inference | viewer``.
        state: ``starting | warming | ready | draining | failed``.
        reason: why it is in that state, for people.
        metrics_url: where Prometheus finds it; empty: nowhere.
        started_ms, seen_ms: Unix time in milliseconds; ``seen_ms`` by Redis' clock.
        silent_ms: for how long it has not been seen, at the time of reading.
    """

    name: str
    service: str
    host: str
    pid: int
    state: str = "starting"
    reason: str = ""
    model: str = ""
    model_version: str = ""
    metrics_url: str = ""
    version: str = ""
    started_ms: int = 0
    seen_ms: int = 0
    silent_ms: int = 0
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Ready, and seen within the last 10 s."""
        return self.state == "ready" and self.silent_ms <= ALIVE_MS


_FIELDS = {item.name for item in fields(WorkerInfo)}


def process_name(service: str) -> str:
    """A name for this process that no other has: service, host, process id and chance."""
    return f"{service}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


@functools.cache
def release() -> str:
    """The release of DRAG that runs."""
    try:
        return metadata.version("drag")
    except metadata.PackageNotFoundError:
        return "from source"


def this_process(service: str, **facts: Any) -> WorkerInfo:
    """The row of this process, started now; ``facts`` are further fields of `WorkerInfo`."""
    return WorkerInfo(
        name=process_name(service),
        service=service,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=release(),
        started_ms=time.time_ns() // 1_000_000,
        **facts,
    )


class Registry:
    """The table of processes in Redis. Methods raise `Unavailable` when Redis is away."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def beat(self, info: WorkerInfo) -> None:
        """Writes a process's row; call it every ``BEAT_EVERY_S``."""
        packed = msgpack.packb(asdict(info))
        self._link.ask("eval", _BEAT, 1, WORKERS, info.name, packed, patience_s=0)

    def leave(self, name: str) -> None:
        """Takes a process's row away."""
        self._link.ask("hdel", WORKERS, name, patience_s=0)

    def workers(self) -> list[WorkerInfo]:
        """All processes seen within the last minute, by service and name."""
        rows = self._link.ask("eval", _READ, 1, WORKERS, FORGOTTEN_MS)
        found = []
        for seen_ms, silent_ms, packed in rows:
            values = {name: value for name, value in msgpack.unpackb(packed).items() if name in _FIELDS}
            found.append(WorkerInfo(**values | {"seen_ms": int(seen_ms), "silent_ms": int(silent_ms)}))
        return sorted(found, key=lambda info: (info.service, info.model, info.name))
