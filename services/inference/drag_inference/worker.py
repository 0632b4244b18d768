"""One worker: one replica of one model, fed from the model's stream, its stages in threads that overlap."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from drag_inference.inferring import Inferrer
from drag_inference.intake import Fetched, Preparer, Reader
from drag_inference.observe import Observer
from drag_inference.preprocess import pack
from drag_inference.publishing import Publisher
from drag_inference.runner import ModelRunner
from drag_inference.shared_state import FETCHED_LIMIT_BYTES, SharedState
from drag_inference.work import InFlight, WorkSource
from drag_shared import logs

log = logging.getLogger(__name__)

_JOIN_S: Final = 2.0


def warm_up(runner: ModelRunner) -> None:
    """Runs the network as often as the model asks, alone and in full batches, so that the first job is no slower."""
    spec = runner.spec
    memory = runner.allocate(runner.max_batch)
    grey = np.full((spec.input.height, spec.input.width, 3), 127, dtype=np.uint8)
    for turn in range(spec.warmup_iterations):
        count = 1 if turn % 2 == 0 else runner.max_batch
        runner.infer(pack([grey] * count, spec.input, memory))


class Worker:
    """The stages and their threads.

    Args:
        state: what the stages share; its runner is active and warm.
        preparers: threads that decode.
    """

    def __init__(self, state: SharedState, preparers: int) -> None:
        self.state = state
        fetched: Fetched = queue.SimpleQueue()
        self._fetched = fetched
        self._reader = self._thread("reader", Reader(state, fetched).run)
        self._preparers = [self._thread(f"prepare-{n}", Preparer(state, fetched).run) for n in range(preparers)]
        self._inferrers = [self._thread(f"infer-{n}", Inferrer(state).run) for n in range(state.runner.slots)]
        self._publisher = self._thread("publish", Publisher(state).run)

    def start(self) -> None:
        """Begins to work."""
        for thread in (self._publisher, *self._inferrers, *self._preparers, self._reader):
            thread.start()

    def drain(self, timeout_s: float) -> bool:
        """Finishes what is in flight and hands back the rest.

        Returns:
            Whether all that was in flight was finished in time.
        """
        state, deadline_s = self.state, time.monotonic() + timeout_s
        state.stop.set()
        self._reader.join(timeout=max(0.0, deadline_s - time.monotonic()))
        finished = state.in_flight.wait_empty(max(0.0, deadline_s - time.monotonic()))
        finished = finished and not self._reader.is_alive()
        if not finished:
            log.warning("the drain's time is up, handing back %d pictures", len(state.in_flight))
            state.in_flight.mark_all_lost()
        state.give_up.set()
        self._end_threads()
        state.source.close()
        return finished

    def _end_threads(self) -> None:
        """Ends each line behind what it holds; a thread inside the network is left to itself."""
        state = self.state
        for _ in self._preparers:
            self._fetched.put(None)
        for _ in self._inferrers:
            state.ready.put(None)
        deadline_s = time.monotonic() + _JOIN_S
        for thread in (self._reader, *self._preparers, *self._inferrers):
            thread.join(timeout=max(0.0, deadline_s - time.monotonic()))
        state.done.put(None)
        self._publisher.join(timeout=_JOIN_S)

    def _thread(self, name: str, target: Callable[[], None]) -> threading.Thread:
        fields = logs.current_context()

        def run() -> None:
            try:
                with logs.context(**fields):
                    target()
            except Exception as error:
                log.exception("thread %s ended", name)
                self.state.fail(f"thread {name} ended: {type(error).__name__}: {error}")

        return threading.Thread(target=run, name=name, daemon=True)


def make_state(source: WorkSource, runner: ModelRunner, observer: Observer) -> SharedState:
    """The shared state: room for the batches in the network, as many that wait for it, and one that is published."""
    limit = runner.max_batch * (2 * runner.slots + 1)
    return SharedState(source, runner, observer, InFlight(limit, FETCHED_LIMIT_BYTES))
