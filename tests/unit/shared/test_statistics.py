"""Statistics tell percentiles within their promise, add up across workers and travel as plain data."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drag_shared.statistics import LatencyHistogram, ModelStatistics

DURATIONS = st.lists(st.floats(0.002, 100_000), min_size=1, max_size=200)


def histogram(values: list[float]) -> LatencyHistogram:
    made = LatencyHistogram()
    for value in values:
        made.record(value)
    return made


@given(DURATIONS, st.sampled_from([1, 50, 95, 99, 100]))
def test_percentiles_are_within_a_bucket_of_the_truth(values: list[float], percent: int) -> None:
    exact = float(np.percentile(values, percent, method="inverted_cdf"))
    assert histogram(values).percentile(percent) == pytest.approx(exact, rel=0.046)


@given(DURATIONS, DURATIONS)
def test_merging_is_the_same_as_recording_together(first: list[float], second: list[float]) -> None:
    merged = histogram(first)
    merged.merge(histogram(second))
    both = histogram(first + second)
    assert (merged.buckets, merged.count, merged.min_ms, merged.max_ms) == (
        both.buckets,
        both.count,
        both.min_ms,
        both.max_ms,
    )
    assert merged.total_ms == pytest.approx(both.total_ms)


def test_an_empty_histogram_says_nothing_and_travels() -> None:
    empty = LatencyHistogram.from_dict(json.loads(json.dumps(LatencyHistogram().to_dict())))
    assert empty.summary() == {"mean_ms": 0, "min_ms": 0, "max_ms": 0, "p50_ms": 0, "p95_ms": 0, "p99_ms": 0}
    empty.merge(histogram([5.0]))
    assert empty.summary()["min_ms"] == 5.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_workers_add_up_through_plain_data() -> None:
    clock = Clock()
    first, second = ModelStatistics(clock), ModelStatistics(clock)
    clock.now_s += 10
    first.record_batch([1.0, 3.0], 20.0)
    second.record_batch([2.0], 40.0)
    second.record_errors()
    first.record_latencies([25.0, 26.0])
    together = ModelStatistics.together(json.loads(json.dumps(s.to_dict())) for s in (first, second)).summary()
    assert (together["count"], together["errors"], together["batches"]) == (3, 1, 2)
    assert together["mean_batch"] == 1.5
    assert together["throughput_per_s"] == pytest.approx(0.3)
    assert together["queue"]["mean_ms"] == pytest.approx(2.0)
    assert (together["compute"]["min_ms"], together["compute"]["max_ms"]) == (20.0, 40.0)
    assert together["latency"]["max_ms"] == 26.0


def test_throughput_forgets_after_a_minute() -> None:
    clock = Clock()
    statistics = ModelStatistics(clock)
    clock.now_s += 30
    statistics.record_batch([0.0] * 60, 1.0)
    assert statistics.throughput_per_s() == pytest.approx(2.0)
    clock.now_s += 40
    assert statistics.throughput_per_s() == pytest.approx(1.0)
    clock.now_s += 40
    assert statistics.throughput_per_s() == 0.0
    assert statistics.summary()["count"] == 60
