"""The description of the API, and two readers for it whose files all come from here."""

from __future__ import annotations

import functools
from pathlib import Path

import flask_openapi3_redoc
import flask_openapi3_swagger
from flask import Blueprint, Response, current_app, send_from_directory
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from drag_api.binding import bound
from drag_api.problems import KINDS, ApiError
from drag_api.routes._common import TEXT, Responses, problems
from drag_api.schemas import ProblemPath
from drag_api.views import answer

_SWAGGER = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"
_REDOC = Path(flask_openapi3_redoc.__file__).parent / "templates" / "redoc"
_REDOC_SCRIPT = "redoc.standalone.js"
_FILES = {
    "swagger-ui.css": _SWAGGER / "css",
    "swagger-ui-bundle.js": _SWAGGER / "js",
    _REDOC_SCRIPT: _REDOC / "js",
}
# ReDoc shows its maker's logo from its maker's host; a browser that is not online would wait for it.
_FOREIGN = (b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"data:,")
_MAX_AGE_S = 86_400
_CACHED = {"Cache-Control": f"public, max-age={_MAX_AGE_S}"}
# Nothing is fetched from, or sent to, any other host, whatever the readers' own code would like.
_POLICY = (
    "default-src 'none'; script-src 'self'{more}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'"
)

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>DRAG API</title>
<link rel="icon" href="data:,">
{head}
</head>
<body>
{body}
</body>
</html>
"""
_SWAGGER_PAGE = _PAGE.format(
    head='<link rel="stylesheet" href="/docs/files/swagger-ui.css">',
    body='<div id="swagger-ui"></div>\n<script src="/docs/files/swagger-ui-bundle.js"></script>\n'
    '<script src="/docs/start.js"></script>',
)
_SWAGGER_START = """window.ui = SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout"
});
"""
_REDOC_PAGE = _PAGE.format(
    head="<style>body { margin: 0 }</style>",
    body='<redoc spec-url="/openapi.json" hide-download-button="false"></redoc>\n'
    '<script src="/docs/files/redoc.standalone.js"></script>',
)


@functools.cache
def _redoc_script() -> bytes:
    return (_FILES[_REDOC_SCRIPT] / _REDOC_SCRIPT).read_bytes().replace(*_FOREIGN)


def pages() -> Blueprint:
    """The pages for people; not part of the description."""
    api = Blueprint("docs", __name__)

    @api.get("/openapi.json")
    def openapi() -> Response:
        return answer(current_app.api_doc)  # type: ignore[attr-defined]

    @api.get("/docs")
    def swagger() -> Response:
        return _html(_SWAGGER_PAGE, "")

    @api.get("/docs/start.js")
    def start() -> Response:
        return Response(_SWAGGER_START, mimetype="text/javascript")

    @api.get("/redoc")
    def redoc() -> Response:
        return _html(_REDOC_PAGE, " 'unsafe-eval'")

    @api.get("/docs/files/<name>")
    def files(name: str) -> Response:
        if name not in _FILES:
            raise ApiError("not-found", "There is no such file.", expected=", ".join(_FILES), seen=name)
        if name == _REDOC_SCRIPT:
            return Response(_redoc_script(), mimetype="text/javascript", headers=_CACHED)
        return send_from_directory(_FILES[name], name, max_age=_MAX_AGE_S)

    return api


@functools.cache
def blueprint() -> APIBlueprint:
    """The explanations that problems point to."""
    api = APIBlueprint("problems", __name__, abp_tags=[Tag(name="problems", description="What problems mean.")])
    text: Responses = {200: {"description": "Plain text.", "content": {"text/plain": TEXT}}}

    @api.get(
        "/problems/<slug>",
        operation_id="explainProblem",
        responses={**text, **problems("not-found", "invalid-request")},
    )
    @bound
    def explain(path: ProblemPath) -> Response:
        """Explain a kind of problem; the address is its `type`."""
        kind = KINDS.get(path.slug)
        if kind is None:
            raise ApiError("not-found", "There is no such kind of problem.", expected=", ".join(KINDS), seen=path.slug)
        return Response(f"{kind.title} ({kind.status})\n\n{kind.about}\n", mimetype="text/plain")

    return api


def _html(page: str, more: str) -> Response:
    response = Response(page, mimetype="text/html")
    response.headers["Content-Security-Policy"] = _POLICY.format(more=more)
    return response
