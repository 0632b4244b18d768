"""The models: what the repository holds, who serves it, and how fast."""

from __future__ import annotations

import functools
from typing import Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from drag_api.binding import bound
from drag_api.catalog import ModelOnDisk
from drag_api.context import Context, context
from drag_api.problems import ApiError
from drag_api.routes._common import problems
from drag_api.schemas import ModelList, ModelPath, ModelStats
from drag_api.views import answer
from drag_shared.registry import WorkerInfo
from drag_shared.statistics import ModelStatistics

_BEST_FIRST = ("ready", "warming", "starting", "draining", "failed")


@functools.cache
def blueprint() -> APIBlueprint:
    """The routes of this group."""
    api = APIBlueprint("models", __name__, abp_tags=[Tag(name="models", description="What looks at pictures.")])

    @api.get("/models", operation_id="listModels", responses={200: ModelList, **problems("unavailable")})
    @bound
    def list_models() -> Response:
        """List the models of the repository with the state of their workers."""
        own = context()
        workers = own.registry.workers()
        return answer({"models": [_view(own, model, workers) for model in own.catalog.models()]})

    @api.get(
        "/models/<name>/stats",
        operation_id="modelStats",
        responses={200: ModelStats, **problems("not-found", "invalid-request", "unavailable")},
    )
    @bound
    def model_stats(path: ModelPath) -> Response:
        """Tell a model's statistics, all its workers together: counts, latencies by stage, throughput."""
        own = context()
        crew = [worker for worker in own.registry.workers() if worker.model == path.name]
        if not crew and all(model.name != path.name for model in own.catalog.models()):
            known = sorted({model.name for model in own.catalog.models()})
            raise ApiError(
                "not-found", "There is no such model.", expected=f"one of: {', '.join(known)}", seen=path.name
            )
        together = ModelStatistics.together(worker.stats for worker in crew)
        return answer({"name": path.name, "workers": len(crew), "stats": together.summary()})

    return api


def _view(own: Context, model: ModelOnDisk, workers: list[WorkerInfo]) -> dict[str, Any]:
    crew = [worker for worker in workers if worker.model == model.name and worker.model_version == model.version]
    states = [worker.state for worker in crew]
    state = next((state for state in _BEST_FIRST if state in states), "stopped")
    reasons = {worker.reason for worker in crew if worker.reason}
    return {
        "name": model.name,
        "version": model.version,
        "state": state,
        "task": model.task,
        "description": model.description,
        "labels": list(model.labels),
        "pipelines": sorted(name for name, line in own.catalog.pipelines().items() if line.first == model.name),
        "workers": len(crew),
        "ready_workers": states.count("ready"),
        "reason": "" if state == "ready" else "; ".join(sorted(reasons)),
    }
