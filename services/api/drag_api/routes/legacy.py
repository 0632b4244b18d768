"""The addresses that clients of the monolith know: synchronous predictions, and the way to the pages."""

from __future__ import annotations

import functools
import time

from flask import Response, redirect, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from drag_api.binding import bound
from drag_api.context import Context, context
from drag_api.intake import take_in
from drag_api.problems import ApiError
from drag_api.routes._common import UPLOAD_PROBLEMS, Responses, problems, upload_body
from drag_api.schemas import Prediction, PredictionList, PredictQuery, UploadHeaders
from drag_api.uploads import Accepts
from drag_api.views import answer, job_address, job_view, prediction_view
from drag_api.waiting import ENDED
from drag_shared.records import Job

_ONE = Accepts(kinds=frozenset({"multipart", "raw"}), one=True, any_field=True)
_BATCH = Accepts(kinds=frozenset({"multipart"}), any_field=True)
_JSON = Accepts(kinds=frozenset({"json"}))
_PROBLEMS = (*UPLOAD_PROBLEMS, "job-failed", "job-dead", "gone", "timeout")


@functools.cache
def blueprint() -> APIBlueprint:
    """The routes of this group."""
    tag = Tag(name="monolith", description="Addresses kept for clients of the monolith.")
    api = APIBlueprint("monolith", __name__, abp_tags=[tag])
    _add_predictions(api)
    _add_pages(api)
    return api


def _add_predictions(api: APIBlueprint) -> None:
    @api.post(
        "/predict",
        operation_id="predict",
        responses={200: Prediction, **problems(*_PROBLEMS)},
        openapi_extensions=upload_body("multipart", "raw"),
    )
    @bound
    def predict(query: PredictQuery, header: UploadHeaders) -> Response:
        """Look at one picture and answer when done.

        The picture is a job like any other: when the time is over the answer is 504 with its address, and it goes on.
        """
        return _answer_one(_predict(query, header, _ONE)[0])

    @api.post(
        "/predict/json",
        operation_id="predictJson",
        responses={200: Prediction, **problems(*_PROBLEMS)},
        openapi_extensions=upload_body("json"),
    )
    @bound
    def predict_json(query: PredictQuery, header: UploadHeaders) -> Response:
        """Look at one picture in base64 and answer when done."""
        return _answer_one(_predict(query, header, _JSON)[0])

    @api.post(
        "/predict/batch",
        operation_id="predictBatch",
        responses={200: PredictionList, **problems(*_PROBLEMS)},
        openapi_extensions=upload_body("multipart"),
    )
    @bound
    def predict_batch(query: PredictQuery, header: UploadHeaders) -> Response:
        """Look at several pictures and answer when all are done; each result has its own status."""
        jobs = _predict(query, header, _BATCH)
        results = [prediction_view(job) for job in jobs]
        late = [job for job in jobs if job.status not in ENDED]
        if late:
            raise _too_late(late[0], f"{len(late)} of {len(jobs)} pictures", results)
        return answer({"results": results})


def _predict(query: PredictQuery, header: UploadHeaders, accepts: Accepts) -> list[Job]:
    """Takes the request's pictures in and waits for them; refused before the body is read when no thread may wait."""
    own = context()
    with own.waiter.slots.take() as taken:
        if not taken:
            raise ApiError(
                "busy",
                "Too many requests wait for their results already.",
                expected=f"at most {own.waiter.slots.limit} at once in each process",
                fix="post to /v1/images and poll the job, or raise DRAG_API_THREADS",
                retry_after_s=1,
            )
        jobs = take_in(own, query, header, accepts)
        return _wait_for_all(own, jobs, query.timeout)


def _wait_for_all(own: Context, jobs: list[Job], timeout_s: float) -> list[Job]:
    sock = request.environ.get("gunicorn.socket")
    deadline = time.monotonic() + timeout_s
    return [own.waiter.wait(job.id, max(0.0, deadline - time.monotonic()), sock) for job in jobs]


def _answer_one(job: Job) -> Response:
    if job.status == "done":
        return answer(prediction_view(job), headers={"Content-Location": job_address(job.id)})
    if job.status not in ENDED:
        raise _too_late(job, "The picture", None)
    slug = {"failed": "job-failed", "dead": "job-dead", "cancelled": "gone"}[job.status]
    error = job.error or {"code": job.status, "detail": f"the job was {job.status}"}
    raise ApiError(
        slug,
        f"{error['detail']}",
        fix=f"see {job_address(job.id)}",
        retry_after_s=30 if slug == "job-dead" else None,
        members={"code": str(error["code"]), "job": job_view(job)},
    )


def _too_late(job: Job, what: str, results: list[dict[str, object]] | None) -> ApiError:
    address = job_address(job.id)
    members: dict[str, object] = {"job": job_view(job)}
    if results is not None:
        members["results"] = results
    return ApiError(
        "timeout",
        f"{what} could not be done within the time.",
        fix=f"ask for {address}?wait=60, or post to /v1/images",
        headers={"Location": address},
        members=members,
    )


def viewer_address(own: Context) -> str:
    """Where the viewer's pages are, as the current request's client can reach them."""
    configured = own.settings.viewer_origin.split(",")[0].strip().rstrip("/")
    if configured and configured != "*":
        return configured
    host = request.host.rpartition(":")[0] if ":" in request.host.rpartition("]")[2] else request.host
    return f"{request.scheme}://{host}:{own.settings.viewer_port}"


def _add_pages(api: APIBlueprint) -> None:
    moved: Responses = {302: {"description": "The page of the viewer."}}

    @api.get("/", operation_id="home", responses=moved)
    def home() -> Response:
        """Lead to the viewer's page."""
        return _to_viewer("/")

    @api.get("/video", operation_id="video", responses=moved)
    def video() -> Response:
        """Lead to the viewer's page for cameras."""
        return _to_viewer("/video")

    @api.get("/video-config", operation_id="videoConfig", responses=moved)
    def video_config() -> Response:
        """Lead to the viewer's page for configuring cameras."""
        return _to_viewer("/video-config")


def _to_viewer(path: str) -> Response:
    response = redirect(viewer_address(context()) + path)
    response.headers["Cache-Control"] = "no-store"
    assert isinstance(response, Response)
    return response
