"""Whether a picture posted now would be worked on, and, if not, what is wrong and what to do."""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drag_api.context import Context
from drag_shared.durability import ServerState
from drag_shared.errors import ConfigError, DragError, QueueFull, Unavailable
from drag_shared.jobs import JobStore
from drag_shared.queues import read_queues
from drag_shared.registry import WorkerInfo, release


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong.

    Attributes:
        what: the fact.
        fix: what to do about it.
        blocks: whether a picture posted now would not be worked on because of it.
    """

    what: str
    fix: str
    blocks: bool = True


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer, with the workers that it rests on."""

    troubles: list[Trouble]
    workers: list[WorkerInfo]

    @property
    def ready(self) -> bool:
        """Whether a picture posted now would be worked on."""
        return not any(trouble.blocks for trouble in self.troubles)


def check(context: Context) -> Readiness:
    """Asks Redis, the registry and the model repository."""
    own: list[Trouble] = []
    try:
        context.store.check_admission(1, 0)
    except QueueFull as error:
        own.append(Trouble(f"{error}", "wait, or add inference workers"))
    except (Unavailable, ConfigError) as error:
        return Readiness([Trouble(f"{error}", "start Redis, or correct DRAG_REDIS_URL; `drag doctor` helps")], [])
    try:
        _try_to_write(context.store)
    except (Unavailable, ConfigError) as error:
        own.append(Trouble(f"Redis does not take writes: {error}", _WRITE_FIX))
    troubles, workers = _crew(context)
    return Readiness(own + troubles, workers)


# A script that may write and must not pass `maxmemory` is refused before it runs on a server that is full, read-only
# or cannot save; this one does nothing.
_PROBE = "#!lua\nreturn 1"


def _try_to_write(store: JobStore) -> None:
    """Raises `Unavailable` unless every partition takes writes."""
    for keys in store.partitions:
        store.link.call(functools.partial(_probe, keys.key("open")), 0)


def _probe(key: str, client: Any) -> None:
    client.eval(_PROBE, 1, key)


_WRITE_FIX = "look at its maxmemory, its disk and whether it is a replica (INFO memory, persistence, replication)"


def _crew(context: Context) -> tuple[list[Trouble], list[WorkerInfo]]:
    """What is wrong with the workers, and all that are known."""
    try:
        workers = context.registry.workers()
    except DragError as error:
        return [Trouble(f"the workers cannot be asked for: {error}", "start Redis")], []
    troubles = _ingest(workers) + _models(context, workers)
    for worker in workers:
        if worker.state == "failed":
            what = f"{worker.name} failed: {worker.reason or 'no reason given'}"
            troubles.append(Trouble(what, "see its log; it is started again by itself", blocks=False))
    return troubles, workers


def _ingest(workers: Sequence[WorkerInfo]) -> list[Trouble]:
    if any(worker.service == "ingest" and worker.is_ready for worker in workers):
        return []
    return [Trouble("no ingest worker is ready", "start one: `make run`, or python -m drag_ingest; see its log")]


def _models(context: Context, workers: Sequence[WorkerInfo]) -> list[Trouble]:
    """Each pipeline's first model needs a ready worker; only the default pipeline's blocks."""
    pipelines = context.catalog.pipelines()
    default = context.settings.pipeline
    if default not in pipelines:
        why = context.catalog.trouble or f"known are: {', '.join(sorted(pipelines)) or 'none'}"
        fix = "correct DRAG_PIPELINE, DRAG_MODELS_DIR or pipelines.toml"
        return [Trouble(f"the default pipeline {default!r} cannot be had: {why}", fix)]
    troubles = []
    for name, pipeline in pipelines.items():
        crew = [worker for worker in workers if worker.service == "inference" and worker.model == pipeline.first]
        if any(worker.is_ready for worker in crew):
            continue
        states = ", ".join(sorted({_state(worker) for worker in crew})) or "none runs"
        what = f"no worker of model {pipeline.first} (pipeline {name}) is ready: {states}"
        start = f"`make run`, or python -m drag_inference --model {pipeline.first}"
        fix = f"wait for its warm-up, or start one: {start}; see its log"
        troubles.append(Trouble(what, fix, blocks=name == default))
    return troubles


def _state(worker: WorkerInfo) -> str:
    silent = f", silent for {worker.silent_ms / 1000:.0f} s" if worker.state == "ready" else ""
    return f"{worker.state} ({worker.reason or worker.name}{silent})"


def diagnose(context: Context) -> dict[str, Any]:
    """The whole state, as `schemas.Diagnostics`."""
    found = check(context)
    services: dict[str, list[dict[str, Any]]] = {name: [] for name in ("api", "ingest", "inference", "viewer")}
    for worker in sorted(found.workers, key=lambda worker: worker.name):
        services.setdefault(worker.service, []).append(dataclasses.asdict(worker))
    settings = context.settings
    queues, redis_state = _queues(context)
    troubles = found.troubles + _durability(settings.durability, redis_state)
    return {
        "ready": found.ready,
        "version": release(),
        "python": platform.python_version(),
        "problems": [{"what": trouble.what, "fix": trouble.fix} for trouble in troubles],
        "redis": redis_state,
        "services": services,
        "queues": queues,
        "settings": {
            "pipeline": settings.pipeline,
            "durability": settings.durability,
            "partitions": settings.partitions,
            "max_open_jobs": settings.max_open_jobs,
            "max_open_bytes": settings.max_open_bytes,
            "max_upload_bytes": settings.max_upload_bytes,
            "max_files": settings.max_files,
            "max_pixels": settings.max_pixels,
        },
    }


def _queues(context: Context) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    try:
        ping_ms = context.store.ping()
        servers = context.store.servers()
        return dataclasses.asdict(read_queues(context.store)), {
            "up": True,
            "ping_ms": round(ping_ms, 2),
            "servers": [dataclasses.asdict(server) for server in servers],
        }
    except DragError as error:
        return None, {"up": False, "reason": str(error)}


def _durability(durability: str, redis_state: dict[str, Any]) -> list[Trouble]:
    """Servers that keep less than was promised; pictures are worked on all the same."""
    weaknesses = [ServerState(**server).weakness(durability) for server in redis_state.get("servers", [])]
    return [Trouble(f"Redis: {weakness[0]}", weakness[1], blocks=False) for weakness in weaknesses if weakness]
