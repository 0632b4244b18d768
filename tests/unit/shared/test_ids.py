"""Job ids: they tell where and when, sort by time, and nothing else passes for one."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from drag_shared.ids import new_job_id, parse_job_id

STAMPS = st.integers(0, 2**48 - 1)
PARTITIONS = st.integers(0, 9999)


@given(PARTITIONS, STAMPS)
def test_an_id_tells_its_partition_and_time(partition: int, now_ms: int) -> None:
    assert parse_job_id(new_job_id(partition, now_ms)) == (partition, now_ms)


@given(PARTITIONS, STAMPS, STAMPS)
def test_ids_of_one_partition_sort_by_time(partition: int, one: int, other: int) -> None:
    first, second = new_job_id(partition, one), new_job_id(partition, other)
    if one != other:
        assert (first < second) == (one < other)


@given(st.text(max_size=40))
def test_nothing_but_an_id_is_one(text: str) -> None:
    parsed = parse_job_id(text)
    if parsed is not None:
        assert len(text.partition("-")[2]) == 26


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "0",
        "-",
        "0-",
        "01h00000000000000000000000",
        "0-01h000000000000000000000",  # too short
        "0-01h00000000000000000000000000",  # too long
        "0-81h00000000000000000000000",  # more than 128 bits
        "0-01H00000000000000000000000",  # upper case: one way to write an id, so that keys agree
        "0-01i00000000000000000000000",  # not in Crockford's alphabet
        "00-01h00000000000000000000000",
        "+1-01h00000000000000000000000",
        "10000-01h00000000000000000000000",
        "٣-01h00000000000000000000000",  # a digit, but not ours
        "0-01h00000000000000000000000\n",
        " 0-01h00000000000000000000000",
        "0-01h0000000000000000000000:",
    ],
)
def test_what_is_nearly_one_is_refused(wrong: str) -> None:
    assert parse_job_id("0-01h00000000000000000000000") is not None
    assert parse_job_id(wrong) is None


def test_ids_are_unique_within_a_millisecond() -> None:
    assert len({new_job_id(0, 1) for _ in range(10_000)}) == 10_000


def test_the_clock_is_the_default() -> None:
    import time

    before = time.time_ns() // 1_000_000
    parsed = parse_job_id(new_job_id(3))
    assert parsed is not None
    assert before <= parsed[1] <= time.time_ns() // 1_000_000
