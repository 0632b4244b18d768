"""The viewer under gunicorn: its processes and threads, and what happens when one starts or ends."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from drag_shared import metrics
from drag_shared.config import Settings
from drag_viewer.app import create_app, version
from drag_viewer.origins import configured_origin
from drag_viewer.presence import Presence

logger = logging.getLogger(__name__)


class _OurLogger(Logger):  # type: ignore[misc]
    """gunicorn's own lines go where all others go, in the same format."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)


class ViewerServer(BaseApplication):  # type: ignore[misc]
    """gunicorn with the viewer's app; each process makes its own connections after the fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._presence: Presence | None = None
        super().__init__()

    def load_config(self) -> None:
        """Sets gunicorn up from the settings; it reads no file and no command line of its own."""
        settings = self._settings
        options: dict[str, Any] = {
            "bind": address(settings),
            "workers": settings.viewer_processes,
            "worker_class": "gthread",
            "threads": settings.viewer_threads,
            "graceful_timeout": max(1, settings.drain_s),
            "timeout": 60,
            "keepalive": 30,
            "proc_name": "drag_viewer",
            "accesslog": None,
            "logger_class": _OurLogger,
            "control_socket_disable": True,
            "post_worker_init": self._started,
            "worker_exit": self._ended,
            "child_exit": _forget,
        }
        for name, value in options.items():
            if name in self.cfg.settings:  # older releases have no control socket to turn off
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """The app of one process."""
        return create_app(self._settings)

    def _started(self, _worker: Worker) -> None:
        if self._settings.redis_url:
            self._presence = Presence(self._settings, version())
            self._presence.start()
        else:
            logger.warning("DRAG_REDIS_URL is empty: the page works, but diagnostics do not show this process")
        logger.info("serving on http://%s", address(self._settings))

    def _ended(self, _arbiter: Arbiter, _worker: Worker) -> None:
        if self._presence is not None:
            self._presence.close()


def address(settings: Settings) -> str:
    """`HOST:PORT`, as gunicorn and browsers write it."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.viewer_port}"


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        ConfigError: `api_url` is not an origin.
    """
    if settings.api_url:
        configured_origin(settings.api_url)
    directory = Path(tempfile.mkdtemp(prefix="drag-viewer-"))
    metrics.share_between_processes(directory)
    owner = os.getpid()
    try:
        ViewerServer(settings).run()
    finally:
        if os.getpid() == owner:  # forked processes leave through here too
            shutil.rmtree(directory, ignore_errors=True)


def _forget(_arbiter: Arbiter, worker: Worker) -> None:
    metrics.forget_process(worker.pid)
