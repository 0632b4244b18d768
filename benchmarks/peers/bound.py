"""The bound: a process that does nothing but decode, letterbox, infer and postprocess photos from memory."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.peers.detector import Detector


def main() -> None:
    """Works until its standard input ends; a line with the count so far answers each line that comes."""
    detect = Detector(Path(os.environ["BENCH_MODELS"]))
    photos = [path.read_bytes() for path in sorted(Path(os.environ["BENCH_PHOTOS"]).glob("*.jpg"))]
    os.set_blocking(sys.stdin.fileno(), False)
    done, latencies = 0, []
    print("ready", flush=True)
    while True:
        start_s = time.monotonic()
        detect(photos[done % len(photos)])
        latencies.append(round(1000 * (time.monotonic() - start_s), 2))
        done += 1
        try:
            line = os.read(sys.stdin.fileno(), 100)
        except BlockingIOError:
            continue
        if not line:
            return
        print(json.dumps({"done": done, "latencies_ms": latencies, "cpu_s": time.process_time()}), flush=True)
        latencies = []


if __name__ == "__main__":
    main()
