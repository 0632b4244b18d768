"""The jobs' addresses: states, waits, pictures, removal, dead letters."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient
from tests.unit.api import pictures
from tests.unit.api.double import RESULT, Installation
from tests.unit.api.test_uploads import post_raw, problem

from drag_api.schemas import DeadList, JobList, JobView
from drag_shared.errors import ConfigError, Unavailable
from drag_shared.records import DeadLetter


def post(client: FlaskClient) -> str:
    return str(post_raw(client, pictures.jpeg()).get_json()["id"])


@pytest.mark.parametrize("status", ["queued", "running", "done", "failed", "dead", "cancelled"])
def test_every_state_is_answered_in_the_described_shape(
    client: FlaskClient, installation: Installation, status: str
) -> None:
    job_id = post(client)
    values: dict[str, Any] = {"error": {"code": "truncated", "detail": "ends early"}} if status == "failed" else {}
    installation.store.end(job_id, status, **values)
    response = client.get(f"/v1/jobs/{job_id}?wait=0")
    assert response.status_code == 200
    view = JobView.model_validate(response.get_json(), strict=True)
    assert view.status == status
    assert (view.result is not None) == (status == "done")
    assert (view.error is not None) == (status == "failed")


def test_unknown_is_404_and_past_retention_410(client: FlaskClient) -> None:
    for path in ("", "/image", "/annotated"):
        problem(client.get(f"/v1/jobs/nothing{path}"), 404, "unknown-job")
        problem(client.get(f"/v1/jobs/gone{path}"), 410, "gone")
    problem(client.delete("/v1/jobs/nothing"), 404, "unknown-job")


def test_a_long_poll_answers_when_the_job_ends(client: FlaskClient, installation: Installation) -> None:
    job_id = post(client)
    timer = threading.Timer(0.1, installation.store.end, [job_id])
    timer.start()
    started = time.monotonic()
    body = client.get(f"/v1/jobs/{job_id}?wait=20").get_json()
    timer.join()
    assert body["status"] == "done"
    assert time.monotonic() - started < 10


def test_a_long_poll_ends_with_its_time_and_with_the_process(client: FlaskClient, installation: Installation) -> None:
    job_id = post(client)
    assert client.get(f"/v1/jobs/{job_id}?wait=0.05").get_json()["status"] == "queued"
    installation.stopping = True
    started = time.monotonic()
    assert client.get(f"/v1/jobs/{job_id}?wait=60").get_json()["status"] == "queued"
    assert time.monotonic() - started < 10


def test_a_poll_of_an_ended_job_costs_one_read(client: FlaskClient, installation: Installation) -> None:
    job_id = post(client)
    installation.store.end(job_id)
    for query in ("", "?wait=0", "?wait=30"):
        installation.store.reads = 0
        client.get(f"/v1/jobs/{job_id}{query}")
        assert installation.store.reads == 1


def test_a_plain_poll_is_held_for_a_moment_at_most(client: FlaskClient, installation: Installation) -> None:
    job_id = post(client)
    started = time.monotonic()
    assert client.get(f"/v1/jobs/{job_id}").get_json()["status"] == "queued"
    assert 0.2 < time.monotonic() - started < 5
    assert installation.store.reads <= 2


def test_waits_leave_threads_for_others(tmp_path: Path) -> None:
    installation = Installation(tmp_path, api_threads=2)
    client = installation.client()
    job_id = post(client)
    answers: list[str] = []
    waiting = threading.Thread(
        target=lambda: answers.append(installation.client().get(f"/v1/jobs/{job_id}?wait=60").get_json()["status"])
    )
    waiting.start()
    while installation.store.reads == 0:
        time.sleep(0.001)
    started = time.monotonic()
    assert client.get(f"/v1/jobs/{job_id}?wait=60").get_json()["status"] == "queued"
    body = problem(client.post("/predict", data=pictures.jpeg(), content_type="image/jpeg"), 503, "busy")
    assert time.monotonic() - started < 10
    assert "DRAG_API_THREADS" in body["fix"]
    assert len(installation.store.jobs) == 1
    installation.store.end(job_id)
    waiting.join(10)
    assert answers == ["done"]


@pytest.mark.parametrize("query", ["wait=61", "wait=-1", "wait=nan", "wait=x", "wiat=1"])
def test_bad_waits(client: FlaskClient, query: str) -> None:
    problem(client.get(f"/v1/jobs/{post(client)}?{query}"), 422, "invalid-request")


def test_list(client: FlaskClient, installation: Installation) -> None:
    ids = [post(client) for _ in range(3)]
    installation.store.end(ids[1], "failed", error={"code": "x", "detail": "y"})
    body = client.get("/v1/jobs?limit=2").get_json()
    JobList.model_validate(body, strict=True)
    assert [job["id"] for job in body["jobs"]] == ids[:0:-1]
    assert [job["id"] for job in client.get("/v1/jobs?status=failed").get_json()["jobs"]] == [ids[1]]
    for query in ("limit=0", "limit=201", "limit=x", "status=lost", "cursor="):
        problem(client.get(f"/v1/jobs?{query}"), 422, "invalid-request")
    problem(client.get("/v1/jobs?cursor=nonsense"), 422, "invalid-request")


def test_the_picture_comes_back_byte_for_byte(client: FlaskClient) -> None:
    data = pictures.jpeg()
    job_id = client.post("/v1/images?name=K%C3%BChler%22.jpg", data=data, content_type="image/png").get_json()["id"]
    response = client.get(f"/v1/jobs/{job_id}/image")
    assert response.data == data
    assert response.content_type == "image/jpeg"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"] == "inline; filename*=UTF-8''K%C3%BChler%22.jpg"


def test_annotated_is_drawn_from_the_jobs_own_result(client: FlaskClient, installation: Installation) -> None:
    plain = np.full((48, 64, 3), 128, np.uint8)
    job_id = post_raw(client, pictures.encode(plain, ".png")).get_json()["id"]
    body = problem(client.get(f"/v1/jobs/{job_id}/annotated"), 409, "not-ready-yet")
    assert body["seen"] == "queued"
    installation.store.end(job_id, result={**RESULT, "gauges": []})
    bare = client.get(f"/v1/jobs/{job_id}/annotated")
    installation.store.end(job_id)
    drawn = client.get(f"/v1/jobs/{job_id}/annotated")
    assert bare.content_type == drawn.content_type == "image/jpeg"
    before, after = (cv2.imdecode(np.frombuffer(r.data, np.uint8), cv2.IMREAD_COLOR) for r in (bare, drawn))
    assert before is not None
    assert after is not None
    assert before.shape == after.shape == (48, 64, 3)
    assert np.abs(before.astype(int) - 128).max() < 10
    assert np.abs(after.astype(int) - 128).max() > 50


@pytest.mark.parametrize(("status", "slug"), [("failed", "no-result"), ("dead", "no-result"), ("cancelled", "gone")])
def test_no_overlay_without_a_result(client: FlaskClient, installation: Installation, status: str, slug: str) -> None:
    job_id = post(client)
    installation.store.end(job_id, status)
    problem(client.get(f"/v1/jobs/{job_id}/annotated"), 410 if slug == "gone" else 409, slug)


def test_delete_cancels_and_removes(client: FlaskClient, installation: Installation) -> None:
    still_open, ended = post(client), post(client)
    installation.store.end(ended)
    assert client.delete(f"/v1/jobs/{still_open}").get_json()["status"] == "cancelled"
    body = client.delete(f"/v1/jobs/{ended}").get_json()
    assert (body["status"], body["result"], body["has_image"]) == ("done", None, False)
    problem(client.get(f"/v1/jobs/{ended}/image"), 410, "gone")
    problem(client.get(f"/v1/jobs/{ended}/annotated"), 410, "gone")


def test_dead_letters(client: FlaskClient, installation: Installation) -> None:
    job_id = post(client)
    installation.store.end(job_id, "dead", error={"code": "dead", "detail": "its worker died"})
    history = [{"at_ms": 1, "part": "0", "consumer": b"\xff", "cause": "died"}]
    letter = DeadLetter("0-1-0", job_id, "frames:m", "0", "its worker died", history, 3, 100, 1, b"\x00")
    installation.store.letters = {"0-1-0": letter, "0-2-0": letter}
    body = client.get("/v1/dead").get_json()
    DeadList.model_validate(body, strict=True)
    assert len(body["dead"]) == 2
    assert client.get("/v1/dead/0-1-0").get_json()["cause"] == "its worker died"
    response = client.post("/v1/dead/0-1-0/requeue")
    assert (response.status_code, response.headers["Location"]) == (202, f"/v1/jobs/{job_id}")
    assert response.get_json()["status"] == "queued"
    dropped = client.delete("/v1/dead/0-2-0")
    assert (dropped.status_code, dropped.data) == (204, b"")
    for call in (client.get, client.delete):
        problem(call("/v1/dead/0-1-0"), 404, "unknown-job")
    problem(client.post("/v1/dead/0-1-0/requeue"), 404, "unknown-job")


@pytest.mark.parametrize("trouble", [Unavailable("Redis is away", 1.2), ConfigError("Redis refuses our login")])
def test_redis_away_is_503_everywhere(client: FlaskClient, installation: Installation, trouble: Any) -> None:
    job_id = post(client)
    installation.store.trouble = trouble
    paths = ["/v1/jobs", f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/image", "/v1/dead", "/models", "/v1/discovery"]
    for path in paths:
        response = client.get(path)
        problem(response, 503, "unavailable")
        assert response.headers["Retry-After"]
