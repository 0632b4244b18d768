"""Statistics of a model: counts, latencies and throughput that workers gather and that add up across workers."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

_BUCKETS_PER_DOUBLING: Final = 8
"""Neighbouring buckets lie 9 % apart, so that a percentile is told within about 4.5 %."""
_SMALLEST_MS: Final = 0.001
_LARGEST_BUCKET: Final = 300
_WINDOW_S: Final = 60

PERCENTILES: Final = (50, 95, 99)


class LatencyHistogram:
    """Durations in logarithmic buckets: any number of them in a few hundred numbers, and two add up exactly.

    Not thread safe; `ModelStatistics` locks.
    """

    __slots__ = ("buckets", "count", "max_ms", "min_ms", "total_ms")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total_ms = 0.0
        self.min_ms = math.inf
        self.max_ms = 0.0

    def record(self, value_ms: float) -> None:
        """Adds one duration; a negative one (a clock that was set) counts as 0."""
        value_ms = max(0.0, value_ms)
        bucket = _bucket(value_ms)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1
        self.total_ms += value_ms
        self.min_ms = min(self.min_ms, value_ms)
        self.max_ms = max(self.max_ms, value_ms)

    def merge(self, other: LatencyHistogram) -> None:
        """Adds all of another's durations."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        self.count += other.count
        self.total_ms += other.total_ms
        self.min_ms = min(self.min_ms, other.min_ms)
        self.max_ms = max(self.max_ms, other.max_ms)

    def percentile(self, percent: float) -> float:
        """The duration that `percent` of all do not exceed, within the buckets' width; 0 when there is none."""
        if self.count == 0:
            return 0.0
        rank = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return min(self.max_ms, max(self.min_ms, _middle_ms(bucket)))
        return self.max_ms

    def summary(self) -> dict[str, float]:
        """Mean, min, max and percentiles in milliseconds, for people and JSON."""
        if self.count == 0:
            return dict.fromkeys(("mean_ms", "min_ms", "max_ms", *(f"p{p}_ms" for p in PERCENTILES)), 0.0)
        return {
            "mean_ms": round(self.total_ms / self.count, 3),
            "min_ms": round(self.min_ms, 3),
            "max_ms": round(self.max_ms, 3),
            **{f"p{p}_ms": round(self.percentile(p), 3) for p in PERCENTILES},
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` reads back; it survives JSON and msgpack."""
        return {
            "count": self.count,
            "total_ms": round(self.total_ms, 3),
            "min_ms": round(self.min_ms, 3) if self.count else 0.0,
            "max_ms": round(self.max_ms, 3),
            "buckets": {str(bucket): count for bucket, count in self.buckets.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LatencyHistogram:
        """Reads what `to_dict` wrote."""
        made = cls()
        made.buckets = {int(bucket): int(count) for bucket, count in data.get("buckets", {}).items()}
        made.count = int(data.get("count", 0))
        made.total_ms = float(data.get("total_ms", 0.0))
        made.min_ms = float(data["min_ms"]) if made.count else math.inf
        made.max_ms = float(data.get("max_ms", 0.0))
        return made


class ModelStatistics:
    """What one worker, or several together, did with a model. Thread safe.

    Queue time is what a picture waited between its entry in the model's stream and the start of its inference, apart
    from its own fetching and decoding; compute time is its batch's inference; latency is both and all between.

    Args:
        clock: seconds, never set back.
    """

    def __init__(self, clock: Any = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._start_s: float = clock()
        self._recent: deque[list[int]] = deque()  # [second, pictures]
        self.count = 0
        self.errors = 0
        self.batches = 0
        self.queue = LatencyHistogram()
        self.compute = LatencyHistogram()
        self.latency = LatencyHistogram()
        self._merged_per_s = 0.0

    def record_batch(self, waits_ms: Iterable[float], compute_ms: float) -> None:
        """Adds a batch that was inferred.

        Args:
            waits_ms: of each picture, its queue time.
            compute_ms: what the batch's inference took.
        """
        waits = list(waits_ms)
        with self._lock:
            self.batches += 1
            self.count += len(waits)
            for wait_ms in waits:
                self.queue.record(wait_ms)
                self.compute.record(compute_ms)
            self._note(len(waits))

    def record_latencies(self, latencies_ms: Iterable[float]) -> None:
        """Adds what pictures took from delivery to their result."""
        with self._lock:
            for latency_ms in latencies_ms:
                self.latency.record(latency_ms)

    def record_errors(self, count: int = 1) -> None:
        """Adds pictures that ended without a result."""
        with self._lock:
            self.errors += count

    def throughput_per_s(self) -> float:
        """Pictures a second over the last minute, or since the start where that is shorter."""
        with self._lock:
            return self._throughput() + self._merged_per_s

    def merge(self, other: ModelStatistics) -> None:
        """Adds what another worker did; its throughput adds up too."""
        with self._lock:
            self.count += other.count
            self.errors += other.errors
            self.batches += other.batches
            self.queue.merge(other.queue)
            self.compute.merge(other.compute)
            self.latency.merge(other.latency)
            self._merged_per_s += other.throughput_per_s()

    def summary(self) -> dict[str, Any]:
        """For people and JSON: counts, throughput, and queue, compute and whole latency apart."""
        per_s = self.throughput_per_s()
        with self._lock:
            return {
                "count": self.count,
                "errors": self.errors,
                "batches": self.batches,
                "mean_batch": round(self.count / self.batches, 2) if self.batches else 0.0,
                "throughput_per_s": round(per_s, 2),
                "queue": self.queue.summary(),
                "compute": self.compute.summary(),
                "latency": self.latency.summary(),
            }

    def to_dict(self) -> dict[str, Any]:
        """Plain data that travels in a worker's announcement; `from_dict` reads it back."""
        per_s = self.throughput_per_s()
        with self._lock:
            return {
                "count": self.count,
                "errors": self.errors,
                "batches": self.batches,
                "throughput_per_s": round(per_s, 3),
                "queue": self.queue.to_dict(),
                "compute": self.compute.to_dict(),
                "latency": self.latency.to_dict(),
            }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelStatistics:
        """Reads what `to_dict` wrote; a field that is missing counts as nothing."""
        made = cls()
        made.count = int(data.get("count", 0))
        made.errors = int(data.get("errors", 0))
        made.batches = int(data.get("batches", 0))
        made.queue = LatencyHistogram.from_dict(data.get("queue", {}))
        made.compute = LatencyHistogram.from_dict(data.get("compute", {}))
        made.latency = LatencyHistogram.from_dict(data.get("latency", {}))
        made._merged_per_s = float(data.get("throughput_per_s", 0.0))
        return made

    @classmethod
    def together(cls, many: Iterable[Mapping[str, Any]]) -> ModelStatistics:
        """The sum of several workers' `to_dict`."""
        total = cls()
        for data in many:
            total.merge(cls.from_dict(data))
        return total

    def _note(self, pictures: int) -> None:
        second = int(self._clock())
        if self._recent and self._recent[-1][0] == second:
            self._recent[-1][1] += pictures
        else:
            self._recent.append([second, pictures])
        self._forget(second)

    def _forget(self, second: int) -> None:
        while self._recent and self._recent[0][0] <= second - _WINDOW_S:
            self._recent.popleft()

    def _throughput(self) -> float:
        now_s: float = self._clock()
        self._forget(int(now_s))
        seconds = min(float(_WINDOW_S), max(1.0, now_s - self._start_s))
        return sum(pictures for _, pictures in self._recent) / seconds


def _bucket(value_ms: float) -> int:
    if value_ms <= _SMALLEST_MS:
        return 0
    return min(_LARGEST_BUCKET, 1 + int(math.log2(value_ms / _SMALLEST_MS) * _BUCKETS_PER_DOUBLING))


def _middle_ms(bucket: int) -> float:
    if bucket == 0:
        return _SMALLEST_MS
    return float(_SMALLEST_MS * 2.0 ** ((bucket - 0.5) / _BUCKETS_PER_DOUBLING))
