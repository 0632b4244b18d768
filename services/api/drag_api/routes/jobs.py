"""The jobs: one, many, their pictures, and their end."""

from __future__ import annotations

import functools
from urllib.parse import quote

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from drag_api.binding import bound
from drag_api.context import context
from drag_api.problems import ApiError
from drag_api.routes._common import binary, problems
from drag_api.schemas import JobList, JobPath, JobsQuery, JobView, WaitQuery
from drag_api.views import answer, job_view, result_of
from drag_imaging.header import MEDIA_TYPES
from drag_imaging.overlay import annotated_jpeg
from drag_shared.errors import UnknownJob
from drag_shared.records import Job

# A poll without `wait` is held so long while its job is open: most jobs end meanwhile, and busy pollers slow down.
_COURTESY_S = 0.25
_DRAW_WAIT_S = 10.0
_JOB_PROBLEMS = ("unknown-job", "gone", "invalid-request", "unavailable")


@functools.cache
def blueprint() -> APIBlueprint:
    """The routes of this group."""
    api = APIBlueprint("jobs", __name__, abp_tags=[Tag(name="jobs", description="What became of pictures.")])
    _add_records(api)
    _add_pictures(api)
    return api


def _read(job_id: str, wait_s: float | None) -> Job:
    """The job, waited for when asked to and when a thread can be spared."""
    timeout_s = _COURTESY_S if wait_s is None else wait_s
    waiter = context().waiter
    if timeout_s > 0:
        with waiter.slots.take() as taken:
            if taken:
                return waiter.wait(job_id, timeout_s, request.environ.get("gunicorn.socket"))
    return context().store.get(job_id)


def _add_records(api: APIBlueprint) -> None:
    @api.get("/v1/jobs/<job_id>", operation_id="getJob", responses={200: JobView, **problems(*_JOB_PROBLEMS)})
    @bound
    def get_job(path: JobPath, query: WaitQuery) -> Response:
        """Tell a job's state, and its result once it is done.

        With wait the answer comes when the job has ended, or after so many seconds. Without, it may be held for a
        quarter of a second while the job is open; wait=0 never waits.
        """
        return answer(job_view(_read(path.job_id, query.wait)))

    @api.get(
        "/v1/jobs", operation_id="listJobs", responses={200: JobList, **problems("invalid-request", "unavailable")}
    )
    @bound
    def list_jobs(query: JobsQuery) -> Response:
        """List jobs, newest first."""
        try:
            jobs, cursor = context().store.list(query.limit, query.cursor, query.status)
        except UnknownJob as error:
            raise ApiError(
                "invalid-request", f"{error}.", fix="take next of the page before, or leave it out"
            ) from error
        return answer({"jobs": [job_view(job) for job in jobs], "next": cursor})

    @api.delete(
        "/v1/jobs/<job_id>",
        operation_id="deleteJob",
        responses={200: JobView, **problems(*_JOB_PROBLEMS, "origin-refused")},
    )
    @bound
    def delete_job(path: JobPath) -> Response:
        """Cancel an open job; remove the picture and the result of any."""
        return answer(job_view(context().store.delete(path.job_id)))


def _add_pictures(api: APIBlueprint) -> None:
    @api.get(
        "/v1/jobs/<job_id>/image",
        operation_id="getImage",
        responses={200: binary("The file as it was sent.", *MEDIA_TYPES), **problems(*_JOB_PROBLEMS)},
    )
    @bound
    def get_image(path: JobPath) -> Response:
        """Give the picture back, byte for byte."""
        store = context().store
        job = store.get(path.job_id)
        return _file(store.image(job.id), job.media_type, job.name)

    @api.get(
        "/v1/jobs/<job_id>/annotated",
        operation_id="getAnnotated",
        responses={
            200: binary("The upright picture with its findings drawn on it.", "image/jpeg"),
            **problems(*_JOB_PROBLEMS, "not-ready-yet", "no-result", "bad-picture", "unsupported-picture", "busy"),
        },
    )
    @bound
    def get_annotated(path: JobPath) -> Response:
        """Draw the job's own result on its picture."""
        own = context()
        job = own.store.get(path.job_id)
        result = result_of(job)
        data = own.store.image(job.id)
        if not own.drawing.acquire(timeout=_DRAW_WAIT_S):
            raise ApiError("busy", "Too many pictures are being drawn.", fix="try again", retry_after_s=2)
        try:
            jpeg = annotated_jpeg(data, result)
        finally:
            own.drawing.release()
        return _file(jpeg, "image/jpeg", f"{job.name.rpartition('.')[0] or job.name}-annotated.jpg")


def _file(data: bytes, media_type: str, name: str) -> Response:
    """A file shown in place; browsers must not guess another type for bytes that a stranger sent."""
    response = Response(data, mimetype=media_type)
    response.headers["Content-Disposition"] = f"inline; filename*=UTF-8''{quote(name, safe='')}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Cache-Control"] = "private, max-age=60"
    return response
