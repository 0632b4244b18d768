"""What the descriptions of routes share."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask_openapi3.models import OPENAPI3_REF_PREFIX
from pydantic import BaseModel

from drag_api.problems import KINDS, MEDIA_TYPE

Responses = dict[str | int | HTTPStatus, type[BaseModel] | dict[Any, Any] | None]
"""Answers by status, as flask-openapi3 takes them."""

TEXT = {"schema": {"type": "string"}}
_PROBLEM = {"$ref": f"{OPENAPI3_REF_PREFIX}/Problem"}


def problems(*slugs: str) -> Responses:
    """The answers of a route that are problems of these kinds, for its description."""
    told: dict[str | int | HTTPStatus, dict[str, Any]] = {}
    for slug in (*slugs, "internal"):
        kind = KINDS[slug]
        entry = told.setdefault(kind.status, {"description": "", "content": {MEDIA_TYPE: {"schema": _PROBLEM}}})
        entry["description"] = " ".join(filter(None, (entry["description"], f"{kind.title}: {kind.about}")))
        if kind.status in (429, 503):
            entry["headers"] = {
                "Retry-After": {"description": "Seconds until trying again.", "schema": {"type": "integer"}}
            }
    return {**told}


def binary(description: str, *media_types: str) -> dict[str, Any]:
    """An answer whose body is a file."""
    schema = {"type": "string", "format": "binary"}
    return {"description": description, "content": {kind: {"schema": schema} for kind in media_types}}


def schema_ref(name: str) -> dict[str, Any]:
    """A reference to a described shape."""
    return {"schema": {"$ref": f"{OPENAPI3_REF_PREFIX}/{name}"}}


UPLOAD_PROBLEMS = (
    "malformed-body",
    "incomplete-body",
    "slow-body",
    "too-large",
    "unsupported-media-type",
    "unsupported-picture",
    "bad-picture",
    "invalid-request",
    "key-conflict",
    "origin-refused",
    "queue-full",
    "unavailable",
    "busy",
)


def upload_body(*kinds: str) -> dict[str, Any]:
    """The description of an upload's body; ``kinds`` as in `uploads.Accepts`."""
    content: dict[str, Any] = {}
    if "multipart" in kinds:
        content["multipart/form-data"] = schema_ref("UploadForm")
    if "raw" in kinds:
        content["image/*"] = {"schema": {"type": "string", "format": "binary"}}
    if "json" in kinds:
        content["application/json"] = schema_ref("JsonUpload")
    return {"requestBody": {"required": True, "content": content}}


ACCEPTED: dict[str, Any] = {
    "description": "Accepted: the job for one picture, {jobs: [...]} for several.",
    "headers": {"Location": {"description": "Where the job is.", "schema": {"type": "string"}}},
    "content": {
        "application/json": {"schema": {"anyOf": [schema_ref("JobView")["schema"], schema_ref("JobBatch")["schema"]]}}
    },
}
