"""rq alone: SimpleWorker, which does not fork for each job; JSON; results and failures not kept."""

from __future__ import annotations

import os
import sys

from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from benchmarks.queues import counter


def empty(data: str) -> None:
    """Does nothing but count."""
    counter.add()


def _redis() -> Redis:
    return Redis(unix_socket_path=os.environ["BENCH_SOCKET"])


def fill(number: int) -> None:
    """Sends messages, many at a time."""
    queue = Queue("bench", connection=_redis(), serializer=JSONSerializer)
    for start in range(0, number, 500):
        queue.enqueue_many(
            [
                Queue.prepare_data("benchmarks.queues.rq_queue.empty", (counter.payload(n),), result_ttl=0)
                for n in range(start, start + 500)
            ]
        )


def work() -> None:
    """A worker."""
    redis = _redis()
    queue = Queue("bench", connection=redis, serializer=JSONSerializer)
    SimpleWorker([queue], connection=redis, serializer=JSONSerializer).work(
        burst=True, logging_level="ERROR", with_scheduler=False
    )


if __name__ == "__main__":
    fill(int(sys.argv[2])) if sys.argv[1] == "fill" else work()
