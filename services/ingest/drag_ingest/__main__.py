"""`python -m drag_ingest`: one ingest worker."""

import os
import signal
import socket
import sys
import threading
import time
from importlib.metadata import version

from drag_ingest.worker import IngestWorker
from drag_shared import logs
from drag_shared.config import Settings, load_settings, redis_address
from drag_shared.consumer import Consumer
from drag_shared.errors import ConfigError
from drag_shared.keys import INGEST_GROUP, UPLOADS
from drag_shared.metrics import Metrics
from drag_shared.pipelines import load_pipelines
from drag_shared.presence import Presence
from drag_shared.redis_client import Link
from drag_shared.registry import BEAT_EVERY_S, Registry, WorkerInfo, process_name


def serve(settings: Settings, stop: threading.Event) -> None:
    """Runs a worker until ``stop`` is set, then hands back what it holds.

    Raises:
        ConfigError: the settings or the pipelines are wrong.
    """
    name = process_name("ingest")
    link = Link(redis_address(settings))
    consumer = Consumer(link, UPLOADS, INGEST_GROUP, name, settings)
    metrics = Metrics()
    endpoint = metrics.serve(settings.host)
    started_ms = time.time_ns() // 1_000_000

    def describe() -> WorkerInfo:
        ready = worker.connected and not consumer.newer_seen
        return WorkerInfo(
            name=name,
            service="ingest",
            host=socket.gethostname(),
            pid=os.getpid(),
            state="draining" if stop.is_set() else "ready" if ready else "starting",
            reason="messages of a newer release wait: upgrade this worker" if consumer.newer_seen else "",
            metrics_url=endpoint.url,
            version=version("drag"),
            started_ms=started_ms,
        )

    pipelines = load_pipelines(settings.models_dir)
    worker = IngestWorker(consumer, pipelines, settings.max_pixels, metrics, lambda: presence.soon())
    every_s = min(BEAT_EVERY_S, settings.lease_ms / 3000)
    presence = Presence(Registry(link), describe, every_s, also=consumer.renew)
    presence.start()
    try:
        worker.run(stop)
    finally:
        consumer.close()
        presence.close()
        endpoint.close()
        link.close()


def main() -> int:
    """Runs the service; exit status 2 says that its configuration is wrong."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = load_settings()
        logs.configure("ingest", settings.log_level, settings.log_format)
        serve(settings, stop)
    except ConfigError as error:
        sys.stderr.write(f"drag_ingest: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
