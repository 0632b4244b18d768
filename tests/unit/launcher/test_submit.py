"""`drag submit` and its client against a small API of the test's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from drag_launcher import readiness
from drag_launcher.client import ApiError, Client, media_type
from drag_shared.cli import main

JPEG = b"\xff\xd8\xff\xe0 a jpeg"


class Api(ThreadingHTTPServer):
    """Answers what the test put into `answers` for a method and path, one after the other, the last one for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, list[tuple[int, dict[str, str], Any]]] = {}
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self.reply()

    def do_POST(self) -> None:
        self.reply()

    def reply(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((f"{self.command} {self.path}", dict(self.headers), body))
        waiting = self.server.answers[f"{self.command} {self.path.partition('?')[0]}"]
        status, headers, answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "boiler room.jpg"
    path.write_bytes(JPEG)
    return path


def done(**more: Any) -> dict[str, Any]:
    gauge = {"kind": "analog", "score": 0.934, "box": [1, 2, 3, 4]}
    return {"id": "j1", "status": "done", "result": {"gauges": [gauge], "detections": []}, **more}


def test_a_picture_is_posted_as_it_is(api: Api, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["POST /v1/images"] = [(202, {}, {"id": "j1", "status": "queued"})]
    assert main(["submit", str(photo), "--api", api.url, "--pipeline", "gauges", "--min-score", "0.5"]) == 0
    (path, headers, body) = api.requests[0]
    assert path == "POST /v1/images?name=boiler+room.jpg&pipeline=gauges&min_score=0.5"
    assert (headers["Content-Type"], body) == ("image/jpeg", JPEG)
    assert capsys.readouterr().out == f"{photo}: queued  {api.url}/v1/jobs/j1\n"


def test_wait_polls_until_the_end_and_prints_what_was_found(
    api: Api, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers["POST /v1/images"] = [(202, {}, {"id": "j1", "status": "queued"})]
    api.answers["GET /v1/jobs/j1"] = [(200, {}, {"id": "j1", "status": "running"}), (200, {}, done())]
    assert main(["submit", str(photo), "--wait", "--api", api.url]) == 0
    assert "analog 0.93" in capsys.readouterr().out
    assert main(["submit", str(photo), "--wait", "--json", "--api", api.url]) == 0
    assert json.loads(capsys.readouterr().out) == done()


def test_a_failed_job_is_exit_status_1_and_its_reason_told(
    api: Api, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers["POST /v1/images"] = [(202, {}, {"id": "j1", "status": "queued"})]
    failed = {"id": "j1", "status": "failed", "error": {"code": "truncated", "detail": "the file ends too early"}}
    api.answers["GET /v1/jobs/j1"] = [(200, {}, failed)]
    assert main(["submit", str(photo), "--wait", "--api", api.url]) == 1
    assert "failed: the file ends too early" in capsys.readouterr().out


def test_one_bad_file_does_not_keep_the_others(api: Api, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = (415, {}, {"title": "Not a picture", "detail": "expected JPEG, saw text"})
    api.answers["POST /v1/images"] = [refused, (202, {}, {"id": "j1", "status": "queued"})]
    assert main(["submit", str(photo), str(photo), str(photo) + ".no", "--api", api.url]) == 1
    printed = capsys.readouterr()
    assert "queued" in printed.out
    assert "the API answers 415: expected JPEG, saw text" in printed.err
    assert "cannot read" in printed.err


def test_a_full_queue_is_waited_for_with_the_same_key(api: Api, photo: Path) -> None:
    full = (429, {"Retry-After": "0"}, {"detail": "full"})
    api.answers["POST /v1/images"] = [full, full, (202, {}, {"id": "j1", "status": "queued"})]
    assert Client(api.url).submit(photo)["id"] == "j1"
    assert len({headers["Idempotency-Key"] for _, headers, _ in api.requests}) == 1


def test_a_queue_that_stays_full_is_an_error_in_the_end(api: Api, photo: Path) -> None:
    api.answers["POST /v1/images"] = [(503, {"Retry-After": "0"}, {"detail": "no room"})]
    with pytest.raises(ApiError, match="503: no room"):
        Client(api.url).submit(photo)
    assert len(api.requests) == 5


def test_a_job_that_does_not_end_is_told_with_its_address(api: Api) -> None:
    api.answers["GET /v1/jobs/j1"] = [(200, {}, {"id": "j1", "status": "running"})]
    with pytest.raises(ApiError, match=f"still running after 0 s: {api.url}/v1/jobs/j1"):
        Client(api.url).result("j1", 0)


def test_no_api_is_one_line_with_the_fix(photo: Path, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", str(photo), "--api", f"http://127.0.0.1:{free_port}"]) == 1
    error = capsys.readouterr().err
    assert "is it running (`drag run`)?" in error
    assert error.count("\n") == 1
    with pytest.raises(ApiError, match="expected an address"):
        Client("file:///etc/passwd")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x89PNG\r\n", "image/png"),
        (b"RIFF....WEBP", "image/webp"),
        (b"BM....", "image/bmp"),
        (b"II*\0", "image/tiff"),
        (JPEG, "image/jpeg"),
    ],
)
def test_the_type_is_told_from_the_bytes(data: bytes, expected: str) -> None:
    assert media_type(data) == expected


def test_readiness_says_what_is_missing(api: Api, free_port: int) -> None:
    problems = [{"what": "no ingest worker is ready", "fix": "start one"}, {"what": "Redis is loading", "fix": "wait"}]
    api.answers["GET /health/ready"] = [(503, {}, {"problems": problems}), (503, {}, b"<html>"), (200, {}, {})]
    assert readiness.readiness(api.url) == "no ingest worker is ready; Redis is loading"
    assert readiness.readiness(api.url) == "the API answers 503"
    assert readiness.readiness(api.url) is None
    assert readiness.readiness(f"http://127.0.0.1:{free_port}") == "the API is starting"


def test_the_watcher_tells_each_change_once(api: Api) -> None:
    waiting = (503, {}, {"problems": [{"what": "warming"}]})
    api.answers["GET /health/ready"] = [waiting, waiting, (200, {}, {})]
    said: list[str] = []
    ready = threading.Event()
    watcher = readiness.Watcher(api.url, said.append, lambda seconds: ready.set())
    watcher.start()
    assert ready.wait(10)
    watcher.stop()
    assert said == ["waiting: warming"]
