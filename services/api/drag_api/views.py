"""Records as the API shows them: plain dicts of exactly the shapes that `schemas` describes."""

from __future__ import annotations

import json
from typing import Any

from flask import Response

from drag_api.problems import ApiError
from drag_shared.records import DeadLetter, Job

_OPEN = frozenset({"queued", "running"})
# The API is one origin's private data; caches in between must not keep it.
_CACHE = {"Cache-Control": "no-store"}


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``body`` as JSON."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status=status, mimetype="application/json", headers={**_CACHE, **(headers or {})})


def job_address(job_id: str) -> str:
    """The job's path."""
    return f"/v1/jobs/{job_id}"


def job_view(job: Job) -> dict[str, Any]:
    """A job as `schemas.JobView`."""
    address = job_address(job.id)
    return {
        "id": job.id,
        "status": job.status,
        "pipeline": job.pipeline,
        "name": job.name,
        "media_type": job.media_type,
        "size_bytes": job.size_bytes,
        "width_px": job.width_px,
        "height_px": job.height_px,
        "created_ms": job.created_ms,
        "ended_ms": job.ended_ms,
        "attempts": job.attempts,
        "error": job.error,
        "result": job.result,
        "timings": job.timings,
        "has_image": job.has_image,
        "links": {"self": address, "image": f"{address}/image", "annotated": f"{address}/annotated"},
    }


def dead_view(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter as `schemas.DeadLetterView`; its bytes are for the command line."""
    return {
        "id": letter.id,
        "job_id": letter.job_id,
        "stream": letter.stream,
        "part": letter.part,
        "cause": letter.cause,
        "history": [_plain(item) for item in letter.history],
        "attempts": letter.attempts,
        "size_bytes": letter.size_bytes,
        "dead_ms": letter.dead_ms,
    }


def _plain(value: Any) -> Any:
    """``value`` with what JSON cannot carry written as text (a broken message may have left bytes in its history)."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def prediction_view(job: Job) -> dict[str, Any]:
    """An ended job as `schemas.Prediction`."""
    result = job.result or {}
    return {
        "id": job.id,
        "status": job.status,
        "gauges": result.get("gauges", []),
        "detections": result.get("detections", []),
        "image": result.get("image"),
        "model": result.get("model"),
        "timings": job.timings,
        "error": job.error,
    }


def result_of(job: Job) -> dict[str, Any]:
    """The job's result; a problem when it has none (yet, or any more)."""
    if job.result is not None:
        return job.result
    if job.status in _OPEN:
        raise ApiError(
            "not-ready-yet",
            "The job is not done yet.",
            expected="a job that is done",
            seen=job.status,
            fix=f"wait for it with {job_address(job.id)}?wait=30",
            retry_after_s=1,
        )
    if job.status in ("done", "cancelled"):
        raise ApiError("gone", "The job's result was removed.", seen=job.status, fix="send the picture again")
    raise ApiError(
        "no-result",
        "The job ended without a result.",
        expected="a job that is done",
        seen=job.status,
        fix=f"see error at {job_address(job.id)}",
    )
