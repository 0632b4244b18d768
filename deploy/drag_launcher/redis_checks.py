"""What `drag doctor` asks Redis: version, persistence, memory, against the settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import redis
from redis.cluster import RedisCluster

from drag_launcher.checks import Finding
from drag_shared.config import GIB, Settings, embedded_socket, mask_url, memory_needed, redis_address
from drag_shared.durability import ServerState, read_server

_OLDEST = (7, 0)


def server(settings: Settings) -> Iterator[Finding]:
    """The Redis that these settings name, every master of it when it is a cluster."""
    address = redis_address(settings)
    if not settings.redis_url and not embedded_socket(settings).exists():
        yield Finding("Redis", "ok", "embedded; `drag run` starts it")
        return
    try:
        if "+cluster" in address:
            yield from _cluster(address, settings)
        else:
            with redis.Redis.from_url(address, socket_timeout=5, socket_connect_timeout=2, protocol=2) as client:
                yield from _node("Redis", client, settings)
    except (redis.RedisError, OSError) as error:
        if not settings.redis_url:
            yield Finding("Redis", "ok", "embedded, not running; `drag run` starts it")
            return
        fix = "start it, correct DRAG_REDIS_URL, or leave that empty for the embedded server"
        yield Finding("Redis", "error", f"{mask_url(address)}: {error}", fix)


def _cluster(address: str, settings: Settings) -> Iterator[Finding]:
    with RedisCluster.from_url(address.replace("+cluster", "", 1), socket_timeout=5) as cluster:
        primaries = cluster.get_primaries()
        yield Finding("cluster", "ok", f"{len(primaries)} masters, {settings.partitions} partitions")
        if settings.partitions < len(primaries):
            fix = f"set DRAG_PARTITIONS={len(primaries)} or more (it only grows)"
            yield Finding("partitions", "warning", "fewer than masters: some stay idle", fix)
        for node in primaries:
            yield from _node(f"Redis {node.name}", cluster.get_redis_connection(node), settings)


def _node(what: str, client: Any, settings: Settings) -> Iterator[Finding]:
    info = client.info()
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        yield Finding(what, "error", f"{name} {version}", "use Redis 7.0, Valkey 8 or later")
    elif info.get("role") == "slave":
        yield Finding(what, "error", f"{name} {version} is a replica", "let DRAG_REDIS_URL name the master")
    else:
        yield Finding(what, "ok", f"{name} {version}")
    yield _persistence(what, read_server(client), settings)
    yield from _memory(what, info, settings)


def _persistence(what: str, server: ServerState, settings: Settings) -> Finding:
    what = f"{what} persistence"
    weakness = server.weakness(settings.durability)
    if weakness is not None:
        return Finding(what, "error", *weakness)
    if server.appendfsync is None:
        fix = f"make sure that it is {settings.durability}"
        return Finding(what, "warning", "on; appendfsync cannot be seen", fix)
    kept = f"append-only file, appendfsync {server.appendfsync}, DRAG_DURABILITY={settings.durability}"
    return Finding(what, "ok", kept)


def _memory(what: str, info: dict[str, Any], settings: Settings) -> Iterator[Finding]:
    what = f"{what} memory"
    bound, policy = int(info.get("maxmemory", 0)), str(info.get("maxmemory_policy", "?"))
    needed = memory_needed(settings)
    if policy != "noeviction" and bound:
        fix = "CONFIG SET maxmemory-policy noeviction"
        yield Finding(what, "error", f"maxmemory-policy {policy} throws jobs away when memory is short", fix)
    saw = f"{int(info['used_memory']) / GIB:.2f} GiB used of {f'{bound / GIB:.2f} GiB' if bound else 'no bound'}"
    if not bound:
        fix = f"CONFIG SET maxmemory {needed * 5 // 4}"
        yield Finding(what, "warning", f"{saw}: it can take all of its machine's memory", fix)
    elif bound < needed / settings.partitions:
        fix = "raise maxmemory, or lower DRAG_MAX_OPEN_BYTES and the budgets"
        yield Finding(what, "warning", f"{saw}; the settings allow {needed / GIB:.2f} GiB of pictures and results", fix)
    else:
        yield Finding(what, "ok", f"{saw}, {policy}")
