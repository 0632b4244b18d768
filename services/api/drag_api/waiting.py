"""Waiting for jobs without starving posts: a bounded number of waits, woken by announcements."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from drag_shared.announce import Announcements
from drag_shared.records import Job

ENDED = frozenset({"done", "failed", "dead", "cancelled"})


class Reads(Protocol):
    """What waiting needs of the store."""

    def get(self, job_id: str) -> Job:
        """The job's record."""
        ...


class WaitSlots:
    """How many requests of one process may wait at a time.

    A wait holds a thread. A quarter of the threads never wait, so that posts and health checks find one.
    """

    def __init__(self, threads: int) -> None:
        self.limit = max(1, threads - max(1, threads // 4))
        self._free = threading.BoundedSemaphore(self.limit)

    @contextlib.contextmanager
    def take(self) -> Iterator[bool]:
        """Whether this request may wait; never blocks."""
        taken = self._free.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._free.release()


def hung_up(sock: socket.socket | None) -> bool:
    """Whether the client closed its connection (a half-closed one counts, as no client of HTTP does that)."""
    if sock is None:
        return False
    try:
        poll = select.poll()  # unlike select, it takes descriptors over 1,023
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0)) and sock.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True


class Waiter:
    """Waits for jobs' ends on behalf of requests.

    Args:
        store: where jobs are read.
        announcements: the process's one subscription.
        slots: how many may wait at once.
        stopping: says true once the process is to end; waits then end too.
    """

    def __init__(
        self, store: Reads, announcements: Announcements, slots: WaitSlots, stopping: Callable[[], bool]
    ) -> None:
        self._store = store
        self._announcements = announcements
        self._stopping = stopping
        self.slots = slots

    def wait(self, job_id: str, timeout_s: float, sock: socket.socket | None = None) -> Job:
        """The job when it has ended, else as it was last seen after ``timeout_s``; the caller holds a slot.

        Costs one read for a job that has ended, and two for one that ends meanwhile.
        """
        last: list[Job] = []

        def ended() -> Job | None:
            job = self._store.get(job_id)
            last[:] = [job]
            return job if job.status in ENDED or self._stopping() or hung_up(sock) else None

        found = self._announcements.wait(job_id, timeout_s, ended)
        if found is not None:
            return found
        return last[0] if last else self._store.get(job_id)
