"""arq alone: many jobs at once in one loop, results not kept."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func

from benchmarks.queues import counter


async def empty(_: dict[str, Any], data: str) -> None:
    """Does nothing but count."""
    counter.add()


def _settings() -> RedisSettings:
    return RedisSettings(unix_socket_path=os.environ["BENCH_SOCKET"])


async def _fill(number: int) -> None:
    pool = await create_pool(_settings())
    for start in range(0, number, 50):
        await asyncio.gather(
            *(pool.enqueue_job("empty", counter.payload(n), _job_id=str(n)) for n in range(start, start + 50))
        )


def fill(number: int) -> None:
    """Sends messages, fifty at a time."""
    asyncio.run(_fill(number))


def work() -> None:
    """A worker."""
    logging.disable(logging.WARNING)
    uvloop.install()
    Worker(
        functions=[func(empty, keep_result=0, max_tries=1)],
        redis_settings=_settings(),
        burst=True,
        max_jobs=200,
        poll_delay=0.01,
        allow_abort_jobs=False,
    ).run()


if __name__ == "__main__":
    fill(int(sys.argv[2])) if sys.argv[1] == "fill" else work()
