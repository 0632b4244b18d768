"""Third stage: outputs become results, and outcomes are settled, many in one round trip."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Sequence
from typing import Final

from drag_inference.backoff import Backoff
from drag_inference.postprocess import decode_yolov8, to_result
from drag_inference.shared_state import SharedState
from drag_inference.work import Item
from drag_shared.errors import Unavailable
from drag_shared.outcomes import Advanced, Outcome, Retry

log = logging.getLogger(__name__)

_AT_ONCE: Final = 64


class Publisher:
    """One thread that settles.

    Args:
        state: what the stages share.
    """

    def __init__(self, state: SharedState) -> None:
        self._state = state
        self._backoff = Backoff(state.give_up)

    def run(self) -> None:
        """Until the line ends."""
        going_on = True
        while going_on:
            items, going_on = self._waiting()
            if items:
                self._publish(items)
                self._state.in_flight.remove(items)

    def _waiting(self) -> tuple[list[Item], bool]:
        """What is there, waiting for the first; and whether the line goes on."""
        done = self._state.done
        item = done.get()
        items: list[Item] = []
        while item is not None:
            items.append(item)
            if len(items) == _AT_ONCE:
                return items, True
            try:
                item = done.get_nowait()
            except queue.Empty:
                return items, True
        return items, False

    def _publish(self, items: Sequence[Item]) -> None:
        for item in items:
            if item.outcome is None and not item.lost:
                item.outcome = self._result(item)
        settled = self._backoff.insist("settle results", lambda: self._settle(items), self._state.wanted)
        if settled:
            self._state.observer.settled(settled, time.monotonic())

    def _settle(self, items: Sequence[Item]) -> list[Item]:
        """Settles those whose lease still stands, again on each try: it may be lost while Redis is away."""
        ours = [item for item in items if item.outcome is not None and not item.lost]
        outcomes = [item.outcome for item in ours if item.outcome is not None]
        if not outcomes:
            return []
        try:
            self._state.source.settle(outcomes)
        except Unavailable:
            raise
        except Exception:
            if len(ours) == 1:
                log.exception(
                    "an outcome cannot be stored; its lease will run out", extra={"job": ours[0].entry.job_id}
                )
                return []
            return [item for one in ours for item in self._settle([one])]
        return ours

    def _result(self, item: Item) -> Outcome:
        try:
            return self._advanced(item)
        except Exception as error:  # one picture's odd output must not cost the others theirs
            log.exception("cannot read the network's output", extra={"job": item.entry.job_id})
            return Retry(item.entry, f"postprocessing: {type(error).__name__}: {error}")

    def _advanced(self, item: Item) -> Advanced:
        if item.output is None or item.prepared is None:
            raise RuntimeError("the item passed inference without an output")
        spec, placement, message = self._state.spec, item.prepared.placement, item.message
        found = decode_yolov8(item.output, spec, placement, message.min_score)
        result = to_result(found, spec, placement, message.orientation)
        timings = {
            "fetch": round(item.fetch_ms, 2),
            "decode": round(item.decode_ms, 2),
            "infer": round(item.infer_ms, 2),
            "publish": round((time.monotonic() - item.inferred_s) * 1000, 2),
        }
        return Advanced(item.entry, result, timings)
