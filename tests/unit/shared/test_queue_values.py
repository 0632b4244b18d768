"""Outcomes, limits, pipelines, worker rows and errors of the queue: pure values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgpack
import pytest
import redis
from hypothesis import given

from drag_shared import errors
from drag_shared.config import Settings
from drag_shared.errors import ConfigError, DragError
from drag_shared.outcomes import (
    SCRIPT,
    Advanced,
    Dropped,
    Entry,
    Failed,
    HandedBack,
    Retry,
    Routed,
    advance_item,
    backoff_ms,
    route_item,
)
from drag_shared.partitions import Limits
from drag_shared.pipelines import load_pipelines
from drag_shared.records import read_dead_letter, read_job
from drag_shared.redis_client import connect, is_passing
from drag_shared.registry import ALIVE_MS, WorkerInfo, process_name
from drag_shared.wire import FrameMessage, pack

FRAME = FrameMessage("image/jpeg", 640, 480, 1, 1000)
UPLOADED = Entry(0, "uploads", "1-0", "0-x", "upload", 0, FRAME, 10.0)
FRAMED = Entry(0, "frames:m", "2-0", "0-x", "0", 0, FRAME, 10.0)


def test_every_outcome_has_its_script() -> None:
    assert set(SCRIPT) == {Routed, Advanced, Failed, Retry, HandedBack, Dropped}


def test_a_routed_upload_names_both_parts_and_the_models_stream() -> None:
    assert route_item(Routed(UPLOADED, "m", FRAME, {"width": 3, "height": 4})) == {
        "entry": "1-0",
        "job": "0-x",
        "from": "upload",
        "part": "0",
        "stream": "frames:m",
        "message": pack(FRAME),
        "fields": ["width", 3, "height", 4],
    }


@pytest.mark.parametrize(("part", "fatal"), [("upload", True), ("0", True), ("0.0", False), ("", False)])
def test_only_the_first_part_can_fail_the_job(part: str, fatal: bool) -> None:
    entry = Entry(0, "s", "1-0", "0-x", part, 0, FRAME, 0.0)
    item = advance_item(Failed(entry, "truncated", "It ends early."), 1.0)
    assert item["fatal"] is fatal
    assert msgpack.unpackb(item["error"]) == {"code": "truncated", "detail": "It ends early."}


def test_an_advanced_part_says_how_long_it_was_held() -> None:
    item = advance_item(Advanced(FRAMED, {"gauges": []}, {"infer": 2.0}), 10.5)
    assert msgpack.unpackb(item["timings"]) == {"infer": 2.0, "held": 500.0}
    assert msgpack.unpackb(item["result"]) == {"gauges": []}


@given(st.integers(0, 10_000), st.integers(1, 10_000), st.integers(0, 100_000))
def test_retries_back_off_with_jitter_within_bounds(attempt: int, base: int, more: int) -> None:
    settings = Settings(redis_url="redis://x", retry_base_ms=base, retry_max_ms=base + more)
    pause = backoff_ms(attempt, settings)
    longest = min(base + more, base * 2 ** min(attempt, 20))
    assert max(1, longest // 2 - 1) <= pause <= longest + 1


def test_jitter_spreads() -> None:
    settings = Settings(redis_url="redis://x")
    assert len({backoff_ms(5, settings) for _ in range(100)}) > 50


@given(st.integers(1, 64))
def test_partitions_share_the_bounds_and_never_exceed_them(number: int) -> None:
    settings = Settings(redis_url="redis://x", max_upload_bytes=1000, max_files=1)
    share = Limits.share(settings, number)
    assert share.max_jobs * number <= settings.max_open_jobs
    for ours, whole in (
        (share.max_bytes, settings.max_open_bytes),
        (share.picture_bytes, settings.picture_budget_bytes),
        (share.record_bytes, settings.result_budget_bytes),
        (share.dead_bytes, settings.dead_budget_bytes),
    ):
        assert whole - number < ours * number <= whole
    assert set(share.for_scripts()) == {"ttl_ms", "idempotency_ms", "picture_bytes", "record_bytes", "dead_bytes"}


def test_a_bound_that_the_largest_upload_never_meets_is_refused() -> None:
    settings = Settings(redis_url="redis://x", max_upload_bytes=100, max_open_bytes=250)
    assert Limits.share(settings, 2).max_bytes == 125
    with pytest.raises(ConfigError, match="DRAG_MAX_OPEN_BYTES"):
        Limits.share(settings, 3)


def write(folder: Path, text: str) -> Path:
    (folder / "pipelines.toml").write_text(text)
    return folder


def test_pipelines_are_read_and_their_revision_follows_the_definition(tmp_path: Path) -> None:
    one = load_pipelines(write(tmp_path, "[gauges]\nfirst = 'gauge-detector'\n[other]\nfirst = 'x'\n"))
    assert {name: (p.name, p.first) for name, p in one.items()} == {
        "gauges": ("gauges", "gauge-detector"),
        "other": ("other", "x"),
    }
    again = load_pipelines(write(tmp_path, "# moved\n[other]\nfirst='x'\n[gauges]\nfirst=\"gauge-detector\"\n"))
    assert again == one
    changed = load_pipelines(write(tmp_path, "[gauges]\nfirst = 'better-detector'\n"))
    assert changed["gauges"].revision != one["gauges"].revision


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = 1",
        "[gauges]",
        "[gauges]\nfirst = 3",
        "[gauges]\nfirst = ''",
        "[gauges]\nfirst = '../x'",
        "[gauges]\nfirst = 'x'\nsecond = 'y'",
        "[Gauges]\nfirst = 'x'",
        "['a b']\nfirst = 'x'",
        "[gauges",
        "\x00",
    ],
)
def test_a_pipeline_file_that_is_not_right_says_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"pipelines\.toml"):
        load_pipelines(write(tmp_path, text))


def test_no_pipeline_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="DRAG_MODELS_DIR"):
        load_pipelines(tmp_path)


@pytest.mark.parametrize(
    ("state", "silent_ms", "ready"), [("ready", 0, True), ("ready", ALIVE_MS + 1, False), ("draining", 0, False)]
)
def test_a_worker_is_ready_while_it_says_so_and_is_heard(state: str, silent_ms: int, ready: bool) -> None:
    assert WorkerInfo("n", "ingest", "h", 1, state, "", silent_ms=silent_ms).is_ready is ready


def test_process_names_are_unique_and_speak() -> None:
    names = {process_name("ingest") for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith("ingest-") for name in names)


PASSING = [
    redis.ConnectionError("x"),
    redis.TimeoutError("x"),
    redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"),
    redis.exceptions.ReadOnlyError("You can't write against a read only replica."),
    redis.exceptions.TryAgainError("Multiple keys request during rehashing of slot"),
    redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    redis.exceptions.ClusterDownError("The cluster is down"),
    redis.exceptions.MasterDownError("Link with MASTER is down"),
    redis.exceptions.RedisClusterException("Redis Cluster cannot be connected."),
    redis.exceptions.SlotNotCoveredError("Slot 1 not covered"),
    redis.ResponseError("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist"),
    redis.ResponseError("BUSY Redis is busy running a script."),
    redis.ResponseError("NOREPLICAS Not enough good replicas to write."),
    redis.ResponseError("READONLY You can't write against a read only replica. script: f_1, on @user_script:3."),
]
LASTING = [
    redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
    redis.ResponseError("ERR unknown command"),
    redis.ResponseError("NOGROUP No such key"),
    redis.exceptions.AuthenticationError("invalid username-password pair"),
    redis.exceptions.NoPermissionError("User has no permissions"),
    redis.exceptions.DataError("x"),
    ValueError("x"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda e: f"{type(e).__name__}-{str(e)[:12]}")
def test_states_that_pass_by_themselves_are_told(error: Exception) -> None:
    assert is_passing(error)


@pytest.mark.parametrize("error", LASTING, ids=lambda e: f"{type(e).__name__}-{str(e)[:12]}")
def test_faults_that_stay_are_told_from_them(error: Exception) -> None:
    assert not is_passing(error)


@pytest.mark.parametrize("url", ["", "http://h", "h:6379", "redis+sentinel://h"])
def test_another_kind_of_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="DRAG_REDIS_URL"):
        connect(url)


def test_the_tree_of_errors_is_as_its_module_draws_it() -> None:
    assert errors.__doc__ is not None
    drawn = {word for line in errors.__doc__.splitlines() for word in line.split() if hasattr(errors, word)}
    defined = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, DragError)}
    assert drawn == defined


def record(**fields: Any) -> dict[bytes, bytes]:
    base = {
        "status": "queued",
        "created": 1000,
        "size": 5,
        "pipeline": "gauges",
        "name": "ü",
        "media_type": "image/png",
    }
    return {k.encode(): v if isinstance(v, bytes) else str(v).encode() for k, v in (base | fields).items()}


def test_a_record_reads_as_its_job() -> None:
    queued = read_job("0-x", record())
    assert (queued.status, queued.is_open, queued.name, queued.result, queued.error) == (
        "queued",
        True,
        "ü",
        None,
        None,
    )
    done = read_job(
        "0-x",
        record(status="done", ended=3000, image=1)
        | {b"r:0": msgpack.packb({"gauges": []}), b"t:0": msgpack.packb({"infer": 5.0, "held": 1500.0}), b"a:0": b"2"},
    )
    assert (done.attempts, done.has_image, done.is_open, done.result) == (2, True, False, {"gauges": []})
    assert done.timings == {"queued": 500.0, "infer": 5.0, "total": 2000.0}
    dead = read_job("0-x", record(status="dead", ended=2000, cause="why"))
    assert dead.error == {"code": "dead", "detail": "why"}


def test_a_dead_letter_reads_with_an_empty_history_as_lua_packs_it() -> None:
    letter = read_dead_letter(2, b"1700000000000-5", {b"job": b"", b"history": b"\x80", b"m": b"\xc1"})
    assert (letter.id, letter.history, letter.dead_ms, letter.message) == (
        "2-1700000000000-5",
        [],
        1700000000000,
        b"\xc1",
    )
