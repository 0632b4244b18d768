"""The API as real processes, and a crew that works on jobs as the services do, without any model."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drag_shared.config import Settings, environment_of
from drag_shared.consumer import Consumer
from drag_shared.errors import Unavailable
from drag_shared.keys import INFERENCE_GROUP, INGEST_GROUP, UPLOADS, frames_stream
from drag_shared.outcomes import Advanced, Entry, Outcome, Routed
from drag_shared.redis_client import Link
from drag_shared.registry import Registry, WorkerInfo
from drag_shared.wire import FrameMessage

MODEL = "gauge-detector"
RESULT: dict[str, Any] = {
    "gauges": [{"kind": "analog", "score": 0.93, "box": [4.0, 4.0, 40.0, 40.0], "model": MODEL, "model_version": "1"}],
    "detections": [],
    "image": {"width_px": 64, "height_px": 48, "orientation": 1},
    "model": {"name": MODEL, "version": "1"},
}


class ApiProcess:
    """`python -m drag_api` with these settings, in a process group of its own."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.log_path = directory / "api.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it logged so far."""
        return self.log_path.read_text()

    @property
    def pid(self) -> int:
        """Process id of its parent process."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("DRAG_")}
        environ |= environment_of(self.settings)
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "drag_api"],
                env=environ,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        wait_until(lambda: self._answers(), 30, lambda: self.log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)

    def terminate(self, within_s: float = 20) -> int:
        """SIGTERM; its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(within_s)

    def connect(self, timeout_s: float = 30) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.settings.api_port), timeout=timeout_s)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, timeout_s: float = 30
    ) -> Answer:
        """One request on a connection of its own."""
        line = http.client.HTTPConnection("127.0.0.1", self.settings.api_port, timeout=timeout_s)
        try:
            line.request(method, path, body, headers or {})
            response = line.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            line.close()

    def post(self, data: bytes, **headers: str) -> Answer:
        """Posts a raw picture."""
        return self.call("POST", "/v1/images", data, {"Content-Type": "image/jpeg", **headers})

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            return self.call("GET", "/health/live", timeout_s=5).status == 200
        except OSError:
            return False


class Answer:
    """A response, read whole."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        """The body, from JSON."""
        return json.loads(self.body)


def wait_until(
    met: Callable[[], bool], seconds: float = 20, told: Callable[[], object] = lambda: "", pause_s: float = 0.02
) -> None:
    """Returns once ``met``; fails with ``told`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, f"not met within {seconds} s: {told()}"
        time.sleep(pause_s)


class Crew:
    """An ingest worker and an inference worker in two threads; every picture gets `RESULT`.

    Args:
        settings: which queue.
        finish: makes the outcome of a frame; None leaves it unsettled.
    """

    def __init__(self, settings: Settings, finish: Callable[[Entry], Outcome] | None = None) -> None:
        self._settings = settings
        self._finish = finish or (lambda entry: Advanced(entry, RESULT, {"infer": 1.0}))
        self._link = Link(settings.redis_url)
        self._ending = threading.Event()
        ways = (
            ("ingest", "", UPLOADS, INGEST_GROUP, self._route),
            ("inference", MODEL, frames_stream(MODEL), INFERENCE_GROUP, self._finish),
        )
        self._threads = [threading.Thread(target=self._work, args=way, daemon=True) for way in ways]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(20)
        self._link.close()

    def _work(self, service: str, model: str, stream: str, group: str, step: Callable[[Entry], Outcome]) -> None:
        registry = Registry(self._link)
        name = f"{service}-crew"
        consumer = Consumer(self._link, stream, group, name, self._settings)
        info = WorkerInfo(name, service, "here", 1, "ready", model=model, model_version="1" if model else "")
        while not self._ending.is_set():
            try:
                registry.beat(info)
                entries = consumer.read(16, 100)
                if entries:
                    consumer.settle([step(entry) for entry in entries])
            except Unavailable:
                self._ending.wait(0.1)
        consumer.close()
        registry.leave(name)

    @staticmethod
    def _route(entry: Entry) -> Outcome:
        return Routed(entry, MODEL, FrameMessage("image/jpeg", 64, 48, 1, 1))
