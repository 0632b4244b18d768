"""The ingest loop: read uploads in batches, look at their first bytes, settle."""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from drag_imaging.header import NeedMore
from drag_ingest.routing import route_upload
from drag_shared.consumer import Consumer
from drag_shared.errors import Unavailable
from drag_shared.metrics import Metrics
from drag_shared.outcomes import Entry, Failed, Outcome
from drag_shared.pipelines import Pipeline

log = logging.getLogger(__name__)

BATCH = 64
BLOCK_MS = 1000
HEAD_BYTES = 32 * 1024  # nearly every camera's EXIF block with its thumbnail fits
LONGEST_PAUSE_S = 2.0


class IngestWorker:
    """Routes uploads until it is stopped.

    Args:
        consumer: of the stream ``uploads``.
        pipelines: by name.
        max_pixels: largest picture, width times height.
        metrics: this process's.
        changed: called when `connected` changes.
    """

    def __init__(
        self,
        consumer: Consumer,
        pipelines: Mapping[str, Pipeline],
        max_pixels: int,
        metrics: Metrics,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._consumer, self._pipelines, self._max_pixels, self._changed = consumer, pipelines, max_pixels, changed
        self._uploads = metrics.counter("ingest_uploads", "Uploads by what became of them.", ["outcome"])
        self._step_seconds = metrics.histogram("ingest_step_seconds", "Time from reading a batch to settling it.")
        self._batch: list[Entry] = []  # read and not settled yet
        self.connected = False

    def run(self, stop: threading.Event) -> None:
        """Works until ``stop`` is set; a Redis that is away is waited for."""
        pause_s = 0.05
        while not stop.is_set():
            try:
                self.step(BLOCK_MS if self.connected else 0)
                self._set_connected(True)
                pause_s = 0.05
            except Unavailable as error:
                if self.connected:
                    log.warning("waiting for Redis: %s", error)
                self._set_connected(False)
                stop.wait(random.uniform(0.5, 1.0) * pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _set_connected(self, connected: bool) -> None:
        if connected != self.connected:
            self.connected = connected
            self._changed()

    def step(self, block_ms: int = BLOCK_MS) -> int:
        """One batch, waiting at most ``block_ms`` for it; answers how many uploads it held.

        Raises:
            Unavailable: Redis is away; what was read stays held, and the next step goes on with it.
        """
        self._batch = entries = self._batch or self._consumer.read(BATCH, block_ms)
        if not entries:
            return 0
        start_s = time.perf_counter()
        outcomes = self._decide(entries)
        self._consumer.settle(outcomes)
        self._batch = []
        self._step_seconds.observe(time.perf_counter() - start_s)
        for outcome in outcomes:
            self._tell(outcome)
        return len(entries)

    def _tell(self, outcome: Outcome) -> None:
        kind = type(outcome).__name__.lower()
        self._uploads.labels(kind).inc()
        job = {"job": outcome.entry.job_id}
        if isinstance(outcome, Failed):
            log.info("failed: %s (%s)", outcome.detail, outcome.code, extra=job)
        else:
            log.debug(kind, extra=job)

    def _decide(self, entries: Sequence[Entry]) -> list[Outcome]:
        heads = self._consumer.fetch_headers(entries, HEAD_BYTES)
        outcomes = []
        for entry, head in zip(entries, heads, strict=True):
            decision = route_upload(entry, head, self._pipelines, self._max_pixels)
            while isinstance(decision, NeedMore):
                (head,) = self._consumer.fetch_headers([entry], decision.size_bytes)
                decision = route_upload(entry, head, self._pipelines, self._max_pixels)
            outcomes.append(decision)
        return outcomes
