"""The API under gunicorn: threads, processes, and what happens when one starts or ends."""

from __future__ import annotations

import logging
import threading
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from drag_api.app import create_app, presence
from drag_shared import metrics
from drag_shared.announce import Announcements
from drag_shared.config import Settings
from drag_shared.jobs import JobStore
from drag_shared.registry import Registry

logger = logging.getLogger(__name__)


def _address(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.api_port}"


class RootLogger(Logger):  # type: ignore[misc]
    """gunicorn's messages through the process's own logging, so that there is one format."""

    def setup(self, cfg: Any) -> None:
        """Leaves the handlers alone."""
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True
        self.error_log.setLevel(logging.WARNING)


class ApiServer(BaseApplication):  # type: ignore[misc]
    """gunicorn with this app; each process opens its own connections after the fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._alive = threading.Event()
        self._alive.set()
        self._worker: Worker | None = None
        self._close: list[Any] = []
        super().__init__()

    def load_config(self) -> None:
        """Sets gunicorn up from the settings; it reads no file and no command line of its own."""
        settings = self._settings
        options: dict[str, Any] = {
            "bind": _address(settings),
            "workers": settings.api_processes,
            "worker_class": "gthread",
            "threads": settings.api_threads,
            "worker_connections": max(1000, 4 * settings.api_threads),
            "graceful_timeout": max(1, settings.drain_s),
            "timeout": 60,
            "keepalive": 75,
            "backlog": 512,
            "proc_name": "drag_api",
            "accesslog": None,
            "logger_class": RootLogger,
            "control_socket_disable": True,
            "post_worker_init": self._started,
            "worker_exit": self._ended,
            "child_exit": _forget,
        }
        for name, value in options.items():
            if name in self.cfg.settings:  # older releases have no control socket to turn off
                self.cfg.set(name, value)

    def load(self) -> Any:
        """The app of one process."""
        settings = self._settings
        store = JobStore.open(settings)
        announcements = Announcements(store)
        registry = Registry(store.link)
        self._close = [announcements.close, store.close]
        return create_app(settings, store, announcements, registry, stopping=self._stopping)

    def _stopping(self) -> bool:
        return self._worker is not None and not self._worker.alive

    def _started(self, worker: Worker) -> None:
        self._worker = worker
        presence(worker.wsgi).start()
        logger.info("serving on http://%s", _address(self._settings))

    def _ended(self, _arbiter: Arbiter, worker: Worker) -> None:
        if getattr(worker, "wsgi", None) is not None:
            presence(worker.wsgi).stop()
        for close in self._close:
            close()


def _forget(_arbiter: Arbiter, worker: Worker) -> None:
    metrics.forget_process(worker.pid)
