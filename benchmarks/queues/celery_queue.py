"""Celery alone: acknowledged early, results ignored, no events, far prefetching."""

from __future__ import annotations

import os
import sys

from celery import Celery

from benchmarks.queues import counter

app = Celery("bench", broker=f"redis+socket://{os.environ['BENCH_SOCKET']}")
app.conf.update(
    task_ignore_result=True,
    task_acks_late=False,
    worker_prefetch_multiplier=1000,
    worker_send_task_events=False,
    worker_disable_rate_limits=True,
    task_serializer="json",
    accept_content=["json"],
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@app.task(name="empty", ignore_result=True)
def empty(data: str) -> None:
    """Does nothing but count."""
    counter.add()


def fill(number: int) -> None:
    """Sends messages."""
    with app.producer_or_acquire() as producer:
        for n in range(number):
            empty.apply_async((counter.payload(n),), producer=producer)


def work(pool: str, processes: str) -> None:
    """A worker."""
    argv = ["worker", f"--pool={pool}", f"--concurrency={processes}", "--without-gossip", "--without-mingle"]
    app.worker_main([*argv, "--without-heartbeat", "--loglevel=ERROR", f"--hostname=w{os.getpid()}@bench"])


if __name__ == "__main__":
    fill(int(sys.argv[2])) if sys.argv[1] == "fill" else work(*sys.argv[2:])
