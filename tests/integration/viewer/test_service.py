"""`python -m drag_viewer`, as a process with a real Redis."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.servers import RedisServer

from drag_shared.config import Settings, environment_of
from drag_shared.redis_client import Link
from drag_shared.registry import Registry, WorkerInfo

pytestmark = pytest.mark.integration


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def eventually(check: Callable[[], Any], within_s: float = 15) -> Any:
    """The first true answer; asking again is all there is to wait for here."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            if found := check():
                return found
        except (OSError, urllib.error.URLError):
            pass
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def environment(settings: Settings) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRAG_")}
    return kept | environment_of(settings) | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture
def service(settings: Settings, free_port: int) -> Iterator[tuple[subprocess.Popen[bytes], Settings, str]]:
    own = settings.model_copy(update={"viewer_port": free_port, "viewer_processes": 2, "drain_s": 2})
    process = subprocess.Popen([sys.executable, "-m", "drag_viewer"], env=environment(own))
    url = f"http://127.0.0.1:{free_port}"
    try:
        eventually(lambda: fetch(f"{url}/health/ready"))
        yield process, own, url
    finally:
        process.kill() if process.poll() is None else None
        process.wait(10)


def viewers(settings: Settings) -> list[WorkerInfo]:
    link = Link(settings.redis_url)
    try:
        return [info for info in Registry(link).workers() if info.service == "viewer"]
    finally:
        link.client.close()


def test_is_found_while_it_runs_and_gone_after_sigterm(
    service: tuple[subprocess.Popen[bytes], Settings, str],
) -> None:
    process, settings, url = service
    found = eventually(lambda: len(known := viewers(settings)) == 2 and known)
    assert {info.state for info in found} == {"ready"}
    assert {info.metrics_url for info in found} == {f"{url}/metrics"}
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert viewers(settings) == []


def test_metrics_speak_for_all_processes(service: tuple[subprocess.Popen[bytes], Settings, str]) -> None:
    _, _, url = service
    for _ in range(20):
        fetch(f"{url}/video")
    seen = {fetch(f"{url}/metrics").split('route="/video",status="200"} ')[1].split()[0] for _ in range(10)}
    assert seen == {"20.0"}


def test_page_stays_while_redis_is_away(
    service: tuple[subprocess.Popen[bytes], Settings, str], redis_server: RedisServer
) -> None:
    _, settings, url = service
    eventually(lambda: viewers(settings))
    redis_server.kill()
    assert json.loads(fetch(f"{url}/health/ready"))["status"] == "ready"
    assert "drag-api" in fetch(url)
    redis_server.start()
    assert eventually(lambda: viewers(settings))


def test_wrong_address_of_the_api_is_told_at_the_start(settings: Settings) -> None:
    wrong = settings.model_copy(update={"api_url": "drag.example/v1"})
    ended = subprocess.run(
        [sys.executable, "-m", "drag_viewer"], env=environment(wrong), capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 2
    assert "DRAG_API_URL" in ended.stderr
    assert "https://drag.example:5000" in ended.stderr
