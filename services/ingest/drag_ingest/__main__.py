"""`python -m drag_ingest`: one ingest worker."""

import signal
import sys
import threading
from dataclasses import replace

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
from drag_shared.registry import BEAT_EVERY_S, Registry, WorkerInfo, this_process


def serve(settings: Settings, stop: threading.Event) -> None:
    """Runs a worker until ``stop`` is set, then hands back what it holds.

    Raises:
        ConfigError: the settings or the pipelines are wrong.
    """
    link = Link(redis_address(settings))
    metrics = Metrics()
    endpoint = metrics.serve(settings.host)
    info = this_process("ingest", metrics_url=endpoint.url)
    consumer = Consumer(link, UPLOADS, INGEST_GROUP, info.name, settings)
    pipelines = load_pipelines(settings.models_dir)
    worker = IngestWorker(consumer, pipelines, settings.max_pixels, metrics, lambda: presence.soon())

    def describe() -> WorkerInfo:
        if stop.is_set():
            return replace(info, state="draining")
        if consumer.newer_seen:
            return replace(info, reason="messages of a newer release wait: upgrade this worker")
        return replace(info, state="ready" if worker.connected else "starting")

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
