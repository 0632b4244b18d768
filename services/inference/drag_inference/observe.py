"""A worker's metrics and statistics: where every picture's stages are counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drag_inference.repository import ModelSpec
from drag_inference.work import Item, stream_wait_ms
from drag_shared.metrics import Metrics
from drag_shared.outcomes import Advanced, Dropped, Failed, HandedBack, Outcome, Retry, Routed
from drag_shared.statistics import ModelStatistics

STATES: Final = ("starting", "warming", "ready", "draining", "failed")
BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128)
_WORDS: Final[dict[type[Outcome], str]] = {
    Advanced: "done",
    Failed: "failed",
    Retry: "retry",
    HandedBack: "handed_back",
    Dropped: "cancelled",
    Routed: "routed",
}


class Observer:
    """Counts what a worker does.

    Args:
        metrics: of this process.
        spec: the model; its name is a label.
    """

    def __init__(self, metrics: Metrics, spec: ModelSpec) -> None:
        self.statistics = ModelStatistics()
        model = {"model": spec.name}
        images = metrics.counter("inference_images", "Pictures by outcome.", ("model", "outcome"))
        self._images = {kind: images.labels(outcome=word, **model) for kind, word in _WORDS.items()}
        self._abandoned = images.labels(outcome="abandoned", **model)
        stages = metrics.histogram("inference_stage_seconds", "Time in each stage of a picture.", ("model", "stage"))
        self._fetch, self._decode, self._infer, self._publish = (
            stages.labels(stage=stage, **model) for stage in ("fetch", "decode", "infer", "publish")
        )
        self._queue = metrics.histogram(
            "inference_queue_seconds", "Wait from the model's stream to inference, less fetch and decode.", ("model",)
        ).labels(**model)
        self._latency = metrics.histogram(
            "inference_latency_seconds", "Time from delivery to the stored result.", ("model",)
        ).labels(**model)
        self._batch = metrics.histogram("inference_batch_size", "Pictures in a batch.", ("model",), BATCH_SIZES).labels(
            **model
        )
        self.in_flight = metrics.gauge("inference_in_flight", "Pictures delivered and not settled.", ("model",)).labels(
            **model
        )
        state = metrics.gauge("inference_worker_state", "1 for the state that the worker is in.", ("model", "state"))
        self._states = {name: state.labels(state=name, **model) for name in STATES}

    def state(self, current: str) -> None:
        """The worker is in this state now."""
        for name, gauge in self._states.items():
            gauge.set(1 if name == current else 0)

    def batch(self, items: Sequence[Item], start_s: float, infer_ms: float) -> None:
        """A batch was inferred."""
        self._batch.observe(len(items))
        waits_ms = []
        for item in items:
            inside_ms = (start_s - item.entry.received_s) * 1000 - item.fetch_ms - item.decode_ms
            waits_ms.append(stream_wait_ms(item.entry) + max(0.0, inside_ms))
            self._queue.observe(waits_ms[-1] / 1000)
            self._fetch.observe(item.fetch_ms / 1000)
            self._decode.observe(item.decode_ms / 1000)
            self._infer.observe(infer_ms / 1000)
        self.statistics.record_batch(waits_ms, infer_ms)

    def settled(self, items: Sequence[Item], now_s: float) -> None:
        """These items' outcomes are stored."""
        latencies_ms = []
        for item in items:
            assert item.outcome is not None
            kind = type(item.outcome)
            self._images[kind].inc()
            if kind is Advanced:
                latencies_ms.append((now_s - item.entry.received_s) * 1000)
                self._latency.observe(latencies_ms[-1] / 1000)
                self._publish.observe(now_s - item.inferred_s)
            elif kind is Failed or kind is Retry:
                self.statistics.record_errors()
        self.statistics.record_latencies(latencies_ms)

    def abandoned(self, count: int) -> None:
        """The leases of so many were lost."""
        self._abandoned.inc(count)
