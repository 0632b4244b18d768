"""Problem details (RFC 9457): every error of the API in one catalogue, and the handlers that turn errors into them."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from drag_imaging.header import ACCEPTED
from drag_shared.errors import (
    ConfigError,
    DragError,
    GoneJob,
    ImageError,
    KeyConflict,
    QueueFull,
    Unavailable,
    UnknownJob,
)

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its name in ``/problems/<slug>``, status, title, and what it means."""

    slug: str
    status: int
    title: str
    about: str


_KINDS = (
    Kind("not-found", 404, "Not found", "There is nothing at this address."),
    Kind("unknown-job", 404, "Unknown job", "No job, or dead letter, ever had this id here."),
    Kind("gone", 410, "Gone", "The job, its picture or its result is past retention or was removed."),
    Kind("method-not-allowed", 405, "Method not allowed", "The address exists, but not for this method (see Allow)."),
    Kind("invalid-request", 422, "Invalid request", "A parameter or a field is missing, unknown or out of range."),
    Kind("malformed-body", 400, "Malformed body", "The body is not what its content type says."),
    Kind("incomplete-body", 400, "Incomplete body", "The client stopped before the whole body had arrived."),
    Kind("slow-body", 408, "Body too slow", "The body did not arrive within the time for its size."),
    Kind("too-large", 413, "Content too large", "The body, or the number of files in it, is over the limit."),
    Kind("unsupported-media-type", 415, "Unsupported media type", "The content type is none that this address reads."),
    Kind("unsupported-picture", 415, "Unsupported picture", "The bytes are not a picture of a kind that DRAG reads."),
    Kind("bad-picture", 422, "Bad picture", "The picture's header says that it cannot be worked on."),
    Kind("key-conflict", 409, "Idempotency key conflict", "The same Idempotency-Key was used with another body."),
    Kind("not-ready-yet", 409, "Job not done", "What was asked for exists once the job is done."),
    Kind("no-result", 409, "Job without a result", "The job ended without a result, so there is nothing to draw."),
    Kind("origin-refused", 403, "Origin refused", "Pages of this origin may not post here."),
    Kind("queue-full", 429, "Queue full", "As much is waiting as the queue is allowed to hold."),
    Kind("unavailable", 503, "Temporarily unavailable", "The queue's server cannot serve just now."),
    Kind("busy", 503, "Busy", "This server is at a limit of its own for requests of this kind."),
    Kind("job-failed", 422, "Picture could not be processed", "The picture itself made the job fail for good."),
    Kind("job-dead", 503, "Job given up", "The job was tried as often as allowed and is now in the dead letters."),
    Kind("timeout", 504, "Not done in time", "The job goes on; its address tells when it is done."),
    Kind("internal", 500, "Internal error", "A fault of the server; its log has the details."),
)
KINDS: Mapping[str, Kind] = {kind.slug: kind for kind in _KINDS}

_BY_STATUS = {404: "not-found", 405: "method-not-allowed", 413: "too-large", 415: "unsupported-media-type"}
_UNSUPPORTED = frozenset({"unsupported_type", "unsupported_variant"})


_PICTURE_FIX = "send another file, or save this one as JPEG"


class ApiError(Exception):
    """An answer that is a problem; raised anywhere below a route.

    Args:
        slug: which of `KINDS`.
        detail: one sentence for people.
        expected: what would have been right.
        seen: what came.
        fix: what to do about it.
        retry_after_s: becomes the Retry-After header.
        headers: further headers of the answer.
        members: further members of the problem.
    """

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        expected: str | None = None,
        seen: str | None = None,
        fix: str | None = None,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = KINDS[slug]
        self.detail = detail
        self.parts = {"expected": expected, "seen": seen, "fix": fix}
        self.headers = dict(headers or {})
        self.members = dict(members or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))

    def body(self, instance: str, status: int | None = None, title: str | None = None) -> dict[str, Any]:
        """The problem as RFC 9457 wants it; ``instance`` is the request's path."""
        said = {name: text for name, text in self.parts.items() if text is not None}
        sentence = self.detail if self.detail.endswith(".") else f"{self.detail}."
        detail = sentence + "".join(f" {name.capitalize()}: {text.rstrip('.')}." for name, text in said.items())
        head = {
            "type": f"/problems/{self.kind.slug}",
            "title": title or self.kind.title,
            "status": status or self.kind.status,
            "detail": detail,
            "instance": instance,
        }
        return {**head, **said, **self.members}


def problem_response(error: ApiError, status: int | None = None, title: str | None = None) -> Response:
    """The HTTP answer for ``error``."""
    body = error.body(request.path, status, title)
    response = Response(json.dumps(body), status=body["status"], mimetype=MEDIA_TYPE)
    response.headers.extend(error.headers)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _from_image_error(error: ImageError) -> ApiError:
    slug = "unsupported-picture" if error.code in _UNSUPPORTED else "bad-picture"
    expected = f"a whole picture, {ACCEPTED}"
    return ApiError(slug, error.reason, expected=expected, fix=_PICTURE_FIX, members={"code": error.code})


def from_drag_error(error: DragError) -> ApiError:
    """The problem that tells what ``error`` means to a client."""
    if isinstance(error, ImageError):
        return _from_image_error(error)
    if isinstance(error, QueueFull):
        fix = "wait for Retry-After seconds and send it again"
        return ApiError("queue-full", f"{error}", fix=fix, retry_after_s=error.retry_after_s)
    if isinstance(error, Unavailable):
        fix = "wait for Retry-After seconds and try again; /v1/diagnostics says what is wrong"
        return ApiError("unavailable", f"{error}", fix=fix, retry_after_s=error.retry_after_s)
    if isinstance(error, ConfigError):
        logger.error("refused a request, since the configuration does not fit: %s", error)
        return ApiError(
            "unavailable", f"{error}", fix="correct the configuration; `drag doctor` helps", retry_after_s=10
        )
    if isinstance(error, GoneJob):
        return ApiError("gone", f"{error}", fix="send the picture again")
    if isinstance(error, UnknownJob):
        return ApiError("unknown-job", f"{error}", fix="take the id from the answer to a POST or from GET /v1/jobs")
    if isinstance(error, KeyConflict):
        return ApiError("key-conflict", f"{error}", fix="use a new Idempotency-Key for a new request")
    return ApiError("internal", "The server could not do this.", fix="see the server's log")


def from_validation(error: ValidationError, where: str) -> ApiError:
    """Pydantic's findings in ``where`` (query, path, body) as one problem."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    # An option is a union with None, whose own complaint says nothing to a client; all models here are flat.
    findings = [
        {"where": ".".join([where, *map(str, item["loc"][:1])]), "what": item["msg"]}
        for item in found
        if item["type"] != "none_required"
    ]
    first = findings[0]
    return ApiError(
        "invalid-request",
        f"{first['where']}: {first['what']}.",
        expected="what /openapi.json describes for this address",
        fix="correct the fields named in errors",
        members={"errors": findings},
    )


def _on_http_exception(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return Response(error.get_body(), status=status, headers=error.get_headers())
    slug = _BY_STATUS.get(status, "malformed-body" if status < 500 else "internal")
    fix = {404: "see /docs for the addresses", 405: "see the Allow header"}.get(status)
    about = KINDS[slug].about if fix else error.description or KINDS[slug].about
    problem = ApiError(slug, about, fix=fix, seen=f"{request.method} {request.path}")
    response = problem_response(problem, status, HTTP_STATUS_CODES.get(status))
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _on_drag_error(error: DragError) -> Response:
    problem = from_drag_error(error)
    if problem.kind.status == 500:
        logger.error("unhandled %s at %s %s", type(error).__name__, request.method, request.path, exc_info=error)
    return problem_response(problem)


def _on_anything(error: Exception) -> Response:
    logger.error("unhandled error at %s %s", request.method, request.path, exc_info=error)
    return problem_response(ApiError("internal", "The server made a mistake.", fix="see the server's log"))


def install(app: Flask) -> None:
    """Registers the handlers, so that no other shape of error leaves ``app``."""
    app.register_error_handler(ApiError, problem_response)
    app.register_error_handler(DragError, _on_drag_error)
    app.register_error_handler(HTTPException, _on_http_exception)
    app.register_error_handler(Exception, _on_anything)
