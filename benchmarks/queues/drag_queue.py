"""DRAG's queue alone: jobs with 1 kB of data, and a worker's step (read, fetch the data, settle) in batches."""

from __future__ import annotations

import os
import sys

from benchmarks.queues import counter
from drag_shared.config import load_settings, redis_address
from drag_shared.consumer import Consumer
from drag_shared.jobs import JobStore, Upload
from drag_shared.keys import INFERENCE_GROUP, INGEST_GROUP, UPLOADS, frames_stream
from drag_shared.outcomes import Advanced, Routed
from drag_shared.redis_client import Link
from drag_shared.wire import FrameMessage

MODEL = "bench"
BATCH = int(os.environ.get("BENCH_BATCH", "64"))
FETCH = os.environ.get("BENCH_FETCH", "1") == "1"


def fill(number: int) -> None:
    """Accepts jobs and routes them to the model's stream."""
    settings = load_settings()
    store = JobStore.open(settings)
    for start in range(0, number, 100):
        store.accept(
            [Upload(counter.payload(n).encode(), "x", "image/jpeg", 8, 8, "gauges") for n in range(start, start + 100)]
        )
    consumer = Consumer(store.link, UPLOADS, INGEST_GROUP, "fill", settings)
    message = FrameMessage("image/jpeg", 8, 8, 1, 1000)
    while entries := consumer.read(200, 10):
        consumer.settle([Routed(entry, MODEL, message) for entry in entries])
    consumer.close()
    store.close()


def work() -> None:
    """Reads, fetches and settles until nothing is left."""
    settings = load_settings()
    consumer = Consumer(
        Link(redis_address(settings)), frames_stream(MODEL), INFERENCE_GROUP, f"w{os.getpid()}", settings
    )
    while entries := consumer.read(BATCH, 1000):
        if FETCH:
            for entry, data in zip(entries, consumer.fetch(entries), strict=True):
                assert len(data or b"") == 1000, entry
        consumer.settle([Advanced(entry, {}, {}) for entry in entries])
        counter.add(len(entries))
    consumer.close()


if __name__ == "__main__":
    fill(int(sys.argv[2])) if sys.argv[1] == "fill" else work()
