"""First stage: reads entries, fetches their pictures, decodes and resizes them, in threads of its own."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Sequence
from typing import Final

from drag_imaging.decode import DecodeBuffer
from drag_imaging.header import ImageHeader
from drag_inference.backoff import Backoff
from drag_inference.preprocess import prepare
from drag_inference.shared_state import FETCHED_LIMIT_BYTES, SharedState
from drag_inference.work import Item, in_portions
from drag_shared.errors import ImageError, Unavailable
from drag_shared.outcomes import Dropped, Entry, Failed, Retry
from drag_shared.wire import FrameMessage

log = logging.getLogger(__name__)

BLOCK_MS: Final = 500
_POLL_S: Final = 0.5

Fetched = queue.SimpleQueue[tuple[Item, bytes] | None]


class Reader:
    """Reads and fetches, while decoding, inference and publishing go on.

    Args:
        state: what the stages share.
        fetched: where pictures go.
    """

    def __init__(self, state: SharedState, fetched: Fetched) -> None:
        self._state = state
        self._fetched = fetched
        self._reading = Backoff(state.stop)
        self._fetching = Backoff(state.give_up)

    def run(self) -> None:
        """Until the worker stops."""
        state = self._state
        while not state.stop.is_set():
            room = state.in_flight.room(_POLL_S)
            if not room or state.stop.is_set():
                continue
            try:
                entries = state.source.read(min(room, state.runner.max_batch), BLOCK_MS)
            except Unavailable as error:
                self._reading.pause("read work", error)
                continue
            self._reading.ok()
            if entries and not state.stop.is_set():  # what comes after a stop is handed back at the end
                self._take(entries)

    def _take(self, entries: Sequence[Entry]) -> None:
        items = []
        for entry in entries:
            if isinstance(entry.message, FrameMessage):
                items.append(Item(entry, entry.message))
            else:
                log.error("a message of kind %r in a model's stream", entry.message.kind, extra={"job": entry.job_id})
                self._refuse(entry)
        self._state.in_flight.add(items)
        for portion in in_portions(items, FETCHED_LIMIT_BYTES // 2):
            self._fetch(portion)
        if items and items[0].alone:
            while self._state.wanted() and not self._state.in_flight.wait_empty(_POLL_S):
                pass

    def _refuse(self, entry: Entry) -> None:
        outcome = Failed(entry, "unexpected_message", f"A model's stream carries frames, not {entry.message.kind!r}.")
        self._fetching.insist("settle", lambda: self._state.source.settle([outcome]), self._state.wanted)

    def _fetch(self, items: list[Item]) -> None:
        state, size_bytes = self._state, sum(item.message.size_bytes for item in items)
        while not state.in_flight.take_bytes(size_bytes, _POLL_S):
            if not state.wanted():
                return
        start_s = time.monotonic()
        blobs = self._fetching.insist(
            "fetch pictures", lambda: state.source.fetch([item.entry for item in items]), state.wanted
        )
        if blobs is None:
            state.in_flight.give_bytes(size_bytes)
            return
        fetch_ms = (time.monotonic() - start_s) * 1000
        for item, blob in zip(items, blobs, strict=True):
            item.fetch_ms = fetch_ms
            if blob is None:
                state.in_flight.give_bytes(item.message.size_bytes)
                item.outcome = Dropped(item.entry)
                state.done.put(item)
            else:
                self._fetched.put((item, blob))


class Preparer:
    """Decodes and resizes, one picture at a time.

    Args:
        state: what the stages share.
        fetched: where pictures come from; a None ends this preparer.
    """

    def __init__(self, state: SharedState, fetched: Fetched) -> None:
        self._state = state
        self._fetched = fetched
        self._buffer = DecodeBuffer()

    def run(self) -> None:
        """Until the line ends."""
        state = self._state
        while (work := self._fetched.get()) is not None:
            item, data = work
            if item.lost:
                state.done.put(item)
            else:
                self._prepare(item, data)
                (state.done if item.outcome else state.ready).put(item)
            del work, data
            state.in_flight.give_bytes(item.message.size_bytes)

    def _prepare(self, item: Item, data: bytes) -> None:
        message, start_s = item.message, time.monotonic()
        header = ImageHeader(message.media_type, message.width_px, message.height_px, message.orientation)
        try:
            item.prepared = prepare(data, header, self._state.spec.input, self._buffer)
        except ImageError as error:
            log.info("failed: %s", error.reason, extra={"job": item.entry.job_id})
            item.outcome = Failed(item.entry, error.code, error.reason)
        except Exception as error:  # a fault of ours or of a library: another try may go well, this worker goes on
            log.exception("cannot prepare the picture", extra={"job": item.entry.job_id})
            item.outcome = Retry(item.entry, f"preparing: {type(error).__name__}: {error}")
        item.ready_s = time.monotonic()
        item.decode_ms = (item.ready_s - start_s) * 1000
