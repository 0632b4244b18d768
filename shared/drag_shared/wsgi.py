"""A web service under gunicorn: its processes and threads, its logging, its row in the registry."""

import logging
import os
import select
import shutil
import socket
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker

from drag_shared import metrics
from drag_shared.config import Settings, redis_address
from drag_shared.presence import Presence
from drag_shared.redis_client import Link
from drag_shared.registry import Registry, this_process

log = logging.getLogger(__name__)

LINGER_MS = 5
STALL_S = 20  # a connection that neither takes nor gives a byte for so long loses its thread


class _RootLogger(Logger):  # type: ignore[misc]
    """gunicorn's lines go where all others go, in the same format."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
        self.error_log.setLevel(logging.WARNING)


class LingeringWorker(ThreadWorker):  # type: ignore[misc]
    """gthread, whose threads stay with a connection for a moment after an answer.

    A client that polls, or posts again, sends its next request at once. Back through the main thread's poller and queue
    that request would cost more than Flask's whole work on it; here the thread that is there anyway reads it.
    """

    def handle(self, conn: Any) -> Any:
        """Serves requests of one connection while they come at once and nobody waits for a thread."""
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # the kernel's own, so that blocking mode keeps them
            conn.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", STALL_S, 0))
        going_on = super().handle(conn)
        while going_on is True and self.alive and self._sends_more(conn):
            going_on = super().handle(conn)
        return going_on

    def _sends_more(self, conn: Any) -> bool:
        if conn.is_http2 or not self.tpool._work_queue.empty():
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(LINGER_MS))


class WebServer(BaseApplication):  # type: ignore[misc]
    """Serves one app from processes that make their own connections after the fork.

    Args:
        service: ``api`` or ``viewer``.
        settings: host, and the Redis of the registry.
        port: where it listens.
        processes, threads: of each.
        make_app: makes the app of one process, and says how to close what the app holds; its argument tells whether
            the process is stopping.
    """

    def __init__(
        self,
        service: str,
        settings: Settings,
        port: int,
        processes: int,
        threads: int,
        make_app: Callable[[Callable[[], bool]], tuple[Any, Callable[[], None]]],
    ) -> None:
        self._service, self._settings, self._port = service, settings, port
        self._processes, self._threads, self._make_app = processes, threads, make_app
        self._worker: Worker | None = None
        self._presence: Presence | None = None
        self._link = Link(redis_address(settings))  # connects on first use, after the fork
        self._close: Callable[[], None] | None = None
        super().__init__()

    def load_config(self) -> None:
        """Sets gunicorn up; it reads no file and no command line of its own."""
        options: dict[str, Any] = {
            "bind": metrics.host_and_port(self._settings.host, self._port),
            "workers": self._processes,
            "worker_class": LingeringWorker,
            "threads": self._threads,
            "worker_connections": max(1000, 4 * self._threads),
            "graceful_timeout": max(1, self._settings.drain_s),
            "timeout": 60,
            "keepalive": 75,
            "backlog": 512,
            "proc_name": f"drag_{self._service}",
            "accesslog": None,
            "logger_class": _RootLogger,
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
        app, self._close = self._make_app(lambda: self._worker is not None and not self._worker.alive)
        return app

    def _started(self, worker: Worker) -> None:
        self._worker = worker
        info = this_process(
            self._service, state="ready", metrics_url=metrics.scrape_url(self._settings.host, self._port)
        )
        self._presence = Presence(Registry(self._link), lambda: info)
        self._presence.start()
        log.info("serving on http://%s", metrics.host_and_port(self._settings.host, self._port))

    def _ended(self, _arbiter: Arbiter, _worker: Worker) -> None:
        if self._presence is not None:
            self._presence.close()
        self._link.close()
        if self._close is not None:
            self._close()

    def serve(self) -> None:
        """Serves until SIGTERM or SIGINT; the metrics of all processes add up in a directory of their own."""
        directory = Path(tempfile.mkdtemp(prefix=f"drag-{self._service}-"))
        metrics.share_between_processes(directory)
        owner = os.getpid()
        try:
            self.run()
        finally:
            if os.getpid() == owner:  # forked processes leave through here too
                shutil.rmtree(directory, ignore_errors=True)


def _forget(_arbiter: Arbiter, worker: Worker) -> None:
    metrics.forget_process(worker.pid)
