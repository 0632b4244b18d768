"""A worker with an empty handler, for the faults that the queue alone must stand: `python -m tests.faults.own_worker`.

Its result carries a word of chance, so that two results of one job would be told apart. A picture that begins with
POISON kills it at once, as a bug in a native library does.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import threading
import time

from drag_shared import consumer as consumer_module
from drag_shared.config import load_settings
from drag_shared.consumer import Consumer
from drag_shared.errors import Unavailable
from drag_shared.outcomes import Advanced, Dropped, Entry, Outcome, Routed
from drag_shared.redis_client import Link
from drag_shared.registry import process_name
from drag_shared.wire import FrameMessage

POISON = b"POISON"
FRAME = FrameMessage("image/jpeg", 640, 480, 1, 1000, None)


def outcome(entry: Entry, picture: bytes | None) -> Outcome:
    """What becomes of an entry."""
    if picture is None:
        return Dropped(entry)
    if entry.stream == "uploads":
        return Routed(entry, "m", FRAME, {})
    if picture.startswith(POISON):
        os.kill(os.getpid(), signal.SIGKILL)
    return Advanced(entry, {"by": secrets.token_hex(8), "pid": os.getpid()}, {"infer": 0.1})


def run(consumer: Consumer, stop: threading.Event, work_s: float) -> None:
    """Reads, works for a moment, settles; waits out a Redis that is away."""
    entries: list[Entry] = []
    while not stop.is_set():
        try:
            entries = entries or consumer.read(16, 200)
            if entries:
                pictures = consumer.fetch(entries)
                time.sleep(work_s)
                consumer.settle([outcome(*pair) for pair in zip(entries, pictures, strict=True)])
            entries = []
        except Unavailable:
            stop.wait(0.05)


def renew(consumer: Consumer, every_s: float, stop: threading.Event) -> None:
    """The heartbeat."""
    while not stop.wait(every_s):
        try:
            consumer.renew()
        except Unavailable:
            continue


def main() -> int:
    """Works on the stream that the command line names until SIGTERM."""
    logging.basicConfig(level=logging.ERROR)
    settings = load_settings()
    stream, work_s = sys.argv[1], float(sys.argv[2])
    consumer_module.TEND_EVERY_S = 0.2
    group = "ingest" if stream == "uploads" else "inference"
    consumer = Consumer(Link(settings.redis_url), stream, group, process_name("own"), settings)
    stop, ended = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("started", flush=True)
    heart = threading.Thread(target=renew, args=(consumer, settings.lease_ms / 4000, ended), daemon=True)
    heart.start()
    worker = threading.Thread(target=run, args=(consumer, stop, work_s), daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(0.1)
        if stop.is_set():
            worker.join(settings.drain_s)  # past the deadline the rest is handed back
            break
    consumer.close()
    ended.set()
    return 0


if __name__ == "__main__":
    sys.exit(main())
