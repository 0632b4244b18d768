"""This process in the registry: how others see it, and the proof that Redis takes our writes."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time

from drag_api import version
from drag_shared.config import Settings
from drag_shared.errors import DragError
from drag_shared.registry import BEAT_EVERY_S, Registry, WorkerInfo, process_name

logger = logging.getLogger(__name__)

_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound


def metrics_url(settings: Settings) -> str:
    """Where this service's metrics are scraped; all its processes answer for one another."""
    host = socket.gethostname() if settings.host in _EVERYWHERE else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.api_port}/metrics"


class Presence:
    """Tells the registry that this process lives."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._registry = registry
        self._url = metrics_url(settings)
        self._host = socket.gethostname()
        self._started_ms = time.time_ns() // 1_000_000
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self.name = process_name("api")

    def beat(self) -> None:
        """Writes this process's entry; raises `Unavailable` when Redis does not take it."""
        self._registry.beat(
            WorkerInfo(
                name=self.name,
                service="api",
                host=self._host,
                pid=os.getpid(),
                state="ready",
                metrics_url=self._url,
                version=version(),
                started_ms=self._started_ms,
            )
        )

    def start(self) -> None:
        """Beats from a thread until `stop`."""
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Takes the entry away."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        try:
            self._registry.leave(self.name)
        except DragError as error:
            logger.info("the registry still names this process for a while: %s", error)

    def _run(self) -> None:
        away = False
        while not self._ending.is_set():
            try:
                self.beat()
                if away:
                    logger.info("Redis is back")
                away = False
            except DragError as error:
                if not away:
                    logger.warning("Redis is away: %s", error)
                away = True
            self._ending.wait(BEAT_EVERY_S)
