"""Second stage: batches go through the model; a batch that fails is run again one by one."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from drag_inference.batcher import Batcher
from drag_inference.preprocess import pack
from drag_inference.runner import Batch, DeviceFault, Output
from drag_inference.shared_state import SharedState
from drag_inference.work import Item
from drag_shared.errors import InferenceError, PermanentInferenceError
from drag_shared.outcomes import Failed, HandedBack, Retry

log = logging.getLogger(__name__)


class Inferrer:
    """One thread that calls the runner, with batch memory of its own.

    Args:
        state: what the stages share.
    """

    def __init__(self, state: SharedState) -> None:
        self._state = state
        batching = state.spec.batching
        self._batcher = Batcher(state.ready, state.runner.max_batch, batching.max_delay_ms / 1000)
        self._memory: Batch = state.runner.allocate(state.runner.max_batch)

    def run(self) -> None:
        """Until the line ends."""
        while (batch := self._batcher.next()) is not None:
            self._batch(batch)
            for item in batch:
                self._state.done.put(item)

    def _batch(self, batch: Sequence[Item]) -> None:
        """Infers; each item leaves with an output, an outcome, or lost."""
        items = [item for item in batch if not item.lost]
        if not items:
            return
        if self._state.failure:  # the device is gone: nothing more is tried on it
            self._hand_back(items)
            return
        try:
            self._infer(items)
        except DeviceFault as error:
            log.critical("device fault, this worker ends: %s", error)
            self._hand_back(items)
            self._state.fail(f"device fault: {error}")
        except Exception as error:  # whatever a back end raises must not end the thread
            if len(items) == 1:
                self._failed(items[0], error)
                return
            log.warning("a batch of %d failed (%s), running each alone", len(items), error)
            for item in items:
                self._batch([item])

    def _infer(self, items: Sequence[Item]) -> None:
        state, start_s = self._state, time.monotonic()
        pictures = [item.prepared.picture for item in items if item.prepared is not None]
        outputs: Output = state.runner.infer(pack(pictures, state.spec.input, self._memory))
        end_s = time.monotonic()
        infer_ms = (end_s - start_s) * 1000
        for item, output in zip(items, outputs, strict=True):
            item.output, item.infer_ms, item.inferred_s = output, infer_ms, end_s
        state.observer.batch(items, start_s, infer_ms)

    def _hand_back(self, items: Sequence[Item]) -> None:
        for item in items:
            item.outcome = HandedBack(item.entry)

    def _failed(self, item: Item, error: Exception) -> None:
        if isinstance(error, PermanentInferenceError):
            item.outcome = Failed(item.entry, "inference_failed", str(error))
            return
        log.error(
            "inference failed: %s",
            error,
            exc_info=not isinstance(error, InferenceError),
            extra={"job": item.entry.job_id},
        )
        item.outcome = Retry(item.entry, f"inference: {type(error).__name__}: {error}")
