"""Waiting for jobs to end: one subscription a process, not one poll for each waiting client.

Announcements are hints and may get lost: a waiter subscribes, reads, waits, reads again, and reads once a second.
"""

import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import redis

from drag_shared.config import redis_address
from drag_shared.errors import DragError
from drag_shared.jobs import JobStore
from drag_shared.redis_client import connect

log = logging.getLogger(__name__)

T = TypeVar("T")

REREAD_EVERY_S = 1.0


class Announcements:
    """Wakes those who wait for a job when its end is announced. Thread safe; the first wait starts the listener."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._waiting: dict[str, set[threading.Event]] = defaultdict(set)
        self._lock = threading.Lock()
        self._listener: threading.Thread | None = None
        self._closed = threading.Event()
        self._client: Any = None

    @property
    def waiting(self) -> int:
        """How many waits are going on."""
        with self._lock:
            return sum(len(events) for events in self._waiting.values())

    def wait(self, job_id: str, timeout_s: float, done: Callable[[], T | None]) -> T | None:
        """The first answer of ``done()`` that is not None, asked when the job is announced; None after ``timeout_s``.

        ``done`` is asked at once, so what ended before the call is seen. What it raises goes to the caller.
        """
        self._ensure_listener()
        event = threading.Event()
        with self._lock:
            self._waiting[job_id].add(event)
        deadline_s = time.monotonic() + timeout_s
        try:
            while True:
                event.clear()
                answer = done()
                left_s = deadline_s - time.monotonic()
                if answer is not None or left_s <= 0 or self._closed.is_set():
                    return answer
                event.wait(min(left_s, REREAD_EVERY_S))
        finally:
            with self._lock:
                self._waiting[job_id].discard(event)
                if not self._waiting[job_id]:
                    del self._waiting[job_id]

    def close(self) -> None:
        """Ends the listener and all waits."""
        self._closed.set()
        with self._lock:
            for events in self._waiting.values():
                for event in events:
                    event.set()
        if self._listener is not None:
            self._listener.join(timeout=2)

    def _ensure_listener(self) -> None:
        with self._lock:
            if self._listener is None or not self._listener.is_alive():
                self._listener = threading.Thread(target=self._listen, name="announcements", daemon=True)
                self._listener.start()

    def _listen(self) -> None:
        pause_s = 0.05
        while not self._closed.is_set():
            try:
                self._listen_once()
                pause_s = 0.05
            except (redis.RedisError, DragError, OSError) as error:
                log.debug("announcements: subscribing again: %s", error)
                self._closed.wait(random.uniform(0.5, 1.0) * pause_s)
                pause_s = min(pause_s * 2, 2.0)

    def _listen_once(self) -> None:
        """Listens until the connection breaks; whoever waits re-reads once after each subscription."""
        client = connect(redis_address(self._store.settings))
        pubsub = client.pubsub(ignore_subscribe_messages=True)
        try:
            pubsub.subscribe(*(keys.key("announce") for keys in self._store.partitions))
            self._wake_all()
            while not self._closed.is_set():
                message = pubsub.get_message(timeout=1.0)
                if message is not None and isinstance(message["data"], bytes):
                    self._wake(message["data"].decode("utf-8", "replace").split())
        finally:
            pubsub.close()
            client.close()

    def _wake(self, job_ids: Iterable[str]) -> None:
        with self._lock:
            for job_id in job_ids:
                for event in self._waiting.get(job_id, ()):
                    event.set()

    def _wake_all(self) -> None:
        with self._lock:
            for events in self._waiting.values():
                for event in events:
                    event.set()
