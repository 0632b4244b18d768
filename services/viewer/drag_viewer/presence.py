"""This process in the registry, so that diagnostics and service discovery find it."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time

from drag_shared.config import Settings
from drag_shared.errors import ConfigError, Unavailable
from drag_shared.redis_client import Link
from drag_shared.registry import BEAT_EVERY_S, Registry, WorkerInfo, process_name

logger = logging.getLogger(__name__)

_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound


def metrics_url(settings: Settings) -> str:
    """Where this service's metrics are scraped; any of its processes answers for all."""
    host = socket.gethostname() if settings.host in _EVERYWHERE else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.viewer_port}/metrics"


class Presence:
    """Tells the registry that this process lives; Redis being away is no reason to stop serving the page."""

    def __init__(self, settings: Settings, version: str) -> None:
        self._link = Link(settings.redis_url)
        self._registry = Registry(self._link)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._info = WorkerInfo(
            name=process_name("viewer"),
            service="viewer",
            host=socket.gethostname(),
            pid=os.getpid(),
            state="ready",
            metrics_url=metrics_url(settings),
            version=version,
            started_ms=time.time_ns() // 1_000_000,
        )

    def start(self) -> None:
        """Beats from a thread until `close`."""
        self._thread.start()

    def close(self) -> None:
        """Takes the entry away, if Redis is there to take it from."""
        self._stop.set()
        self._thread.join(timeout=5)
        try:
            self._registry.leave(self._info.name)
        except (Unavailable, ConfigError) as error:
            logger.info("the registry names this process for another minute: %s", error)
        self._link.client.close()

    def _run(self) -> None:
        away = False
        while not self._stop.is_set():
            try:
                self._registry.beat(self._info)
                if away:
                    logger.info("Redis is back")
                away = False
            except (Unavailable, ConfigError) as error:
                if not away:
                    logger.warning("Redis is away, diagnostics do not show this process: %s", error)
                away = True
            self._stop.wait(BEAT_EVERY_S)
