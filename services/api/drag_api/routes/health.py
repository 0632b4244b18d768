"""Health, diagnostics, metrics, and where Prometheus finds them all."""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import urlsplit

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from drag_api import readiness
from drag_api.binding import bound
from drag_api.context import context
from drag_api.routes._common import Responses, problems
from drag_api.schemas import Diagnostics, Health, Live, Target
from drag_api.views import answer
from drag_shared.registry import WorkerInfo, release


@functools.cache
def blueprint() -> APIBlueprint:
    """The routes of this group."""
    tag = Tag(name="health", description="How it is.")
    api = APIBlueprint("health", __name__, abp_tags=[tag])
    _add_health(api)
    _add_monitoring(api)
    return api


def _add_health(api: APIBlueprint) -> None:
    @api.get("/health/live", operation_id="live", responses={200: Live})
    @bound
    def live() -> Response:
        """Say that this process answers."""
        return answer({"status": "ok", "version": release()})

    unready: Responses = {200: Health, 503: Health}

    @api.get("/health/ready", operation_id="ready", responses=unready)
    @bound
    def ready() -> Response:
        """Say whether a picture posted now would be worked on; 503 when not."""
        return _health()

    @api.get("/health", operation_id="health", responses=unready)
    @bound
    def health() -> Response:
        """Say the same as /health/ready, at the monolith's address."""
        return _health()

    @api.get("/v1/diagnostics", operation_id="diagnostics", responses={200: Diagnostics, **problems()})
    @bound
    def diagnostics() -> Response:
        """Tell services, workers, queues and versions, what is wrong and what to do."""
        return answer(readiness.diagnose(context()))


def _health() -> Response:
    found = readiness.check(context())
    body = {
        "status": "ok" if found.ready else "unavailable",
        "ready": found.ready,
        "problems": [trouble.what for trouble in found.troubles if trouble.blocks],
    }
    return answer(body, 200 if found.ready else 503, None if found.ready else {"Retry-After": "2"})


def _add_monitoring(api: APIBlueprint) -> None:
    text: Responses = {
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    }

    @api.get("/metrics", operation_id="metrics", responses=text)
    @bound
    def metrics() -> Response:
        """Give the metrics of all processes of this service, and the queue's."""
        body, content_type = context().metrics.render()
        return Response(body, content_type=content_type, headers={"Cache-Control": "no-store"})

    listed: Responses = {
        200: {
            "description": "Prometheus' http_sd format.",
            "content": {
                "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Target"}}}
            },
        }
    }

    @api.get("/v1/discovery", operation_id="discovery", responses={**listed, **problems("unavailable")})
    @bound
    def discovery() -> Response:
        """List the metrics addresses of all processes, however many there are, for Prometheus' http_sd."""
        return answer(targets(context().registry.workers()))


def targets(workers: list[WorkerInfo]) -> list[dict[str, Any]]:
    """One entry for each metrics address; processes that share one (a service's own) are listed once."""
    seen: dict[str, dict[str, Any]] = {}
    for worker in sorted(workers, key=lambda worker: worker.name):
        address = urlsplit(worker.metrics_url or "")
        if not address.netloc or worker.metrics_url in seen:
            continue
        labels = {
            "service": worker.service,
            "__metrics_path__": address.path or "/metrics",
            "__scheme__": address.scheme,
        }
        if worker.model:
            labels |= {"worker": worker.name, "model": worker.model}
        entry = Target(targets=[address.netloc], labels=labels)
        seen[worker.metrics_url] = entry.model_dump()
    return list(seen.values())
