"""Watches `/health/ready` and tells people when DRAG can be used, and when it cannot and why."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Never through a proxy: all addresses are this machine's own."""


def readiness(api: str, timeout_s: float = 2.0) -> str | None:
    """None when the API at this address says ready, else what is missing."""
    try:
        with _LOCAL.open(f"{api}/health/ready", timeout=timeout_s):
            return None
    except urllib.error.HTTPError as error:
        with error:
            return _reason(error.read(65_536)) or f"the API answers {error.code}"
    except (OSError, ValueError):
        return "the API is starting"


def _reason(body: bytes) -> str | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    if not isinstance(answer, dict):
        return None
    for name in ("reasons", "problems", "detail", "reason", "title"):
        value = answer.get(name)
        if isinstance(value, list) and value:
            return "; ".join(str(item.get("what", item)) if isinstance(item, dict) else str(item) for item in value)
        if isinstance(value, str) and value:
            return value
    return None


class Watcher:
    """Polls in a thread and says each change.

    Args:
        api: address of the API.
        say: shows a line.
        when_ready: called once, at the first ready.
    """

    def __init__(self, api: str, say: Callable[[str], None], when_ready: Callable[[float], None]) -> None:
        self._api = api
        self._say = say
        self._when_ready = when_ready
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="readiness", daemon=True)

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._over.set()
        self._thread.join(timeout=5)

    def _watch(self) -> None:
        started = time.monotonic()
        before: str | None = "starting"
        been_ready = False
        while not self._over.wait(2.0 if before is None else 0.2):
            now = readiness(self._api)
            if self._over.is_set():
                return
            if now == before:
                continue
            if now is not None:
                self._say(f"not ready: {now}" if been_ready else f"waiting: {now}")
            elif been_ready:
                self._say("ready again")
            else:
                been_ready = True
                self._when_ready(time.monotonic() - started)
            before = now
