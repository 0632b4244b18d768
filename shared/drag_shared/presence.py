"""This process in the registry: a thread that beats, so that diagnostics and service discovery find it."""

import logging
import threading
from collections.abc import Callable

from drag_shared.errors import ConfigError, Unavailable
from drag_shared.registry import BEAT_EVERY_S, Registry, WorkerInfo

log = logging.getLogger(__name__)


class Presence:
    """Beats from a thread from `start` to `close`. Redis being away is no reason to stop working.

    Args:
        registry: where it beats.
        describe: this process as it is now; called at each beat, from the thread.
        every_s: time between beats.
        also: called at each beat as well, e.g. to renew leases; its `Unavailable` is treated like the registry's.
    """

    def __init__(
        self,
        registry: Registry,
        describe: Callable[[], WorkerInfo],
        every_s: float = BEAT_EVERY_S,
        also: Callable[[], object] | None = None,
    ) -> None:
        self._registry, self._describe, self._every_s, self._also = registry, describe, every_s, also
        self._name = ""
        self._stop = threading.Event()
        self._now = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Starts to beat."""
        self._thread.start()

    def soon(self) -> None:
        """Beats at once: the state changed."""
        self._now.set()

    def close(self) -> None:
        """Ends the thread and takes the row away, if Redis is there to take it from."""
        self._stop.set()
        self._now.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        try:
            self._registry.leave(self._name)
        except (Unavailable, ConfigError) as error:
            log.info("the registry names this process for another minute: %s", error)

    def _run(self) -> None:
        away = False
        while not self._stop.is_set():
            self._now.clear()
            try:
                if self._also is not None:
                    self._also()
                info = self._describe()
                self._name = info.name
                self._registry.beat(info)
                if away:
                    log.info("Redis is back")
                away = False
            except (Unavailable, ConfigError) as error:
                if not away:
                    log.warning("Redis is away: %s", error)
                away = True
            except Exception:  # the beat must go on: without it leases run out and nobody sees this process
                log.exception("a beat failed")
            self._now.wait(self._every_s)
