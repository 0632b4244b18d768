"""The queues alone: a filled queue of 1 kB messages, an empty handler, two processes that work it off."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import running, tree, usage
from benchmarks.queues.counter import total
from benchmarks.server import Server, server
from benchmarks.systems import PEER_PYTHON, REPOSITORY, peer_env

PROCESSES = 2
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Queue:
    """A way to work off a queue.

    Attributes:
        name: in tables.
        module: of `benchmarks.queues`.
        messages: how many the queue is filled with.
        arguments: of each worker.
        processes: how many workers are started (a pool's own processes not counted).
        env: more environment.
    """

    name: str
    module: str
    messages: int
    arguments: tuple[str, ...] = ()
    processes: int = PROCESSES
    env: tuple[tuple[str, str], ...] = ()


QUEUES = (
    Queue("DRAG", "drag_queue", 60_000),
    Queue("DRAG, data not fetched", "drag_queue", 60_000, env=(("BENCH_FETCH", "0"),)),
    Queue("Celery (solo)", "celery_queue", 6_000, ("solo", "1")),
    Queue("Celery (prefork)", "celery_queue", 6_000, ("prefork", "2"), processes=1),
    Queue("rq", "rq_queue", 3_000),
    Queue("arq", "arq_queue", 6_000),
    Queue("dramatiq (1 thread)", "dramatiq_queue", 12_000, ("1",)),
    Queue("dramatiq (8 threads)", "dramatiq_queue", 12_000, ("8",)),
)


@dataclass(frozen=True)
class QueueResult:
    """What one run gave: messages a second in the middle of the run, and CPU microseconds a message."""

    queue: Queue
    persistence: str
    rate: float
    worker_us: float
    server_us: float


def measure(queue: Queue, persistence: str, scratch: Path, share: float = 1.0) -> QueueResult:
    """Fills a queue, has it worked off, and measures between a tenth and nine tenths of it."""
    messages = int(queue.messages * share) // 500 * 500
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(server(persistence, scratch))
        counters = redis.folder / "counters"
        counters.mkdir()
        python, env = _environment(queue, redis, counters)
        argv = [python, "-m", f"benchmarks.queues.{queue.module}"]
        subprocess.run([*argv, "fill", str(messages)], env=env, check=True, cwd=REPOSITORY, capture_output=True)
        log = redis.folder / "workers.log"
        workers = [
            stack.enter_context(running([*argv, "work", *queue.arguments], env, log, cwd=REPOSITORY, stop_s=5))
            for _ in range(queue.processes)
        ]
        start = _reach(counters, messages // 10, log)
        before = _cpu([worker.pid for worker in workers]), usage([redis.pid], with_memory=False).cpu_s
        end = _reach(counters, messages * 9 // 10, log)
        after = _cpu([worker.pid for worker in workers]), usage([redis.pid], with_memory=False).cpu_s
        _reach(counters, messages, log)
    done = end[0] - start[0]
    scale = 1e6 / done
    return QueueResult(
        queue,
        persistence,
        done / (end[1] - start[1]),
        (after[0] - before[0]) * scale,
        (after[1] - before[1]) * scale,
    )


def _cpu(roots: list[int]) -> float:
    return usage([pid for root in roots for pid in tree(root)], with_memory=False).cpu_s


def _environment(queue: Queue, redis: Server, counters: Path) -> tuple[str, dict[str, str]]:
    env = peer_env(BENCH_SOCKET=str(redis.socket), BENCH_COUNTER=str(counters), **dict(queue.env))
    if queue.module != "drag_queue":
        return str(PEER_PYTHON), env
    env |= {"DRAG_REDIS_URL": f"unix://{redis.socket}", "DRAG_DATA_DIR": str(redis.folder / "data")}
    env |= {"DRAG_MAX_OPEN_JOBS": "10000000", "DRAG_RESULT_BUDGET_BYTES": str(1 << 30), "DRAG_LOG_LEVEL": "warning"}
    env["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), env["PYTHONPATH"]])
    return sys.executable, env


def _reach(counters: Path, number: int, log: Path) -> tuple[int, float]:
    """Waits until so many messages are done; how many it were then, and when."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while (done := total(counters)) < number:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{done} of {number} messages\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.01)
    return done, time.monotonic()
