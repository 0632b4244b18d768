"""The viewer's Flask application: pages, static files, health and metrics."""

from __future__ import annotations

import logging
import re
import time
from importlib import metadata

from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import HTTPException

from drag_shared.config import Settings
from drag_shared.metrics import Metrics
from drag_viewer.origins import UnusableHost, api_origin

logger = logging.getLogger(__name__)

_LOG_LINE = "%s %s %d %.1f ms"
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})


def create_app(settings: Settings, metrics: Metrics | None = None) -> Flask:
    """Builds the application.

    Args:
        settings: the process's settings.
        metrics: where to count; an own set when not given.
    """
    app = Flask(__name__)
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = None  # `no-cache`: a new release is seen at once, its ETag spares the bytes
    metrics = metrics or Metrics()
    _pages(app, settings)
    _health(app, metrics)
    _around(app, settings, metrics)
    return app


def version() -> str:
    """The release that is installed."""
    try:
        return metadata.version("drag")
    except metadata.PackageNotFoundError:
        return "from source"


def size_in_words(count: int) -> str:
    """`33.6 MB`, as the page writes sizes (decimal, like file managers)."""
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB"
    return f"{count / 1_000_000:.1f}".removesuffix(".0") + " MB"


def _pages(app: Flask, settings: Settings) -> None:
    @app.get("/")
    def pictures() -> str:
        return render_template(
            "pictures.html",
            api_origin=g.api_origin,
            max_upload_bytes=settings.max_upload_bytes,
            max_upload_words=size_in_words(settings.max_upload_bytes),
            version=version(),
        )

    @app.get("/video")
    @app.get("/video-config")
    def video() -> str:
        lines = (
            "This release looks at pictures that are uploaded. It does not read live cameras yet.",
            "To watch a camera until then, post its snapshots to the API: each picture is answered with the gauges in it.",
        )
        return render_template("message.html", title="Live cameras are not part of this release", lines=lines)

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> tuple[str, int]:
        lines = (f"{error.description}",) if error.code != 404 else (f"There is nothing at {request.path}.",)
        return render_template("message.html", title=f"{error.code} {error.name}", lines=lines), error.code or 500

    @app.errorhandler(UnusableHost)
    def unusable(error: UnusableHost) -> tuple[str, int]:
        return render_template("message.html", title="400 Bad Request", lines=(str(error),)), 400


def _health(app: Flask, metrics: Metrics) -> None:
    @app.get("/health/live")
    def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/health/ready")
    def ready() -> dict[str, str]:
        # The page needs nobody else: while the API or Redis is away it is what tells people so.
        return {"status": "ready", "version": version()}

    @app.get("/metrics")
    def scrape() -> Response:
        body, content_type = metrics.render()
        return Response(body, content_type=content_type)


def _around(app: Flask, settings: Settings, metrics: Metrics) -> None:
    requests = metrics.counter("http_requests", "Requests answered.", ("service", "method", "route", "status"))
    latency = metrics.histogram("http_request_duration_seconds", "Time to answer a request.", ("service", "route"))

    @app.before_request
    def start() -> None:
        g.started_s = time.perf_counter()
        if request.endpoint in ("pictures", "video"):
            g.api_origin = api_origin(settings, request.scheme, request.headers.get("Host", ""))

    @app.after_request
    def finish(response: Response) -> Response:
        _protect(response, g.get("api_origin"))
        took_s = time.perf_counter() - g.get("started_s", time.perf_counter())
        route = request.url_rule.rule if request.url_rule else "other"
        requests.labels("viewer", _method(request.method), route, str(response.status_code)).inc()
        latency.labels("viewer", route).observe(took_s)
        level = logging.DEBUG if request.path in _QUIET or response.status_code < 400 else logging.INFO
        logger.log(level, _LOG_LINE, request.method, request.path, response.status_code, took_s * 1000)
        return response


def _method(name: str) -> str:
    """Any client can make up a method; a label's values must stay few."""
    return name if re.fullmatch(r"GET|HEAD|OPTIONS|POST|PUT|PATCH|DELETE", name) else "other"


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
