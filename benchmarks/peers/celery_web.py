"""What stands in front of Celery: FastAPI takes photos in and is asked for results.

It reads the results of all open polls with one MGET every few milliseconds, straight from where Celery's backend stores
them, and holds a poll as DRAG does: cheaper than a poll of its own for each client.
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis
from fastapi import FastAPI, File, UploadFile
from fastapi.responses import JSONResponse

from benchmarks.peers.celery_tasks import detect

LOOK_EVERY_S = 0.005


def create_app() -> FastAPI:
    """The app of one uvicorn process."""
    store = redis.Redis(unix_socket_path=os.environ["BENCH_SOCKET"])
    open_polls: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            waiting = list(open_polls)
            if waiting:
                for job_id, data in zip(waiting, store.mget([f"celery-task-meta-{i}" for i in waiting]), strict=True):
                    if data is not None and (future := open_polls.pop(job_id, None)) is not None and not future.done():
                        future.set_result(json.loads(data))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(look())
        yield
        task.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/images", status_code=202)
    async def post_images(file: UploadFile = File()) -> dict[str, str]:  # noqa: B008 - FastAPI's own way
        job_id = str(uuid.uuid4())
        store.set(f"photo:{job_id}", await file.read())
        detect.apply_async((job_id,), task_id=job_id)
        return {"id": job_id, "status": "queued"}

    @app.get("/v1/jobs/{job_id}")
    async def get_job(job_id: str, wait: float = 0.25) -> JSONResponse:
        future = open_polls.setdefault(job_id, asyncio.get_running_loop().create_future())
        try:
            found = await asyncio.wait_for(future, wait)
        except TimeoutError:
            open_polls.pop(job_id, None)
            return JSONResponse({"id": job_id, "status": "running"})
        status = "done" if found["status"] == "SUCCESS" else "failed"
        return JSONResponse({"id": job_id, "status": status, "result": found["result"]})

    @app.get("/health/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    return app
