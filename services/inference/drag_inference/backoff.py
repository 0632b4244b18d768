"""Pauses between tries while Redis is away: doubling, with jitter, and ended by a stop."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from drag_shared.errors import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_S: Final = 0.05
_LONGEST_S: Final = 2.0
_SAY_EVERY_S: Final = 10.0


class Backoff:
    """The pauses of one thread.

    Args:
        stop: ends a pause.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._next_s = _FIRST_S
        self._since_s: float | None = None
        self._said_s = 0.0

    def pause(self, what: str, error: Unavailable) -> None:
        """Waits before the next try, and says now and then why."""
        now_s = time.monotonic()
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._said_s >= _SAY_EVERY_S:
            self._said_s = now_s
            log.warning("cannot %s, trying again: %s", what, error)
        self._stop.wait(random.uniform(0.5, 1.0) * min(self._next_s, max(error.retry_after_s, _FIRST_S)))
        self._next_s = min(_LONGEST_S, self._next_s * 2)

    def ok(self) -> None:
        """It worked: the next pause is a short one."""
        if self._since_s is not None:
            log.info("Redis is back after %.1f s", time.monotonic() - self._since_s)
            self._since_s, self._next_s, self._said_s = None, _FIRST_S, 0.0

    def insist(self, what: str, operation: Callable[[], T], wanted: Callable[[], bool]) -> T | None:
        """The answer of `operation`, tried until it comes; None once it is no longer `wanted`."""
        while wanted():
            try:
                answer = operation()
            except Unavailable as error:
                self.pause(what, error)
            else:
                self.ok()
                return answer
        return None
