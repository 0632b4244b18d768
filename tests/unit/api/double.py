"""An installation in memory: what the app sees of the queue, the workers and the announcements."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from drag_api.app import create_app
from drag_shared.config import Settings
from drag_shared.durability import ServerState
from drag_shared.errors import DragError, GoneJob, KeyConflict, QueueFull, UnknownJob
from drag_shared.ids import new_job_id
from drag_shared.jobs import Upload
from drag_shared.records import DeadLetter, Job
from drag_shared.registry import WorkerInfo

MODELS = Path(__file__).resolve().parents[3] / "models"
RESULT: dict[str, Any] = {
    "gauges": [
        {
            "kind": "analog",
            "score": 0.93,
            "box": [4.0, 4.0, 40.0, 40.0],
            "model": "gauge-detector",
            "model_version": "1",
        }
    ],
    "detections": [],
    "image": {"width_px": 64, "height_px": 48, "orientation": 1},
    "model": {"name": "gauge-detector", "version": "1"},
}


class MemoryStore:
    """`JobStore`'s interface over dictionaries; ``trouble`` makes every call raise it."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.blobs: dict[str, bytes] = {}
        self.letters: dict[str, DeadLetter] = {}
        self.keys: dict[str, tuple[bytes, list[str]]] = {}
        self.uploads: list[Upload] = []
        self.partitions: list[Any] = []
        self.trouble: DragError | None = None
        self.full = False
        self.reads = 0
        self.changed = threading.Condition()
        self.on_accept: Callable[[Job], None] = lambda job: None

    def _check(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    def check_admission(self, jobs: int, size_bytes: int) -> None:
        self._check()
        if self.full:
            raise QueueFull("the queue is full", retry_after_s=2.4)

    def accept(self, uploads: Sequence[Upload], idempotency_key: str | None = None) -> list[Job]:
        self.check_admission(len(uploads), 0)
        digest = hashlib.sha256(repr(uploads).encode()).digest()
        if idempotency_key is not None and idempotency_key in self.keys:
            known, ids = self.keys[idempotency_key]
            if known != digest:
                raise KeyConflict("used with another body")
            return [self.jobs[job_id] for job_id in ids]
        made = []
        for upload in uploads:
            values = {f.name: getattr(upload, f.name) for f in dataclasses.fields(Upload)}
            data = values.pop("data")
            values.pop("min_score")
            job = Job(
                id=new_job_id(0),
                status="queued",
                size_bytes=len(data),
                created_ms=time.time_ns() // 1_000_000,
                has_image=True,
                **values,
            )
            self.jobs[job.id], self.blobs[job.id] = job, data
            made.append(job)
        self.uploads += uploads
        if idempotency_key is not None:
            self.keys[idempotency_key] = (digest, [job.id for job in made])
        for job in made:
            self.on_accept(job)
        return made

    def end(self, job_id: str, status: str = "done", **values: Any) -> Job:
        """What a worker does."""
        if status == "done":
            values = {"result": RESULT, "timings": {"infer": 5.0, "total": 9.0}, **values}
        with self.changed:
            self.jobs[job_id] = dataclasses.replace(self.jobs[job_id], status=status, ended_ms=1, **values)
            self.changed.notify_all()
        return self.jobs[job_id]

    def get(self, job_id: str) -> Job:
        self._check()
        self.reads += 1
        if job_id == "gone":
            raise GoneJob("past retention")
        if job_id not in self.jobs:
            raise UnknownJob(f"there is no job {job_id!r}")
        return self.jobs[job_id]

    def image(self, job_id: str) -> bytes:
        self.get(job_id)
        if job_id not in self.blobs:
            raise GoneJob("the picture was removed")
        return self.blobs[job_id]

    def list(self, limit: int, cursor: str | None, status: str | None) -> tuple[list[Job], str | None]:
        self._check()
        if cursor == "nonsense":
            raise UnknownJob("is not a cursor")
        return [job for job in self.jobs.values() if status in (None, job.status)][::-1][:limit], None

    def delete(self, job_id: str) -> Job:
        job = self.get(job_id)
        self.blobs.pop(job_id, None)
        status = "cancelled" if job.is_open else job.status
        self.jobs[job_id] = dataclasses.replace(job, status=status, result=None, has_image=False)
        return self.jobs[job_id]

    def dead_letters(self, limit: int, cursor: str | None) -> tuple[list[DeadLetter], str | None]:
        self._check()
        return list(self.letters.values())[:limit], None

    def dead_letter(self, dead_id: str) -> DeadLetter:
        if dead_id not in self.letters:
            raise UnknownJob("there is no such dead letter")
        return self.letters[dead_id]

    def requeue(self, dead_id: str) -> Job:
        job_id = self.dead_letter(dead_id).job_id
        del self.letters[dead_id]
        self.jobs[job_id] = dataclasses.replace(self.jobs[job_id], status="queued", ended_ms=None)
        return self.jobs[job_id]

    def drop(self, dead_id: str) -> None:
        self.dead_letter(dead_id)
        del self.letters[dead_id]

    def servers(self) -> list[ServerState]:
        self._check()
        return [ServerState("Valkey", "9.1.0", True, "always", 1, 2, "noeviction")]

    def ping(self) -> float:
        self._check()
        return 0.1


class MemoryAnnouncements:
    """`Announcements` that are woken by `MemoryStore.end`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def wait(self, job_id: str, timeout_s: float, done: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + timeout_s
        with self._store.changed:
            while True:
                answer = done()
                left = deadline - time.monotonic()
                if answer is not None or left <= 0:
                    return answer
                self._store.changed.wait(min(left, 1.0))


class MemoryRegistry:
    """`Registry` over a list."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.crew: list[WorkerInfo] = []
        self.read_only: DragError | None = None

    def beat(self, info: WorkerInfo) -> None:
        self._store._check()
        if self.read_only is not None:
            raise self.read_only

    def leave(self, name: str) -> None:
        self._store._check()

    def workers(self) -> list[WorkerInfo]:
        self._store._check()
        return self.crew


def worker(service: str, state: str = "ready", **values: Any) -> WorkerInfo:
    """A process as it tells of itself."""
    name = values.pop("name", f"{service}-1")
    return WorkerInfo(name=name, service=service, host="here", pid=1, state=state, **values)


class Installation:
    """An app over an installation in memory."""

    def __init__(self, tmp_path: Path, **settings: Any) -> None:
        self.settings = Settings(data_dir=tmp_path, **{"models_dir": MODELS, **settings})
        self.store = MemoryStore()
        self.registry = MemoryRegistry(self.store)
        self.stopping = False
        self.app = create_app(
            self.settings,
            self.store,  # type: ignore[arg-type]
            MemoryAnnouncements(self.store),  # type: ignore[arg-type]
            self.registry,  # type: ignore[arg-type]
            stopping=lambda: self.stopping,
        )

    def client(self) -> FlaskClient:
        return self.app.test_client()

    def staff(self) -> None:
        """The workers that a picture needs."""
        self.registry.crew = [
            worker("ingest", metrics_url="http://127.0.0.1:9001/metrics"),
            worker("inference", model="gauge-detector", model_version="1", metrics_url="http://127.0.0.1:9002/metrics"),
        ]
