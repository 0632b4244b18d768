"""The dead letters: looked at, tried anew, thrown away."""

from __future__ import annotations

import functools

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from drag_api.binding import bound
from drag_api.context import context
from drag_api.problems import ApiError
from drag_api.routes._common import problems
from drag_api.schemas import DeadLetterView, DeadList, DeadPath, JobView, PageQuery
from drag_api.views import answer, dead_view, job_address, job_view
from drag_shared.errors import UnknownJob

_PROBLEMS = ("unknown-job", "invalid-request", "unavailable")


@functools.cache
def blueprint() -> APIBlueprint:
    """The routes of this group."""
    api = APIBlueprint("dead", __name__, abp_tags=[Tag(name="dead", description="Work that was given up.")])
    _add_reading(api)
    _add_deciding(api)
    return api


def _add_reading(api: APIBlueprint) -> None:
    @api.get(
        "/v1/dead", operation_id="listDead", responses={200: DeadList, **problems("invalid-request", "unavailable")}
    )
    @bound
    def list_dead(query: PageQuery) -> Response:
        """List dead letters, newest first."""
        try:
            letters, cursor = context().store.dead_letters(query.limit, query.cursor)
        except UnknownJob as error:
            raise ApiError(
                "invalid-request", f"{error}.", fix="take next of the page before, or leave it out"
            ) from error
        return answer({"dead": [dead_view(letter) for letter in letters], "next": cursor})

    @api.get("/v1/dead/<dead_id>", operation_id="getDead", responses={200: DeadLetterView, **problems(*_PROBLEMS)})
    @bound
    def get_dead(path: DeadPath) -> Response:
        """Tell one dead letter's cause and history."""
        return answer(dead_view(context().store.dead_letter(path.dead_id)))


def _add_deciding(api: APIBlueprint) -> None:
    @api.post(
        "/v1/dead/<dead_id>/requeue",
        operation_id="requeueDead",
        responses={202: JobView, **problems(*_PROBLEMS, "gone", "origin-refused")},
    )
    @bound
    def requeue_dead(path: DeadPath) -> Response:
        """Try a dead letter's job anew, its attempts counted from zero."""
        job = context().store.requeue(path.dead_id)
        return answer(job_view(job), 202, {"Location": job_address(job.id)})

    @api.delete(
        "/v1/dead/<dead_id>",
        operation_id="dropDead",
        responses={204: None, **problems(*_PROBLEMS, "origin-refused")},
    )
    @bound
    def drop_dead(path: DeadPath) -> Response:
        """Throw a dead letter and its picture away."""
        context().store.drop(path.dead_id)
        return Response(status=204)
