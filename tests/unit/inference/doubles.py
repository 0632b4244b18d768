"""Stands in for Redis and for a network, in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from drag_inference.observe import Observer
from drag_inference.repository import Batching, InputSpec, ModelSpec, Thresholds
from drag_inference.runner import Batch, Output
from drag_inference.shared_state import SharedState
from drag_inference.worker import Worker, make_state
from drag_shared.errors import Unavailable
from drag_shared.metrics import Metrics
from drag_shared.outcomes import Entry, HandedBack, Outcome
from drag_shared.wire import FrameMessage

SIDE = 32


def make_spec(**changes: Any) -> ModelSpec:
    """A small detector of gauges: 32 x 32, batches of up to 4."""
    values: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "task": "detection",
        "description": "for tests",
        "labels": ("analog", "digital", "counter"),
        "licence": "Apache-2.0",
        "path": Path("model.onnx"),
        "sha256": "0" * 64,
        "input": make_input(),
        "head": "yolov8",
        "thresholds": Thresholds(0.4, 0.5, 50),
        "batching": Batching(4, 5.0),
        "warmup_iterations": 2,
        "provenance": {},
    }
    return ModelSpec(**values | changes)


def make_input(**changes: Any) -> InputSpec:
    values: dict[str, Any] = {
        "width": SIDE,
        "height": SIDE,
        "colour": "bgr",
        "layout": "nhwc",
        "dtype": "uint8",
        "resize": "letterbox",
        "pad": 114,
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
    }
    return InputSpec(**values | changes)


def one_box(count: int, score: float = 0.9) -> Output:
    """The answer of a network that finds one analog gauge in the middle of each picture."""
    output = np.zeros((count, 7, 2), dtype=np.float32)
    output[:, :4, 0] = (SIDE / 2, SIDE / 2, 8, 4)
    output[:, 4, 0] = score
    return output


class FakeRunner:
    """A network that is a function of the batch."""

    backend = "fake"
    slots = 1

    def __init__(self, spec: ModelSpec | None = None, function: Callable[[Batch], Output] | None = None) -> None:
        self.spec = spec or make_spec()
        self.max_batch = self.spec.batching.max_batch
        self.function = function or (lambda batch: one_box(len(batch)))
        self.batches: list[int] = []

    def activate(self) -> None:
        pass

    def deactivate(self) -> None:
        pass

    def allocate(self, count: int) -> Batch:
        return np.zeros(self.spec.input.batch_shape(count), dtype=self.spec.input.dtype)

    def infer(self, batch: Batch) -> Output:
        self.batches.append(len(batch))
        return self.function(batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def picture(level: int = 200, size: tuple[int, int] = (64, 48)) -> bytes:
    """A grey PNG; its level tells pictures apart behind the letterbox."""
    done, data = cv2.imencode(".png", np.full((size[1], size[0], 3), level, dtype=np.uint8))
    assert done
    return bytes(data)


class FakeSource:
    """A consumer in memory, with the promises that a worker relies on.

    An entry with `attempt > 0` is given alone and only while nothing is held; what is held is handed back by `close`.
    """

    def __init__(self) -> None:
        self.waiting: list[Entry] = []
        self.blobs: dict[str, bytes | None] = {}
        self.outcomes: list[Outcome] = []
        self.asked: list[Outcome] = []
        self.held_entries: dict[str, Entry] = {}
        self.lost: set[str] = set()
        self.away: dict[str, int] = {}
        self.concurrent: list[set[str]] = []
        self.newer_seen = False
        self.closed = False
        self.changed = threading.Condition()

    @property
    def held(self) -> int:
        return len(self.held_entries)

    def add(self, job_id: str, data: bytes | None = None, attempt: int = 0, **message: Any) -> Entry:
        blob = picture() if data is None else data
        values: dict[str, Any] = {
            "media_type": "image/png",
            "width_px": 64,
            "height_px": 48,
            "orientation": 1,
            "size_bytes": len(blob),
        }
        made = FrameMessage(**values | message)
        entry = Entry(
            0, "frames:tiny", f"{time.time_ns() // 1_000_000}-0", job_id, "0", attempt, made, time.monotonic()
        )
        with self.changed:
            self.blobs.setdefault(job_id, blob)
            self.waiting.append(entry)
            self.changed.notify_all()
        return entry

    def read(self, count: int, block_ms: int) -> list[Entry]:
        self._fail_if_away("read")
        with self.changed:
            self.changed.wait_for(lambda: self._next(count), min(block_ms, 20) / 1000)
            entries = self._next(count)
            for entry in entries:
                self.waiting.remove(entry)
                self.held_entries[entry.job_id] = entry
            if entries:
                self.concurrent.append(set(self.held_entries))
            return entries

    def _next(self, count: int) -> list[Entry]:
        if self.waiting and self.waiting[0].attempt > 0:
            return [] if self.held_entries else self.waiting[:1]
        fresh: list[Entry] = []
        for entry in self.waiting[:count]:
            if entry.attempt > 0:
                break
            fresh.append(entry)
        return fresh

    def fetch(self, entries: Sequence[Entry]) -> list[bytes | None]:
        self._fail_if_away("fetch")
        return [self.blobs[entry.job_id] for entry in entries]

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        self._fail_if_away("settle")
        with self.changed:
            self.asked.extend(outcomes)
            for outcome in outcomes:
                if self.held_entries.pop(outcome.entry.job_id, None) is not None:
                    self.outcomes.append(outcome)
            self.changed.notify_all()

    def renew(self) -> set[str]:
        self._fail_if_away("renew")
        with self.changed:
            for job_id in self.lost:
                self.held_entries.pop(job_id, None)
            return self.lost

    def close(self) -> None:
        self.closed = True
        self.settle([HandedBack(entry) for entry in self.held_entries.values()])

    def wait_settled(self, count: int, timeout_s: float = 10) -> dict[str, Outcome]:
        """Outcomes by job, once there are so many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.outcomes) >= count, timeout_s), (
                f"{len(self.outcomes)} outcomes, expected {count}: {self.outcomes}"
            )
            return {outcome.entry.job_id: outcome for outcome in self.outcomes}

    def _fail_if_away(self, method: str) -> None:
        if self.away.get(method, 0) > 0:
            self.away[method] -= 1
            raise Unavailable(f"away for {method}", retry_after_s=0.01)


class Harness:
    """A worker over the doubles; a context manager that starts it and drains it."""

    def __init__(self, runner: FakeRunner | None = None, preparers: int = 1) -> None:
        self.source = FakeSource()
        self.runner = runner or FakeRunner()
        self.metrics = Metrics()
        self.state: SharedState = make_state(self.source, self.runner, Observer(self.metrics, self.runner.spec))
        self.worker = Worker(self.state, preparers)
        self.finished: bool | None = None

    def __enter__(self) -> Self:
        self.worker.start()
        return self

    def drain(self, timeout_s: float = 10) -> bool:
        if self.finished is None:
            self.finished = self.worker.drain(timeout_s)
        return self.finished

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drain()
