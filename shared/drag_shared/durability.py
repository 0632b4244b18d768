"""Whether a Redis server keeps what `DRAG_DURABILITY` promises, told from its own configuration."""

from dataclasses import dataclass
from typing import Any

import redis

from drag_shared.redis_client import Link


@dataclass(frozen=True, slots=True)
class ServerState:
    """One server as it is now.

    Attributes:
        name: ``Redis`` or ``Valkey``.
        append_only: whether it writes an append-only file.
        appendfsync: when that is synced; None: the server does not say.
    """

    name: str
    version: str
    append_only: bool
    appendfsync: str | None
    used_bytes: int
    maxmemory_bytes: int
    maxmemory_policy: str

    def weakness(self, durability: str) -> tuple[str, str] | None:
        """What keeps the server from the promised durability, and the fix; None when nothing does."""
        if not self.append_only:
            fix = f"CONFIG SET appendonly yes, and appendfsync {durability}, in its configuration too"
            return f"no append-only file, so that DRAG_DURABILITY={durability} cannot be kept", fix
        if self.appendfsync not in (None, "always", durability):
            fix = f"CONFIG SET appendfsync {durability}, or set DRAG_DURABILITY=everysec if that is enough"
            return f"appendfsync {self.appendfsync}, but DRAG_DURABILITY={durability}", fix
        return None


def read_server(client: Any) -> ServerState:
    """The state of the one server behind a redis-py client."""
    info = client.info()
    try:
        appendfsync = client.config_get("appendfsync").get("appendfsync")
    except redis.ResponseError:  # managed servers hide it
        appendfsync = None
    return ServerState(
        name="Valkey" if "valkey_version" in info else "Redis",
        version=str(info.get("valkey_version") or info["redis_version"]),
        append_only=bool(info.get("aof_enabled")),
        appendfsync=appendfsync,
        used_bytes=int(info["used_memory"]),
        maxmemory_bytes=int(info.get("maxmemory", 0)),
        maxmemory_policy=str(info.get("maxmemory_policy", "?")),
    )


def read_servers(link: Link) -> list[ServerState]:
    """The states of all servers that take writes: one, or a cluster's masters.

    Raises:
        Unavailable: they cannot be asked.
    """

    def read(client: Any) -> list[ServerState]:
        if not link.is_cluster:
            return [read_server(client)]
        return [read_server(client.get_redis_connection(node)) for node in client.get_primaries()]

    return link.call(read, 0)
