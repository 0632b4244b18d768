"""The addresses that clients of the monolith know."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from tests.unit.api import pictures
from tests.unit.api.double import RESULT, Installation
from tests.unit.api.test_uploads import form, problem

from drag_api.schemas import Prediction, PredictionList
from drag_shared.records import Job


@pytest.fixture
def worked(installation: Installation) -> Installation:
    """An installation whose worker is done at once."""
    installation.store.on_accept = lambda job: void(installation.store.end(job.id))
    return installation


def void(job: Job) -> None:
    """Callbacks answer nothing."""


@pytest.mark.parametrize("way", ["form", "raw", "other field", "json"])
def test_predict_answers_when_done(client: FlaskClient, worked: Installation, way: str) -> None:
    data = pictures.jpeg()
    if way == "json":
        response = client.post("/predict/json", json={"image": base64.b64encode(data).decode()})
    elif way == "raw":
        response = client.post("/predict", data=data, content_type="image/jpeg")
    else:
        field = "file" if way == "form" else "image"
        response = client.post("/predict", data={field: (io.BytesIO(data), "a.jpg")})
    assert response.status_code == 200, response.text
    body = response.get_json()
    told = Prediction.model_validate(body, strict=True)
    assert told.status == "done"
    assert body["gauges"] == RESULT["gauges"]
    assert body["image"] == RESULT["image"]
    assert body["timings"]["total"] == 9.0
    assert response.headers["Content-Location"] == f"/v1/jobs/{told.id}"


def test_predict_tells_the_jobs_address_when_it_takes_too_long(client: FlaskClient) -> None:
    response = client.post("/predict?timeout=0.05", data=pictures.jpeg(), content_type="image/jpeg")
    body = problem(response, 504, "timeout")
    assert response.headers["Location"] == f"/v1/jobs/{body['job']['id']}"
    assert body["job"]["status"] == "queued"


@pytest.mark.parametrize(
    ("status", "code", "slug"), [("failed", 422, "job-failed"), ("dead", 503, "job-dead"), ("cancelled", 410, "gone")]
)
def test_predict_of_a_job_that_did_not_make_it(
    client: FlaskClient, installation: Installation, status: str, code: int, slug: str
) -> None:
    error = {"code": "truncated", "detail": "The picture ends early."} if status != "cancelled" else None
    installation.store.on_accept = lambda job: void(installation.store.end(job.id, status, error=error))
    response = client.post("/predict", data=pictures.jpeg(), content_type="image/jpeg")
    body = problem(response, code, slug)
    assert body["job"]["status"] == status
    if error:
        assert body["code"] == "truncated"
        assert body["detail"].startswith("The picture ends early.")


def test_predict_takes_one_picture(client: FlaskClient, installation: Installation) -> None:
    files = form((pictures.jpeg(), "a"), (pictures.jpeg(), "b"))
    problem(client.post("/predict", data=files), 422, "invalid-request")
    problem(client.post("/predict/json", data=b"x", content_type="image/jpeg"), 415, "unsupported-media-type")
    problem(client.post("/predict", json={"image": "AAAA"}), 415, "unsupported-media-type")
    problem(client.post("/predict?timeout=61", data=b"x", content_type="image/jpeg"), 422, "invalid-request")
    assert installation.store.jobs == {}


def test_batch_has_a_result_for_each_file_in_order(client: FlaskClient, installation: Installation) -> None:
    def work(job: Job) -> None:
        if job.name == "bad.jpg":
            installation.store.end(job.id, "failed", error={"code": "truncated", "detail": "ends early"})
        else:
            installation.store.end(job.id)

    installation.store.on_accept = work
    data = pictures.jpeg()
    response = client.post("/predict/batch", data=form((data, "a.jpg"), (data, "bad.jpg"), (data, "c.jpg")))
    assert response.status_code == 200
    told = PredictionList.model_validate(response.get_json(), strict=True)
    assert [one.status for one in told.results] == ["done", "failed", "done"]
    assert told.results[1].error is not None
    assert told.results[1].gauges == []


def test_batch_tells_what_is_done_when_it_takes_too_long(client: FlaskClient, installation: Installation) -> None:
    def work(job: Job) -> None:
        if job.name == "a.jpg":
            installation.store.end(job.id)

    installation.store.on_accept = work
    data = pictures.jpeg()
    response = client.post("/predict/batch?timeout=0.05", data=form((data, "a.jpg"), (data, "b.jpg")))
    body = problem(response, 504, "timeout")
    assert [one["status"] for one in body["results"]] == ["done", "queued"]
    assert response.headers["Location"] == f"/v1/jobs/{body['results'][1]['id']}"


@pytest.mark.parametrize("path", ["/", "/video", "/video-config"])
@pytest.mark.parametrize(
    ("settings", "host", "viewer"),
    [
        ({}, "127.0.0.1:5000", "http://127.0.0.1:5001"),
        ({}, "[::1]:5000", "http://[::1]:5001"),
        ({"host": "0.0.0.0"}, "plant.example", "http://plant.example:5001"),
        ({"api_url": "https://plant.example"}, "plant.example", "http://plant.example:5001"),
        ({"viewer_origin": "https://gauges.example/"}, "127.0.0.1:5000", "https://gauges.example"),
    ],
)
def test_pages_are_the_viewers(tmp_path: Path, path: str, settings: dict[str, Any], host: str, viewer: str) -> None:
    response = Installation(tmp_path, **settings).client().get(path, headers={"Host": host})
    assert response.status_code == 302
    assert response.headers["Location"] == viewer + path
