"""An API that does as it is told: for what the real one does rarely, late, or only when something breaks."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.serving import BaseWSGIServer, make_server

SIZE = (640, 480)
ENDED = ("done", "failed", "dead", "cancelled")
GAUGES = [
    {"kind": "analog", "score": 0.973, "box": [64.0, 96.0, 320.0, 400.0]},
    {"kind": "digital", "score": 0.88, "box": [400.0, 20.0, 620.0, 110.0]},
    {"kind": "counter", "score": 0.61, "box": [480.0, 330.0, 540.0, 360.0]},
]
Answer = Callable[["ScriptedApi"], Response]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def problem(status: int, title: str, detail: str, retry_after: str | None = None) -> Response:
    response = jsonify(type="/problems/x", title=title, status=status, detail=detail, instance=request.path)
    response.status_code, response.mimetype = status, "application/problem+json"
    if retry_after:
        response.headers["Retry-After"] = retry_after
    return response


class Peak:
    """How many were inside at once, at most."""

    def __init__(self) -> None:
        self.most = self._now = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


class ScriptedApi:
    """In memory; a picture's name says how it ends: `failed-`, `dead-`, `none-`, or `held-`: when `release` is called.

    Attributes:
        next_answers: called for the next POSTs, one each, instead of accepting.
        problems: what /health/ready and /v1/diagnostics tell; ready while empty.
        posts, polls: how many were under way at once.
    """

    def __init__(self, port: int, page_origin: str) -> None:
        self.port, self.page_origin = port, page_origin
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pictures: dict[str, tuple[bytes, str]] = {}
        self.by_key: dict[str, str] = {}
        self.next_answers: deque[Answer] = deque()
        self.problems: list[dict[str, str]] = []
        self.posts, self.polls = Peak(), Peak()
        self.post_takes_s = 0.0
        self.annotated = b""
        self._epoch_ms = now_ms() - 3_600_000
        self.accepted, self.go_on = threading.Event(), threading.Event()
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._server: BaseWSGIServer | None = None
        self._running = False
        self._app = self._build()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._running = True
        self._server = make_server("127.0.0.1", self.port, self._app, threaded=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Goes away, as a killed process does: whoever waits is cut off."""
        if self._server is not None:
            with self._changed:
                self._running = False
                self._changed.notify_all()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def release(self) -> None:
        """Ends every job that is held."""
        with self._changed:
            for job in self.jobs.values():
                if job["status"] not in ENDED:
                    finish(job)
            self._changed.notify_all()

    def add_ended(self, count: int) -> None:
        """Jobs from before, each newer than the last."""
        for _ in range(count):
            number = len(self.jobs)
            finish(self._new(f"earlier-{number}.jpg", b"", "image/jpeg", created_ms=self._epoch_ms + number))

    def accept(self) -> Response:
        key, file = request.headers["Idempotency-Key"], request.files["file"]
        if key not in self.by_key:
            job = self._new(file.filename or "", file.read(), file.mimetype)
            self.by_key[key] = job["id"]
            if not job["name"].startswith("held-"):
                finish(job)
                shown = {**job, "status": "queued", "result": None, "error": None, "ended_ms": None, "timings": {}}
                return Response(jsonify(shown).data, 202, mimetype="application/json")
        return Response(jsonify(self.jobs[self.by_key[key]]).data, 202, mimetype="application/json")

    def _new(self, name: str, data: bytes, media_type: str, created_ms: int | None = None) -> dict[str, Any]:
        job_id = f"0-job{next(self._numbers):06d}"
        job = {"id": job_id, "status": "queued", "pipeline": "gauges", "name": name, "media_type": media_type}
        job |= {
            "size_bytes": len(data),
            "width_px": SIZE[0],
            "height_px": SIZE[1],
            "created_ms": created_ms or now_ms(),
        }
        job |= {"ended_ms": None, "attempts": 0, "error": None, "result": None, "timings": {}, "has_image": bool(data)}
        self.jobs[job_id], self.pictures[job_id] = job, (data, media_type)
        return job

    def _build(self) -> Flask:
        app = Flask("scripted")
        app.before_request(self._preflight)
        app.after_request(self._cors)
        app.add_url_rule("/v1/images", view_func=self._post, methods=["POST"])
        app.add_url_rule("/v1/jobs", view_func=self._list)
        app.add_url_rule("/v1/jobs/<job_id>", view_func=self._get)
        app.add_url_rule("/v1/jobs/<job_id>", view_func=self._delete, methods=["DELETE"])
        app.add_url_rule("/v1/jobs/<job_id>/image", view_func=self._image)
        app.add_url_rule("/v1/jobs/<job_id>/annotated", view_func=self._annotated)
        app.add_url_rule("/v1/dead", view_func=self._dead)
        app.add_url_rule("/v1/dead/<dead_id>/requeue", view_func=self._requeue, methods=["POST"])
        app.add_url_rule("/health/live", view_func=lambda: {"status": "ok"})
        app.add_url_rule("/health/ready", view_func=self._ready)
        app.add_url_rule("/v1/diagnostics", view_func=self._diagnostics)
        return app

    def _preflight(self) -> Response | None:
        if request.method != "OPTIONS":
            return None
        allow = {"Methods": "GET, POST, DELETE", "Headers": "Content-Type, Idempotency-Key"}
        return Response(status=204, headers={f"Access-Control-Allow-{name}": value for name, value in allow.items()})

    def _cors(self, response: Response) -> Response:
        if request.headers.get("Origin") == self.page_origin:
            response.headers["Access-Control-Allow-Origin"] = self.page_origin
            response.headers["Access-Control-Expose-Headers"] = "Location, Retry-After"
        return response

    def _post(self) -> Response:
        with self.posts:
            time.sleep(self.post_takes_s)
            return self.next_answers.popleft()(self) if self.next_answers else self.accept()

    def _get(self, job_id: str) -> Response:
        if job_id not in self.jobs:
            return problem(404, "Unknown job", "No job ever had this id here.")
        job = self.jobs[job_id]
        with self.polls, self._changed:
            until = request.args.get("wait", 0.0, float)
            self._changed.wait_for(lambda: job["status"] in ENDED or not self._running, until)
        if not self._running:
            cut()
        return jsonify(job)

    def _delete(self, job_id: str) -> Response:
        with self._changed:
            job = self.jobs[job_id]
            job.update({"result": None, "has_image": False})
            if job["status"] not in ENDED:
                job.update({"status": "cancelled", "ended_ms": now_ms()})
            self._changed.notify_all()
        return jsonify(job)

    def _list(self) -> Response:
        start, limit = request.args.get("cursor", 0, int), request.args.get("limit", 50, int)
        newest = sorted(self.jobs.values(), key=lambda job: (-job["created_ms"], job["id"]))
        after = start + limit
        return jsonify(jobs=newest[start:after], next=str(after) if after < len(newest) else None)

    def _annotated(self, job_id: str) -> Response:
        return Response(self.annotated, mimetype="image/jpeg")

    def _dead(self) -> Response:
        letters = [
            {"id": f"d-{job['id']}", "job_id": job["id"]} for job in self.jobs.values() if job["status"] == "dead"
        ]
        return jsonify(dead=letters, next=None)

    def _requeue(self, dead_id: str) -> tuple[Response, int]:
        job = self.jobs[dead_id.removeprefix("d-")]
        job.update({"status": "queued", "name": job["name"].removeprefix("dead-"), "error": None, "ended_ms": None})
        return jsonify(job), 202

    def _image(self, job_id: str) -> Response:
        data, media_type = self.pictures[job_id]
        if not self.jobs[job_id]["has_image"]:
            return problem(410, "Gone", "The picture was removed.")
        return Response(data, mimetype=media_type)

    def _ready(self) -> tuple[Response, int]:
        ready = not self.problems
        body = jsonify(
            status="ok" if ready else "unavailable", ready=ready, problems=[p["what"] for p in self.problems]
        )
        return body, 200 if ready else 503

    def _diagnostics(self) -> Response:
        worker = {"name": "inference-1", "service": "inference", "host": "plant-7", "pid": 4711, "state": "ready"}
        worker |= {"reason": "", "model": "gauge-detector", "model_version": "1"}
        queues = {"open_jobs": 0, "dead_letters": 0}
        ready = not self.problems
        return jsonify(ready=ready, problems=self.problems, services={"inference": [worker]}, queues=queues)


def finish(job: dict[str, Any]) -> None:
    """Ends a job as its name says."""
    job.update({"ended_ms": now_ms(), "attempts": 1, "status": "done"})
    if job["name"].startswith("failed-"):
        job.update(
            {"status": "failed", "error": {"code": "truncated", "detail": "The picture ends before its data does."}}
        )
    elif job["name"].startswith("dead-"):
        job.update(
            {"status": "dead", "attempts": 3, "error": {"code": "attempts", "detail": "Given up after 3 tries."}}
        )
    else:
        gauges = [] if job["name"].startswith("none-") else GAUGES
        found = [{**gauge, "model": "gauge-detector", "model_version": "1"} for gauge in gauges]
        image = {"width_px": SIZE[0], "height_px": SIZE[1], "orientation": 1}
        model = {"name": "gauge-detector", "version": "1"}
        job["result"] = {"gauges": found, "detections": [], "image": image, "model": model}
        job["timings"] = {"queued": 3.2, "fetch": 0.6, "decode": 8.8, "infer": 41.5, "publish": 0.9, "total": 55.0}


def cut() -> None:
    """Breaks the connection of the current request."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)


def busy(retry_after: str, status: int = 429) -> Answer:
    """Refuses one POST, for now."""
    return lambda _: problem(status, "Queue full", "10,000 jobs are waiting, the most there may be.", retry_after)


def cut_after_accepting(api: ScriptedApi) -> Response:
    """Accepts, then breaks the connection instead of answering."""
    api.accept()
    cut()
    return Response(status=202)


def refused(_: ScriptedApi) -> Response:
    """What the real API says of bytes that are no picture."""
    return problem(415, "Unsupported picture", "The bytes are not a picture. Fix: save it as JPEG.")


def broken(_: ScriptedApi) -> Response:
    """A fault of the server's own, told as a proxy would."""
    return Response("<h1>Internal Server Error</h1>", 500, mimetype="text/html")


def answered_after_listing(api: ScriptedApi) -> Response:
    """Accepts, and answers once the test lets it."""
    answer = api.accept()
    api.accepted.set()
    api.go_on.wait(20)
    return answer
