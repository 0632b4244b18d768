"""Real Redis and Valkey servers for tests: fresh, on a loopback port of their own, up within some 50 ms."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from drag_launcher.embedded import valkey_binary

KINDS = ("valkey", "redis")
"""Valkey 9 as `make run` embeds it, and the system's Redis 7 (in a container where Docker answers)."""
IMAGE = "redis:7"
"""What `container_redis_url` runs; `.ci/docker-redis-image` makes one where no registry answers."""


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def binary(kind: str) -> str | None:
    """The server's program, or None when it is not installed."""
    if kind == "valkey":
        found = valkey_binary()
        return str(found) if found else None
    return shutil.which("redis-server")


class RedisServer:
    """A server process; `kill` and `start` play a crash and its end (data stays in `directory`).

    Attributes:
        url: `redis://127.0.0.1:PORT`.
        kind: `valkey` or `redis`.
    """

    def __init__(
        self, kind: str, directory: Path, port: int | None = None, options: dict[str, str] | None = None
    ) -> None:
        program = binary(kind)
        if program is None:
            raise FileNotFoundError(f"no server program of kind {kind!r}")
        self.kind = kind
        self.directory = directory
        self.port = port or free_port()
        self.options = {"save": "", "appendonly": "no", **(options or {})}
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> Self:
        """Starts it, again too, and waits until it answers."""
        assert self._process is None, "the server is running"
        argv = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        for name, value in self.options.items():
            argv += [f"--{name}", value]
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._wait(20)
        return self

    def kill(self) -> None:
        """SIGKILL: what a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: an orderly stop."""
        self._end(signal.SIGTERM)

    def client(self, **options: Any) -> redis.Redis:
        """A client; close it, or use it as a context manager."""
        return redis.Redis(host="127.0.0.1", port=self.port, **options)

    def close(self) -> None:
        """Ends it whatever its state."""
        if self._process is not None:
            self.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None, "the server is not running"
        self._process.send_signal(how)
        self._process.wait(timeout=20)
        self._process = None

    def _wait(self, seconds: float) -> None:
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while True:
            if answers(self.port):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"server did not start: {(self.directory / 'server.log').read_text()[-2000:]}")
            time.sleep(0.002)


def answers(port: int) -> bool:
    """Whether a server on this port answers PING, and is done with loading."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as line:
            line.sendall(b"PING\r\n")
            return line.recv(16).startswith(b"+PONG")
    except OSError:
        return False


@functools.cache
def docker_answers() -> bool:
    """Whether containers can be had here."""
    import docker

    # Asked first, because docker's client leaves the socket of a failed connection behind, and tests see a warning.
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as line:
            if line.connect_ex(host.removeprefix("unix://")) != 0:
                return False
    try:
        client = docker.from_env(timeout=2)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except docker.errors.DockerException:
        return False
    finally:
        client.close()
