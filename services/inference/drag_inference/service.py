"""Puts a worker process together: model, warm-up, queue, heartbeat, stages, drain."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Final

from drag_imaging.decode import quiet
from drag_inference.backends import select_backend
from drag_inference.observe import Observer
from drag_inference.repository import ModelSpec, load_model
from drag_inference.runner import ModelRunner
from drag_inference.status import Status
from drag_inference.worker import Worker, make_state, warm_up
from drag_shared import logs
from drag_shared.config import Settings, redis_address
from drag_shared.consumer import Consumer
from drag_shared.errors import DragError, Unavailable
from drag_shared.heap import bound_heap
from drag_shared.keys import INFERENCE_GROUP, frames_stream
from drag_shared.metrics import Metrics
from drag_shared.presence import Presence
from drag_shared.redis_client import Link
from drag_shared.registry import BEAT_EVERY_S, Registry, WorkerInfo, this_process

log = logging.getLogger(__name__)

_MOST_PREPARERS: Final = 8


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def inference_threads(settings: Settings) -> int:
    """Inferences at once, each on one core: as set, else the cores shared among this host's workers."""
    return settings.inference_threads or max(1, cores() // settings.inference_workers)


def preparer_threads(settings: Settings) -> int:
    """Threads that decode: half of this worker's share of the cores."""
    return max(1, min(_MOST_PREPARERS, cores() // (2 * settings.inference_workers)))


def serve(settings: Settings, model: str, stop: threading.Event) -> int:
    """Runs one worker until `stop` is set, or it cannot go on.

    Returns:
        The process's exit status.

    Raises:
        ConfigError: the settings are wrong.
        ModelError: the model is.
    """
    quiet()
    bound_heap(arenas=2)
    spec = load_model(settings.models_dir, model)
    metrics = Metrics()
    endpoint = metrics.serve(settings.host)
    link = Link(redis_address(settings))
    registry = Registry(link)
    status = Status(_info(spec, endpoint.url))
    presence = Presence(registry, status.describe, min(BEAT_EVERY_S, settings.lease_ms / 3000), also=status.upkeep)
    presence.start()
    failure = ""
    try:
        with (
            logs.context(model=spec.name, worker=status.describe().name),
            select_backend(settings.backend, spec, inference_threads(settings)) as runner,
        ):
            failure = _work(settings, link, runner, Observer(metrics, spec), status, presence, stop)
    except DragError as error:
        failure = str(error)
        raise
    finally:
        if failure:
            _leave_word(registry, status, failure)  # the row stays for a minute, so that diagnostics can say why
        else:
            presence.close()
        endpoint.close()
    return 1 if failure else 0


def _work(
    settings: Settings,
    link: Link,
    runner: ModelRunner,
    observer: Observer,
    status: Status,
    presence: Presence,
    stop: threading.Event,
) -> str:
    """Warms up, works, drains; the reason why it ended, empty when it was asked to."""

    def say(state: str, reason: str = "") -> None:
        status.say(state, reason)
        observer.state(state)
        presence.soon()

    say("warming")
    start_s = time.monotonic()
    warm_up(runner)
    log.info("warmed up in %.2f s", time.monotonic() - start_s)
    stream = frames_stream(runner.spec.name)
    consumer = Consumer(link, stream, INFERENCE_GROUP, status.describe().name, settings)
    shared = make_state(consumer, runner, observer)
    status.watch(shared)
    worker = Worker(shared, preparer_threads(settings))
    worker.start()
    say("ready")
    while not stop.wait(0.2) and not shared.stop.is_set():
        pass
    say("failed" if shared.failure else "draining", shared.failure)
    finished = worker.drain(settings.drain_s)
    status.log_statistics()
    log.info("drained%s", "" if finished else ", the rest is handed back")
    return shared.failure


def _info(spec: ModelSpec, metrics_url: str) -> WorkerInfo:
    return this_process("inference", model=spec.name, model_version=spec.version, metrics_url=metrics_url)


def _leave_word(registry: Registry, status: Status, failure: str) -> None:
    status.say("failed", failure)
    try:
        registry.beat(status.describe())
    except Unavailable as error:
        log.debug("cannot tell why this worker ends: %s", error)
