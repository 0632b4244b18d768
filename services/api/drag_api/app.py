"""The app factory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, g
from flask_openapi3.models.info import Info
from flask_openapi3.models.schema import Schema
from flask_openapi3.openapi import OpenAPI

from drag_api import context as contexts
from drag_api import cors, problems
from drag_api.body import Body, BodyBudget
from drag_api.catalog import Catalog
from drag_api.context import Context
from drag_api.metrics import ApiMetrics
from drag_api.routes import dead, docs, health, images, jobs, legacy, models
from drag_api.schemas import JobBatch, JsonUpload, Problem, Target, UploadForm
from drag_api.waiting import Waiter, WaitSlots
from drag_shared.announce import Announcements
from drag_shared.config import Settings
from drag_shared.jobs import JobStore
from drag_shared.metrics import Metrics
from drag_shared.registry import Registry, release

_MIB = 1024 * 1024
_DESCRIPTION = """Upload photos, get the gauges in them.

`POST /v1/images` accepts pictures and answers at once; `GET /v1/jobs/{job_id}?wait=30` answers when a picture is done.
Every error is a problem (RFC 9457) that says what was expected, what was seen and what to do; its `type` is an address.
"""


def create_app(
    settings: Settings,
    store: JobStore,
    announcements: Announcements,
    registry: Registry,
    stopping: Callable[[], bool] = lambda: False,
) -> OpenAPI:
    """The API as a WSGI app.

    Args:
        settings: the configuration.
        store: the jobs.
        announcements: the process's one subscription to jobs' ends.
        registry: the workers.
        stopping: says true once the process is to end; requests that wait are then answered at once.
    """
    app = OpenAPI(
        "drag_api",
        info=Info(title="DRAG", version=release(), description=_DESCRIPTION),
        security_schemes={},
        doc_ui=False,
        validation_error_model=Problem,
        static_folder=None,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    own = _context(settings, store, registry, Waiter(store, announcements, WaitSlots(settings.api_threads), stopping))
    contexts.install(app.extensions, own)
    own.metrics.install(app)
    problems.install(app)
    cors.install(app, settings)
    app.after_request(_finish)
    for module in (images, jobs, dead, models, legacy, health, docs):
        app.register_api(module.blueprint())
    app.register_blueprint(docs.pages())
    _describe(app)
    return app


def _context(settings: Settings, store: JobStore, registry: Registry, waiter: Waiter) -> Context:
    return Context(
        settings=settings,
        store=store,
        registry=registry,
        waiter=waiter,
        catalog=Catalog(settings.models_dir),
        metrics=ApiMetrics(Metrics(), store),
        budget=BodyBudget(max(4 * settings.max_upload_bytes, 128 * _MIB)),
    )


def _finish(response: Response) -> Response:
    """Has what is left of an unread body read after the answer, so that clients that are still sending see it."""
    body = g.get("body")
    if isinstance(body, Body) and not body.finished:
        response.call_on_close(body.drain)
    return response


def _describe(app: OpenAPI) -> None:
    """Completes the description with shapes that only references name, and makes it once, before requests come."""
    for model in (Problem, JsonUpload, JobBatch, UploadForm, Target):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        app.components_schemas[model.__name__] = Schema(**schema)
    told = app.api_doc
    del told["components"]["securitySchemes"]  # there are none, and readers would offer to log in
    for operations in told["paths"].values():
        for operation in operations.values():
            _tidy(operation)


def _tidy(operation: dict[str, Any]) -> None:
    """Takes out of an operation what flask-openapi3 adds: line breaks in HTML, and its own checks' answer."""
    if "description" in operation:
        operation["description"] = operation["description"].replace("<br/>", " ").strip()
    if "application/json" in operation["responses"].get("422", {}).get("content", {}):
        del operation["responses"]["422"]
