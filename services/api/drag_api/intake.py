"""The way of an upload: refused early where it can be, then read, checked and accepted as a whole."""

from __future__ import annotations

import logging

from flask import g, request

from drag_api.body import Body
from drag_api.context import Context
from drag_api.schemas import UploadHeaders, UploadQuery
from drag_api.uploads import Accepts, body_kind, make_uploads, parse
from drag_shared.records import Job

logger = logging.getLogger(__name__)


def take_in(context: Context, query: UploadQuery, header: UploadHeaders, accepts: Accepts) -> list[Job]:
    """The jobs that the current request's pictures became.

    What the request's head tells is checked before its body is read: its size, its content type, the pipeline, and
    whether the queue has room.
    """
    settings = context.settings
    body = Body(request, settings.max_upload_bytes, context.guard)
    g.body = body
    body.check_size()
    kind = body_kind(request, accepts)
    context.catalog.check_pipeline(query.pipeline or settings.pipeline)
    context.store.check_admission(1, body.length or 0)
    with context.budget.hold(body.bound_bytes):
        parsed = parse(request, body, kind, accepts, settings.max_files)
        uploads = make_uploads(parsed, query, settings)
        del parsed
        context.catalog.check_pipeline(uploads[0].pipeline)
        jobs = context.store.accept(uploads, header.key)
    context.metrics.uploaded(len(jobs), sum(len(upload.data) for upload in uploads))
    for job in jobs:
        logger.debug("accepted", extra={"job": job.id, "bytes": job.size_bytes})
    return jobs
