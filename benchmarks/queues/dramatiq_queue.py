"""dramatiq alone: no middleware but retries, far prefetching, one process with a few threads."""

from __future__ import annotations

import os
import signal
import sys

os.environ.setdefault("dramatiq_queue_prefetch", "1000")

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Retries

from benchmarks.queues import counter

broker = RedisBroker(
    client=redis.Redis(unix_socket_path=os.environ["BENCH_SOCKET"]), middleware=[Retries(max_retries=3)]
)
dramatiq.set_broker(broker)


@dramatiq.actor
def empty(data: str) -> None:
    """Does nothing but count."""
    counter.add()


def fill(number: int) -> None:
    """Sends messages."""
    for n in range(number):
        empty.send(counter.payload(n))


def work(threads: str) -> None:
    """A worker, until it is ended: what one process of dramatiq's command runs."""
    worker = dramatiq.Worker(broker, worker_threads=int(threads))
    worker.start()
    signal.pause()


if __name__ == "__main__":
    fill(int(sys.argv[2])) if sys.argv[1] == "fill" else work(*sys.argv[2:])
