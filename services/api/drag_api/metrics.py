"""The API's metrics: requests as they come, and the queue's state at the moment of a scrape."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

import prometheus_client
from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from drag_shared.errors import DragError
from drag_shared.jobs import JobStore
from drag_shared.metrics import Metrics
from drag_shared.queues import QueueState, read_queues

logger = logging.getLogger(__name__)

_UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})
_SIZES = tuple(float(1 << power) for power in range(12, 27, 2))


class ApiMetrics:
    """What the API counts, all its processes together."""

    def __init__(self, metrics: Metrics, store: JobStore) -> None:
        self._metrics = metrics
        labels = ("route", "method", "status")
        self._requests = metrics.counter("api_requests", "Requests answered.", labels)
        self._seconds = metrics.histogram(
            "api_request_duration_seconds", "Time from a request's head to its answer, waits included.", labels[:2]
        )
        self._uploads = metrics.counter("api_uploads", "Pictures accepted.")
        self._bytes = metrics.counter("api_upload_bytes", "Bytes of pictures accepted.")
        self._sizes = metrics.histogram("api_upload_size_bytes", "Bytes of one request's pictures.", buckets=_SIZES)
        self._queue = CollectorRegistry()
        self._queue.register(QueueCollector(store))

    def uploaded(self, pictures: int, size_bytes: int) -> None:
        """Counts one accepted request."""
        self._uploads.inc(pictures)
        self._bytes.inc(size_bytes)
        self._sizes.observe(size_bytes)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Counts one answer."""
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route, method).observe(seconds)

    def render(self) -> tuple[bytes, str]:
        """The text for a scrape, and its content type."""
        text, content_type = self._metrics.render()
        return text + prometheus_client.generate_latest(self._queue), content_type

    def install(self, app: Flask) -> None:
        """Counts every request of ``app``."""

        def before() -> None:
            g.started = time.perf_counter()

        def after(response: Response) -> Response:
            route = request.url_rule.rule if request.url_rule is not None else _UNMATCHED
            started = g.get("started")
            seconds = time.perf_counter() - started if started is not None else 0.0
            self.answered(route, request.method, response.status_code, seconds)
            return response

        app.before_request(before)
        app.after_request(after)


class QueueCollector(Collector):
    """Reads the queue's state when Prometheus asks; says `drag_queue_up 0` while it cannot."""

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask Redis."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The queue's gauges, by partition and stream, and the ledger's counters."""
        up = GaugeMetricFamily("drag_queue_up", "1 while the queue's server answers.")
        try:
            state = read_queues(self._store)
        except DragError as error:
            logger.debug("no queue metrics: %s", error)
            up.add_metric([], 0.0)
            yield up
            return
        up.add_metric([], 1.0)
        yield up
        yield from queue_metrics(state)


_ENDED_OR_TAKEN = ("accepted", "requeued", "done", "failed", "dead", "cancelled")


def queue_metrics(state: QueueState) -> Iterable[Metric]:
    """``state`` as metrics; the ledger counts for ever, so its counters are counters here too."""
    single = (
        ("drag_open_jobs", "Unfinished jobs.", state.open_jobs),
        ("drag_open_bytes", "Bytes of unfinished pictures.", state.open_bytes),
        ("drag_delayed_parts", "Retries that wait for their time.", state.delayed),
        ("drag_dead_letters", "Dead letters kept.", state.dead_letters),
    )
    for name, text, value in single:
        yield GaugeMetricFamily(name, text, value=value)
    waiting = GaugeMetricFamily("drag_queue_waiting", "Entries not delivered yet.", labels=["stream"])
    pending = GaugeMetricFamily("drag_queue_pending", "Entries delivered and not settled.", labels=["stream"])
    consumers = GaugeMetricFamily("drag_queue_consumers", "Members of the consumer group.", labels=["stream"])
    oldest = GaugeMetricFamily("drag_queue_oldest_seconds", "Age of the oldest entry.", labels=["stream"])
    for stream in state.streams:
        waiting.add_metric([stream.name], stream.waiting)
        pending.add_metric([stream.name], stream.pending)
        consumers.add_metric([stream.name], stream.consumers)
        oldest.add_metric([stream.name], stream.oldest_ms / 1000)
    yield from (waiting, pending, consumers, oldest)
    jobs = CounterMetricFamily("drag_jobs", "Transitions that the ledger counted.", labels=["transition"])
    for name in _ENDED_OR_TAKEN:
        jobs.add_metric([name], state.counters.get(name, 0))
    yield jobs
