"""`python healthcheck.py SERVICE`: is the service in this container well? The images' HEALTHCHECK runs it."""

from __future__ import annotations

import socket
import sys
import urllib.error
import urllib.request

from drag_shared.config import Settings, load_settings, redis_address
from drag_shared.errors import DragError
from drag_shared.redis_client import Link
from drag_shared.registry import Registry, WorkerInfo

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
_WORKERS = ("ingest", "inference")
SERVICES = ("api", "viewer", *_WORKERS)


def trouble(service: str, settings: Settings) -> str:
    """What is wrong with a service of this host; empty when it is well.

    The API and the page are asked whether they live. Workers serve nobody, so Redis is asked how they told of
    themselves: `ready`, and seen within the last seconds.

    Args:
        service: one of `SERVICES`.
        settings: those that the service runs with.
    """
    if service not in _WORKERS:
        return _http_trouble(settings.host, settings.api_port if service == "api" else settings.viewer_port)
    try:
        link = Link(redis_address(settings))
        try:
            workers = Registry(link).workers()
        finally:
            link.close()
    except DragError as error:
        return str(error)
    return worker_trouble(service, socket.gethostname(), workers)


def worker_trouble(service: str, host: str, workers: list[WorkerInfo]) -> str:
    """What is wrong with the workers of `service` on `host`; empty when at least one is ready."""
    own = [worker for worker in workers if worker.service == service and worker.host == host]
    if any(worker.is_ready for worker in own):
        return ""
    states = ", ".join(f"{worker.state} ({worker.reason or worker.name})" for worker in own)
    return f"no {service} worker of {host} is ready: {states or 'none is registered'}"


def _http_trouble(host: str, port: int) -> str:
    host = _LOOPBACK.get(host, host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/health/live"
    try:
        with urllib.request.urlopen(url, timeout=4) as answer:
            answer.read()
    except (OSError, urllib.error.URLError) as error:
        return f"{url}: {error}"
    return ""


def main(argv: list[str]) -> int:
    """Exit status 0: well, 1: not, with the reason; 2: wrong usage."""
    if len(argv) != 1 or argv[0] not in SERVICES:
        print(f"expected one of {', '.join(SERVICES)}, not {' '.join(argv)!r}", file=sys.stderr)
        return 2
    try:
        found = trouble(argv[0], load_settings())
    except DragError as error:
        found = str(error)
    print(found or "ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
