"""The partitions of one installation: how many there are, and each one's share of the limits."""

from dataclasses import dataclass
from typing import Any

from drag_shared.config import Settings
from drag_shared.errors import ConfigError
from drag_shared.keys import PARTITIONS, PartitionKeys
from drag_shared.redis_client import Link

_GROW = """
local stored = tonumber(redis.call('GET', KEYS[1]) or 0)
local wanted = tonumber(ARGV[1])
if wanted > stored then redis.call('SET', KEYS[1], wanted) end
return math.max(stored, wanted)
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one partition may hold of open jobs, ended jobs and dead letters."""

    max_jobs: int
    max_bytes: int
    ttl_ms: int
    idempotency_ms: int
    picture_bytes: int
    record_bytes: int
    dead_bytes: int

    @classmethod
    def share(cls, settings: Settings, partitions: int) -> "Limits":
        """A partition's share of the installation's limits.

        Raises:
            ConfigError: the largest upload would not fit into an empty partition.
        """
        if settings.max_upload_bytes * partitions > settings.max_open_bytes:
            raise ConfigError(
                f"DRAG_MAX_OPEN_BYTES ({settings.max_open_bytes}) must be at least DRAG_MAX_UPLOAD_BYTES "
                f"({settings.max_upload_bytes}) times the number of partitions ({partitions}), "
                "else the largest upload is never accepted: raise the one or lower the other"
            )
        return cls(
            max_jobs=max(settings.max_files, settings.max_open_jobs // partitions),
            max_bytes=settings.max_open_bytes // partitions,
            ttl_ms=settings.result_ttl_s * 1000,
            idempotency_ms=settings.idempotency_ttl_s * 1000,
            picture_bytes=settings.picture_budget_bytes // partitions,
            record_bytes=settings.result_budget_bytes // partitions,
            dead_bytes=settings.dead_budget_bytes // partitions,
        )

    def for_scripts(self) -> dict[str, Any]:
        """The part of the limits that scripts know as ``limits``."""
        return {
            "ttl_ms": self.ttl_ms,
            "idempotency_ms": self.idempotency_ms,
            "picture_bytes": self.picture_bytes,
            "record_bytes": self.record_bytes,
            "dead_bytes": self.dead_bytes,
        }


def settle_partitions(link: Link, settings: Settings, patience_s: float = 2.0) -> list[PartitionKeys]:
    """The installation's partitions; the stored number grows to the configured one and never shrinks.

    Raises:
        Unavailable: Redis is away.
    """
    number = link.ask("eval", _GROW, 1, PARTITIONS, settings.partitions, patience_s=patience_s)
    return [PartitionKeys(index) for index in range(int(number))]
