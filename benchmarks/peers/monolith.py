"""The monolith's shape: FastAPI with the model in the process that answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI, File, UploadFile

from benchmarks.peers.detector import Detector


def create_app() -> FastAPI:
    """The app of one uvicorn process."""
    app = FastAPI()
    detect = Detector(Path(os.environ["BENCH_MODELS"]))

    # In the loop, not in a thread: inference uses the core anyway, and the hand-over to a thread costs 15 % (measured).
    @app.post("/predict")
    async def predict(file: UploadFile = File()) -> dict[str, Any]:  # noqa: B008 - FastAPI's own way
        return detect(await file.read())

    @app.get("/health/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    return app
