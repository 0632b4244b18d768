"""Celery's half of the work: a task that fetches a photo from Redis and answers what is in it.

What favours Celery: the photo goes through Redis as plain bytes beside the message, not as base64 in it; messages are
acknowledged early; nothing is sent that only monitoring needs; sockets are Unix sockets, as DRAG's are.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from celery.signals import worker_process_init

SOCKET = os.environ["BENCH_SOCKET"]

app = Celery("bench", broker=f"redis+socket://{SOCKET}", backend=f"redis+socket://{SOCKET}")
app.conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=4,
    worker_send_task_events=False,
    task_send_sent_event=False,
    task_store_errors_even_if_ignored=False,
    worker_disable_rate_limits=True,
    task_acks_late=False,
    broker_connection_retry_on_startup=True,
    result_expires=3600,
)
_state: dict[str, Any] = {}


@worker_process_init.connect
def _load(**_: Any) -> None:
    from benchmarks.peers.detector import Detector

    _state["detect"] = Detector(Path(os.environ["BENCH_MODELS"]))
    _state["redis"] = redis.Redis(unix_socket_path=SOCKET)


@app.task(name="detect")
def detect(photo_id: str) -> dict[str, Any]:
    """The gauges in a photo."""
    data = _state["redis"].getdel(f"photo:{photo_id}")
    result: dict[str, Any] = _state["detect"](data)
    return result
