"""Prometheus metrics: one namespace, right for several processes, served on a loopback port for each worker."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar
from wsgiref.simple_server import WSGIServer

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, multiprocess, values

NAMESPACE = "drag"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Buckets for latencies, in seconds."""
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NOT_BASE = re.compile(r"_(ms|us|ns|milliseconds|minutes|hours|kb|mb|kib|mib|percent)(_total)?$")

Metric = TypeVar("Metric", Counter, Gauge, Histogram)


def share_between_processes(directory: Path) -> None:
    """Makes this process and those it forks add up their metrics; call it before any `Metrics` is made.

    Args:
        directory: emptied and used for the shared values; one for each service.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    os.environ[_MULTIPROCESS] = str(directory)
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]  # chosen at import, before the directory was known


def forget_process(pid: int) -> None:
    """Drops the live gauges of a forked process that ended (gunicorn's `child_exit` calls it)."""
    if os.environ.get(_MULTIPROCESS):
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def host_and_port(host: str, port: int) -> str:
    """``HOST:PORT`` as servers and browsers write it, IPv6 addresses in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def scrape_url(host: str, port: int) -> str:
    """Where Prometheus finds a process that listens on ``host``; on all addresses: under this host's name."""
    shown = socket.gethostname() if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not bound
    return f"http://{host_and_port(shown, port)}/metrics"


@dataclass(frozen=True)
class MetricsServer:
    """A running `/metrics` endpoint.

    Attributes:
        url: where to scrape it.
    """

    url: str
    _server: WSGIServer
    _thread: threading.Thread

    def close(self) -> None:
        """Stops it and frees the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class Metrics:
    """The metrics of one service; names get the prefix `drag_`.

    Asking twice for a name gives the same metric, so that modules need no globals.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._known: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._shared = bool(os.environ.get(_MULTIPROCESS))
        if not self._shared:
            ProcessCollector(namespace=NAMESPACE, registry=self.registry)

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        """A count that only grows; `name` without `_total`, which Prometheus adds."""
        return self._get(
            name, Counter, lambda: Counter(name, help_text, labels, namespace=NAMESPACE, registry=self.registry)
        )

    def gauge(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str] = (),
        mode: Literal["livesum", "livemax", "livemin", "livemostrecent"] = "livesum",
    ) -> Gauge:
        """A value that goes up and down; `mode` says how processes add up."""
        return self._get(
            name,
            Gauge,
            lambda: Gauge(name, help_text, labels, namespace=NAMESPACE, registry=self.registry, multiprocess_mode=mode),
        )

    def histogram(
        self, name: str, help_text: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        """A distribution, of seconds unless `buckets` say otherwise."""
        return self._get(
            name,
            Histogram,
            lambda: Histogram(name, help_text, labels, namespace=NAMESPACE, registry=self.registry, buckets=buckets),
        )

    def render(self) -> tuple[bytes, str]:
        """The text for a scrape, all processes together, and its content type."""
        return prometheus_client.generate_latest(self._exported()), CONTENT_TYPE

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> MetricsServer:
        """Starts a `/metrics` endpoint in a thread.

        Args:
            host: address to listen on; on all addresses the URL carries this host's name.
            port: 0 takes a free one.
        """
        server, thread = prometheus_client.start_http_server(port, addr=host, registry=self._exported())
        return MetricsServer(scrape_url(host, server.server_port), server, thread)

    def _exported(self) -> CollectorRegistry:
        if not self._shared:
            return self.registry
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return together

    def _get(self, name: str, kind: type[Metric], make: Callable[[], Metric]) -> Metric:
        if not _NAME.fullmatch(name) or _NOT_BASE.search(name) or name.startswith(f"{NAMESPACE}_"):
            raise ValueError(
                f"metric {name!r}: expected lower case, a base unit (seconds, bytes) and no {NAMESPACE}_ in front"
            )
        with self._lock:
            metric = self._known.get(name)
            if metric is None:
                metric = self._known[name] = make()
            if not isinstance(metric, kind):
                raise ValueError(f"metric {name!r} is a {type(metric).__name__} already, not a {kind.__name__}")
            return metric
