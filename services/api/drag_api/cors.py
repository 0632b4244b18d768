"""Cross-origin rules: the viewer's origins may read and post, pages of any other origin may not."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flask import Flask, Response, request

from drag_api.problems import ApiError
from drag_shared.config import Settings

_METHODS = "GET, HEAD, POST, DELETE"
_HEADERS = "Content-Type, Idempotency-Key"
_EXPOSED = "Location, Retry-After"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def allowed_origins(settings: Settings) -> frozenset[str]:
    """The origins that ``settings`` let in: the configured one, else the viewer's loopback addresses."""
    if settings.viewer_origin:
        return frozenset(origin.strip().rstrip("/") for origin in settings.viewer_origin.split(",") if origin.strip())
    return frozenset(f"http://{host}:{settings.viewer_port}" for host in ("127.0.0.1", "localhost", "[::1]"))


def known_host(host: str, settings: Settings, allowed: frozenset[str]) -> bool:
    """Whether ``host`` (a Host header) is a name that this API may be asked for by.

    A server that listens on loopback alone is asked for as localhost, by an address, or by a name that the settings
    know. Any other name is a foreign page's that was made to resolve here (DNS rebinding), whose requests the browser
    takes for same-origin.
    """
    if not _is_address(settings.host) or not ipaddress.ip_address(settings.host).is_loopback:
        return True
    name = urlsplit(f"//{host}").hostname or ""
    names = {urlsplit(origin).hostname for origin in (*allowed, settings.api_url)}
    return name == "localhost" or name in names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _preflight(origin: str, allowed: frozenset[str]) -> Response:
    response = Response(status=204)
    if origin in allowed:
        response.headers["Access-Control-Allow-Methods"] = _METHODS
        response.headers["Access-Control-Allow-Headers"] = _HEADERS
        response.headers["Access-Control-Max-Age"] = "600"
    return response


def install(app: Flask, settings: Settings) -> None:
    """Answers preflights, marks answers for the allowed origins, refuses writes that other pages cause.

    A browser sends a form or a picture to any address without asking first (a simple request), so leaving the
    headers out is not enough to keep foreign pages from filling the queue of someone's own machine.
    """
    allowed = allowed_origins(settings)

    def before() -> Response | None:
        if not known_host(request.host, settings, allowed):
            raise ApiError(
                "origin-refused",
                "This API is not known by that name.",
                expected="localhost, an address, or the host of DRAG_API_URL or DRAG_VIEWER_ORIGIN",
                seen=request.host[:200],
                fix="set DRAG_API_URL to the address that people use",
            )
        origin = request.headers.get("Origin")
        if origin is None:
            return None
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return _preflight(origin, allowed)
        if request.method not in _SAFE and origin not in allowed and origin != request.host_url.rstrip("/"):
            raise ApiError(
                "origin-refused",
                "Pages of this origin may not post here.",
                expected=" or ".join(sorted(allowed)),
                seen=origin[:200],
                fix="set DRAG_VIEWER_ORIGIN to the origin of the page",
            )
        return None

    def after(response: Response) -> Response:
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin in allowed:
            response.headers["Access-Control-Allow-Origin"] = str(origin)
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        return response

    app.before_request(before)
    app.after_request(after)
