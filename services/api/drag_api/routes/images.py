"""POST /v1/images: pictures in, jobs out."""

from __future__ import annotations

import functools

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from drag_api.binding import bound
from drag_api.context import context
from drag_api.intake import take_in
from drag_api.routes._common import ACCEPTED, UPLOAD_PROBLEMS, problems, upload_body
from drag_api.schemas import UploadHeaders, UploadQuery
from drag_api.uploads import Accepts
from drag_api.views import answer, job_address, job_view

_ACCEPTS = Accepts()


@functools.cache
def blueprint() -> APIBlueprint:
    """The routes of this group."""
    api = APIBlueprint("images", __name__, abp_tags=[Tag(name="images", description="Pictures in.")])

    @api.post(
        "/v1/images",
        operation_id="postImages",
        responses={202: ACCEPTED, **problems(*UPLOAD_PROBLEMS)},
        openapi_extensions=upload_body("multipart", "raw", "json"),
    )
    @bound
    def post_images(query: UploadQuery, header: UploadHeaders) -> Response:
        """Accept one or several pictures.

        One picture is answered with its job and a Location, several with {"jobs": [...]}; all of them are accepted,
        or none. What was accepted ends as done, failed, dead or cancelled, whatever crashes meanwhile.
        """
        jobs = take_in(context(), query, header, _ACCEPTS)
        if len(jobs) > 1:
            return answer({"jobs": [job_view(job) for job in jobs]}, 202, {"Location": "/v1/jobs"})
        return answer(job_view(jobs[0]), 202, {"Location": job_address(jobs[0].id)})

    return api
