"""What a worker tells of itself, and what is done at each of its heartbeats."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any, Final

from drag_inference.shared_state import SharedState
from drag_shared.errors import ConfigError, Unavailable
from drag_shared.heap import trim_heap
from drag_shared.registry import WorkerInfo

log = logging.getLogger(__name__)

STATISTICS_S: Final = 60.0
TRIM_S: Final = 30.0
NEWER: Final = "messages of a newer release wait: upgrade this worker"


class Status:
    """The worker's state, for `drag_shared.presence.Presence`: `describe` and `upkeep` are called at each beat.

    Args:
        info: the worker's row; state, reason and statistics are filled in.
    """

    def __init__(self, info: WorkerInfo) -> None:
        self._info = info
        self._now = ("starting", "")
        self._shared: SharedState | None = None
        self._next_statistics_s = time.monotonic() + STATISTICS_S
        self._next_trim_s = time.monotonic() + TRIM_S
        self._counted = 0

    def watch(self, shared: SharedState) -> None:
        """From now on leases are renewed and statistics told."""
        self._shared = shared

    def say(self, state: str, reason: str = "") -> None:
        """Changes the state; the next beat tells it."""
        self._now = (state, reason)
        if self._shared is not None:
            self._shared.observer.state(state)
        log.info("worker is %s%s", state, f": {reason}" if reason else "")

    def describe(self) -> WorkerInfo:
        """The worker as it is now; while newer messages wait that it cannot read, it is not ready."""
        state, reason = self._now
        if self._shared is None:
            return replace(self._info, state=state, reason=reason)
        if state == "ready" and self._shared.source.newer_seen:
            state, reason = "starting", NEWER
        return replace(self._info, state=state, reason=reason, stats=self._shared.observer.statistics.to_dict())

    def upkeep(self) -> None:
        """Renews leases; now and then trims the heap and logs the model's statistics.

        Raises:
            Unavailable: Redis is away; the next beat tries again.
        """
        shared = self._shared
        if shared is None:
            return
        shared.observer.in_flight.set(len(shared.in_flight))
        self._now_and_then(shared, time.monotonic())
        try:
            lost = shared.source.renew()
        except (Unavailable, ConfigError):
            raise
        except Exception:
            log.exception("cannot renew leases")  # the heartbeat must go on: without it all leases run out
            return
        if lost:
            shared.observer.abandoned(shared.in_flight.mark_lost(lost))
            log.warning("lost the lease of %d jobs, another worker has them: %s", len(lost), ", ".join(sorted(lost)))

    def _now_and_then(self, shared: SharedState, now_s: float) -> None:
        if now_s >= self._next_trim_s:
            self._next_trim_s = now_s + TRIM_S
            trim_heap()
        if now_s >= self._next_statistics_s:
            self._next_statistics_s = now_s + STATISTICS_S
            self.log_statistics()

    def log_statistics(self) -> None:
        """One line, unless nothing was done since the last one."""
        if self._shared is None:
            return
        summary = self._shared.observer.statistics.summary()
        done = summary["count"] + summary["errors"]
        if done > self._counted:
            self._counted = done
            log.info("statistics of %s", self._shared.spec.name, extra=_line(summary))


def _line(summary: dict[str, Any]) -> dict[str, Any]:
    """The statistics as fields of one log line."""
    fields = {key: summary[key] for key in ("count", "errors", "mean_batch", "throughput_per_s")}
    for kind in ("queue", "compute", "latency"):
        for name in ("mean_ms", "min_ms", "max_ms", "p50_ms", "p95_ms", "p99_ms"):
            fields[f"{kind}_{name}"] = summary[kind][name]
    return fields
