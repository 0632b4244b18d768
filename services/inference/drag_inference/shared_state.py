"""What the stages of one worker share: queues, the table of what is in flight, and how it ends."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from typing import Final

from drag_inference.observe import Observer
from drag_inference.repository import ModelSpec
from drag_inference.runner import ModelRunner
from drag_inference.work import InFlight, Item, WorkSource

Line = queue.SimpleQueue[Item | None]
"""A line between two stages; None ends it. `InFlight` bounds all of them together."""

FETCHED_LIMIT_BYTES: Final = 64 * 1024 * 1024


@dataclass
class SharedState:
    """One worker's stages meet here.

    Attributes:
        source: where work comes from and outcomes go.
        runner: the model.
        observer: metrics and statistics.
        in_flight: what was delivered and is not settled.
        ready: from preparation to inference.
        done: to publishing.
        stop: take in no more work.
        give_up: the drain's time is up: what is not done is handed back.
        failure: why the worker cannot go on; empty: it can.
    """

    source: WorkSource
    runner: ModelRunner
    observer: Observer
    in_flight: InFlight
    ready: Line = field(default_factory=queue.SimpleQueue)
    done: Line = field(default_factory=queue.SimpleQueue)
    stop: threading.Event = field(default_factory=threading.Event)
    give_up: threading.Event = field(default_factory=threading.Event)
    failure: str = ""

    @property
    def spec(self) -> ModelSpec:
        """The model."""
        return self.runner.spec

    def wanted(self) -> bool:
        """Whether work in flight still counts."""
        return not self.give_up.is_set()

    def fail(self, reason: str) -> None:
        """The worker cannot go on: it stops, hands back, and says why."""
        if not self.failure:
            self.failure = reason
        self.stop.set()
