"""The API as a real server on a real queue: whole ways, and clients and servers that misbehave."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.api import RESULT, ApiProcess, Crew, wait_until
from tests.support.servers import RedisServer, free_port
from tests.unit.api import pictures

from drag_shared.audit import audit
from drag_shared.config import Settings
from drag_shared.jobs import JobStore
from drag_shared.outcomes import Failed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

Start = Callable[..., ApiProcess]


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Start]:
    """Starts the API with settings changed as told; ends it with the test, and looks through its log."""
    running: list[ApiProcess] = []

    def begin(**changes: Any) -> ApiProcess:
        values = settings.model_dump() | {"api_port": free_port(), "viewer_port": free_port()} | changes
        api = ApiProcess(Settings(**values), tmp_path)
        running.append(api)
        return api.__enter__()

    yield begin
    for api in running:
        api.__exit__(None, None, None)
        assert "Traceback" not in api.log


def no_jobs(api: ApiProcess) -> bool:
    return bool(api.call("GET", "/v1/jobs").json["jobs"] == [])


def children(api: ApiProcess) -> list[int]:
    """The processes that serve."""
    return [int(pid) for pid in Path(f"/proc/{api.pid}/task/{api.pid}/children").read_text().split()]


def head(length: int | None, more: str = "") -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n{size}\r\n{more}\r\n".encode()


def status_of(line: socket.socket) -> int:
    """The status of the next answer on a bare connection."""
    first = line.makefile("rb").readline()
    return int(first.split()[1])


def test_from_the_post_to_the_result(start: Start) -> None:
    api = start()
    data = pictures.jpeg()
    with Crew(api.settings):
        wait_until(lambda: api.call("GET", "/health/ready").status == 200, told=lambda: api.call("GET", "/health").body)
        accepted = api.post(data)
        assert accepted.status == 202
        address = accepted.headers["Location"]
        job = api.call("GET", f"{address}?wait=20").json
        assert job["status"] == "done"
        assert job["result"] == RESULT
        assert {"queued", "infer", "total"} <= set(job["timings"])
        assert api.call("GET", f"{address}/image").body == data
        assert api.call("GET", f"{address}/annotated").body[:2] == b"\xff\xd8"
        body = api.call("POST", "/predict", data, {"Content-Type": "image/jpeg"}).json
        assert body["gauges"] == RESULT["gauges"]
    assert api.call("DELETE", address).json["result"] is None
    assert api.call("GET", f"{address}/image").status == 410
    assert api.call("GET", f"{address[:-26]}{'0' * 26}").status == 404


def test_a_picture_that_fails_is_told_with_its_reason(start: Start) -> None:
    api = start()
    with Crew(api.settings, lambda entry: Failed(entry, "truncated", "The picture ends early.")):
        answer = api.call("POST", "/predict", pictures.jpeg()[:-200], {"Content-Type": "image/jpeg"})
    assert answer.status == 422
    assert answer.json["code"] == "truncated"
    assert answer.json["job"]["status"] == "failed"


def test_a_job_cancelled_while_open_wakes_who_waits(start: Start) -> None:
    api = start()
    address = api.post(pictures.jpeg()).headers["Location"]
    statuses: list[str] = []
    waiting = threading.Thread(target=lambda: statuses.append(api.call("GET", f"{address}?wait=30").json["status"]))
    waiting.start()
    assert api.call("DELETE", address).json["status"] == "cancelled"
    waiting.join(20)
    assert statuses == ["cancelled"]


def test_metrics_and_discovery_speak_for_all_processes(start: Start) -> None:
    api = start(api_processes=2)
    total = 20
    for _ in range(total):
        assert api.post(pictures.gif()).status == 202

    def posted() -> float:
        text = api.call("GET", "/metrics").body.decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        wanted = {"route": "/v1/images", "method": "POST", "status": "202"}
        assert sum(s.value for s in samples if s.name == "drag_open_jobs") == total
        assert sum(s.value for s in samples if s.name == "drag_queue_waiting") == total
        return sum(s.value for s in samples if s.name == "drag_api_requests_total" and s.labels == wanted)

    assert [posted() for _ in range(6)] == [total] * 6
    wait_until(lambda: len(api.call("GET", "/v1/diagnostics").json["services"]["api"]) == 2)
    assert [entry["labels"]["service"] for entry in api.call("GET", "/v1/discovery").json] == ["api"]


@pytest.mark.parametrize("way", ["length", "chunked", "form"])
def test_a_client_that_hangs_up_halfway_leaves_nothing_behind(start: Start, way: str) -> None:
    api = start()
    data = pictures.jpeg()
    for _ in range(5):
        with api.connect() as line:
            if way == "length":
                line.sendall(head(len(data)) + data[: len(data) // 2])
            elif way == "chunked":
                line.sendall(head(None) + b"%x\r\n" % len(data) + data[: len(data) // 2])
            else:
                part = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + data
                wanted = head(len(part) + 8).replace(b"image/jpeg", b"multipart/form-data; boundary=xx")
                line.sendall(wanted + part)
    wait_until(lambda: b'status="400"} 5.0' in api.call("GET", "/metrics").body)
    assert no_jobs(api)
    assert "Traceback" not in api.log
    assert "ERROR" not in api.log


def test_a_client_that_resets_the_connection_leaves_nothing_behind(start: Start) -> None:
    api = start()
    with api.connect() as line:
        line.sendall(head(1_000_000) + b"x" * 1000)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    wait_until(lambda: b'status="400"} 1.0' in api.call("GET", "/metrics").body)
    assert no_jobs(api)


@pytest.mark.parametrize("patient", [False, True])
def test_a_body_over_the_limit_is_refused_whether_or_not_the_client_reads_first(start: Start, patient: bool) -> None:
    api = start()
    size = 40 * 1024 * 1024
    with api.connect() as line:
        line.sendall(head(size))
        if not patient:
            line.sendall(bytes(size))
        assert status_of(line) == 413
    assert no_jobs(api)


def test_a_chunked_body_over_the_limit_is_refused_and_memory_stays_bounded(start: Start) -> None:
    api = start()
    with api.connect() as line, pytest.raises(OSError, match=r"(?i)reset|pipe"):
        _send_without_end(line)
    for pid in children(api):
        peak = next(row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmHWM"))
        assert int(peak.split()[1]) < 400 * 1024, peak
    assert no_jobs(api)


def _send_without_end(line: socket.socket) -> None:
    line.sendall(head(None))
    piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    for _ in range(4096):
        line.sendall(piece)


def test_a_full_queue_refuses_before_the_body(start: Start) -> None:
    api = start(max_open_jobs=1, max_files=1)
    assert api.post(pictures.gif()).status == 202
    time.sleep(0.15)  # admission's numbers may be 0.1 s old
    with api.connect(timeout_s=10) as line:
        line.sendall(head(1_000_000))
        answer = line.recv(4096)
    assert b" 429 " in answer.split(b"\r\n")[0]
    assert b"Retry-After: " in answer
    assert api.call("GET", "/health/ready").status == 503


def test_waits_leave_threads_for_posts_and_hung_up_waits_free_theirs(start: Start) -> None:
    api = start(api_threads=8)
    address = api.post(pictures.jpeg()).headers["Location"]
    waiters: list[socket.socket] = []

    def wait_there() -> None:
        waiters.append(api.connect())
        waiters[-1].sendall(f"GET {address}?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def at_once() -> bool:
        started = time.monotonic()
        assert api.call("GET", f"{address}?wait=3").json["status"] == "queued"
        return time.monotonic() - started < 2

    def all_places_taken() -> bool:
        if at_once():
            return True
        wait_there()  # our own question had a place, and a waiter may have been turned away for it
        return False

    for _ in range(6):
        wait_there()
    wait_until(all_places_taken)
    started = time.monotonic()
    assert api.post(pictures.jpeg()).status == 202
    assert time.monotonic() - started < 2
    for line in waiters:
        line.close()
    wait_until(lambda: not at_once())


def test_redis_goes_away_and_comes_back(start: Start, redis_server: RedisServer) -> None:
    api = start()
    with Crew(api.settings):
        wait_until(lambda: api.call("GET", "/health/ready").status == 200)
        redis_server.kill()
        wait_until(lambda: api.call("GET", "/health/ready").status == 503)
        answer = api.post(pictures.gif())
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert api.call("GET", "/v1/diagnostics").json["redis"]["up"] is False
        redis_server.start()
        wait_until(lambda: api.call("GET", "/health/ready").status == 200, told=lambda: api.call("GET", "/health").body)
        address = api.post(pictures.gif()).headers["Location"]
        assert api.call("GET", f"{address}?wait=20").json["status"] == "done"


@pytest.mark.both_servers
@pytest.mark.parametrize("state", ["memory", "read-only"])
def test_ready_is_false_while_redis_takes_no_writes(start: Start, redis_server: RedisServer, state: str) -> None:
    api = start()
    with Crew(api.settings), redis_server.client() as client:
        wait_until(lambda: api.call("GET", "/health/ready").status == 200)
        if state == "memory":
            client.config_set("maxmemory", 1)
        else:
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
        wait_until(lambda: api.call("GET", "/health/ready").status == 503)
        assert api.post(pictures.gif()).status == 503
        client.config_set("maxmemory", 0)
        client.execute_command("REPLICAOF", "NO", "ONE")
        wait_until(lambda: api.call("GET", "/health/ready").status == 200)
        assert api.post(pictures.gif()).status == 202


def test_sigterm_answers_who_waits_and_leaves_the_registry(start: Start, settings: Settings) -> None:
    api = start(api_processes=2)
    address = api.post(pictures.jpeg()).headers["Location"]
    wait_until(lambda: len(api.call("GET", "/v1/diagnostics").json["services"]["api"]) == 2)
    statuses: list[int] = []
    waiters = [
        threading.Thread(target=lambda: statuses.append(api.call("GET", f"{address}?wait=60").status)) for _ in range(4)
    ]
    for waiter in waiters:
        waiter.start()
    wait_until(lambda: _established(api.settings.api_port) >= 4)
    started = time.monotonic()
    assert api.terminate() == 0
    assert time.monotonic() - started < 10
    for waiter in waiters:
        waiter.join(10)
    assert statuses == [200] * 4
    store = JobStore.open(settings)
    assert store.link.client.hlen("drag:{control}:workers") == 0
    store.close()


def _established(port: int) -> int:
    """Connections to a loopback port that are open."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def test_a_killed_process_is_replaced(start: Start) -> None:
    api = start()
    (child,) = children(api)
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: _survives(api))
    assert api.post(pictures.gif()).status == 202


def _survives(api: ApiProcess) -> bool:
    try:
        return api.call("GET", "/health/live", timeout_s=5).status == 200
    except OSError:
        return False


def test_posts_under_load_with_the_same_key_are_one_job_and_the_audit_closes(start: Start, settings: Settings) -> None:
    api = start(api_processes=2)
    data, seen = pictures.jpeg(), []

    def post(number: int) -> None:
        seen.append(api.post(data, **{"Idempotency-Key": f"key-{number % 5}"}).json["id"])

    threads = [threading.Thread(target=post, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(seen) == 40
    assert len(set(seen)) == 5
    store = JobStore.open(settings)
    report = audit(store)
    assert report.closes, report.problems
    store.close()
