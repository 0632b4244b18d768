"""The viewer's Flask application: pages, static files, health and metrics."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import HTTPException

from drag_shared.config import Settings
from drag_shared.metrics import Metrics
from drag_shared.registry import release
from drag_viewer.origins import UnusableHostError, api_origin

logger = logging.getLogger(__name__)

_LOG_LINE = "%s %s %d %.1f ms"
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})


def create_app(settings: Settings, metrics: Metrics | None = None) -> Flask:
    """Builds the application.

    Args:
        settings: the process's settings.
        metrics: where to count; an own set when not given.
    """
    app = Flask(__name__)
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = None  # `no-cache`: new releases are seen at once, ETags spare bytes
    metrics = metrics or Metrics()
    _pages(app, settings)
    _health(app, metrics)
    _around(app, settings, metrics)
    return app


def size_in_words(count: int) -> str:
    """A bound like `33 MB`: decimal, as file managers count, and never more than what is allowed."""
    unit, size = ("MB", 1_000_000) if count >= 1_000_000 else ("kB", 1000)
    return f"{count // size} {unit}"


def _pages(app: Flask, settings: Settings) -> None:
    # Named at once, so that a browser does not find them one import after another.
    modules = sorted(path.name for path in Path(app.root_path, "static", "js").glob("*.js") if path.name != "main.js")

    @app.get("/")
    def pictures() -> str:
        return render_template(
            "pictures.html",
            api_origin=g.api_origin,
            max_upload_bytes=settings.max_upload_bytes,
            max_upload_words=size_in_words(settings.max_upload_bytes),
            modules=modules,
            version=release(),
        )

    @app.get("/video")
    @app.get("/video-config")
    def video() -> str:
        lines = (
            "This release looks at pictures that are uploaded. It does not read live cameras yet.",
            "Until then, post a camera's snapshots to the API: each picture is answered with the gauges in it.",
        )
        return render_template("message.html", title="Live cameras are not part of this release", lines=lines)

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> tuple[str, int]:
        lines = (f"{error.description}",) if error.code != 404 else (f"There is nothing at {request.path}.",)
        return render_template("message.html", title=f"{error.code} {error.name}", lines=lines), error.code or 500

    @app.errorhandler(UnusableHostError)
    def unusable(error: UnusableHostError) -> tuple[str, int]:
        return render_template("message.html", title="400 Bad Request", lines=(str(error),)), 400


def _health(app: Flask, metrics: Metrics) -> None:
    @app.get("/health/live")
    def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/health/ready")
    def ready() -> dict[str, str]:
        # The page needs nobody else: while the API or Redis is away it is what tells people so.
        return {"status": "ready", "version": release()}

    @app.get("/metrics")
    def scrape() -> Response:
        body, content_type = metrics.render()
        return Response(body, content_type=content_type)


def _around(app: Flask, settings: Settings, metrics: Metrics) -> None:
    requests = metrics.counter("viewer_requests", "Requests answered.", ("route", "method", "status"))
    latency = metrics.histogram("viewer_request_duration_seconds", "Time to answer a request.", ("route", "method"))

    @app.before_request
    def start() -> None:
        g.started_s = time.perf_counter()
        if request.endpoint in ("pictures", "video"):
            g.api_origin = api_origin(settings, request.scheme, request.headers.get("Host", ""))

    @app.after_request
    def finish(response: Response) -> Response:
        _protect(response, g.get("api_origin"))
        took_s = time.perf_counter() - g.get("started_s", time.perf_counter())
        route = request.url_rule.rule if request.url_rule else "unmatched"
        method = request.method if request.method in _METHODS else "other"  # any client can make one up
        requests.labels(route, method, str(response.status_code)).inc()
        latency.labels(route, method).observe(took_s)
        level = logging.DEBUG if request.path in _QUIET or response.status_code < 400 else logging.INFO
        logger.log(level, _LOG_LINE, request.method, request.path, response.status_code, took_s * 1000)
        return response


def _protect(response: Response, api: str | None) -> None:
    also = f" {api}" if api else ""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self' blob:{also}",
        "connect-src": f"'self'{also}",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    response.headers["Content-Security-Policy"] = "; ".join(f"{name} {value}" for name, value in policy.items())
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Permissions-Policy"] = "geolocation=(), microphone=(), payment=(), usb=()"
    if response.mimetype == "text/html":
        response.headers["Cache-Control"] = "no-store"
        response.headers["Vary"] = "Host"
