"""Health, diagnostics, models, discovery and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.api import pictures
from tests.unit.api.double import Installation, worker
from tests.unit.api.test_uploads import post_raw, problem

from drag_api.schemas import Diagnostics, Health, ModelList, ModelStats
from drag_shared.errors import Unavailable
from drag_shared.queues import QueueState, StreamState
from drag_shared.statistics import ModelStatistics


def test_live_needs_nothing(client: FlaskClient, installation: Installation) -> None:
    installation.store.trouble = Unavailable("away")
    assert client.get("/health/live").get_json()["status"] == "ok"


def test_ready_with_the_workers_that_a_picture_needs(client: FlaskClient, installation: Installation) -> None:
    installation.staff()
    for path in ("/health/ready", "/health"):
        response = client.get(path)
        assert response.status_code == 200
        assert response.get_json() == {"status": "ok", "ready": True, "problems": []}


@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("no ingest", "ingest"),
        ("ingest draining", "ingest"),
        ("ingest silent", "ingest"),
        ("no inference", "gauge-detector"),
        ("warming", "warming"),
        ("other model", "gauge-detector"),
        ("full", "full"),
        ("away", "away"),
    ],
)
def test_not_ready_says_why(client: FlaskClient, installation: Installation, case: str, word: str) -> None:
    installation.staff()
    ingest, inference = installation.registry.crew
    crew: dict[str, list[Any]] = {
        "no ingest": [inference],
        "ingest draining": [worker("ingest", "draining"), inference],
        "ingest silent": [worker("ingest", silent_ms=20_000), inference],
        "no inference": [ingest],
        "warming": [ingest, worker("inference", "warming", model="gauge-detector")],
        "other model": [ingest, worker("inference", model="reader")],
    }
    installation.registry.crew = crew.get(case, [ingest, inference])
    installation.store.full = case == "full"
    installation.store.trouble = Unavailable("Redis is away") if case == "away" else None
    response = client.get("/health/ready")
    assert response.status_code == 503
    body = Health.model_validate(response.get_json(), strict=True)
    assert not body.ready
    assert any(word in what for what in body.problems)


def test_a_default_pipeline_that_does_not_exist_is_said(tmp_path: Path) -> None:
    installation = Installation(tmp_path, pipeline="cats")
    installation.staff()
    assert "'cats'" in installation.client().get("/health/ready").get_json()["problems"][0]
    problem(post_raw(installation.client(), pictures.jpeg()), 422, "invalid-request")


def test_a_model_repository_that_is_not_there_is_said(tmp_path: Path) -> None:
    installation = Installation(tmp_path, models_dir=tmp_path / "nowhere")
    installation.staff()
    body = installation.client().get("/v1/diagnostics").get_json()
    assert "pipelines.toml" in body["problems"][0]["what"]
    assert "DRAG_MODELS_DIR" in body["problems"][0]["fix"]


@pytest.mark.parametrize("away", [False, True])
def test_diagnostics_tells_what_is_wrong_and_what_to_do(
    client: FlaskClient, installation: Installation, away: bool
) -> None:
    installation.staff()
    failed = worker("inference", "failed", name="inference-2", reason="checksum", model="gauge-detector")
    installation.registry.crew.append(failed)
    installation.store.trouble = Unavailable("Redis is away") if away else None
    body = client.get("/v1/diagnostics").get_json()
    Diagnostics.model_validate(body, strict=True)
    assert body["ready"] is not away
    assert all(item["what"] and item["fix"] for item in body["problems"])
    if away:
        assert body["redis"] == {"up": False, "reason": "Redis is away"}
        assert body["queues"] is None
    else:
        assert "checksum" in body["problems"][0]["what"]
        assert [one["name"] for one in body["services"]["inference"]] == ["inference-1", "inference-2"]
        assert body["queues"]["open_jobs"] == 0


def test_models_and_their_state(client: FlaskClient, installation: Installation) -> None:
    body = client.get("/models").get_json()
    model = ModelList.model_validate(body, strict=True).models[0]
    assert (model.name, model.version, model.state, model.pipelines) == ("gauge-detector", "1", "stopped", ["gauges"])
    assert model.labels == ["analog", "digital", "counter"]
    installation.registry.crew = [
        worker("inference", "failed", reason="checksum", model="gauge-detector", model_version="1"),
        worker("inference", "warming", model="gauge-detector", model_version="1"),
    ]
    model = client.get("/models").get_json()["models"][0]
    assert (model["state"], model["workers"], model["ready_workers"], model["reason"]) == ("warming", 2, 0, "checksum")


def test_a_models_statistics_add_up_over_its_workers(client: FlaskClient, installation: Installation) -> None:
    for name, pictures_done in (("a", 3), ("b", 2)):
        stats = ModelStatistics()
        stats.record_batch([1.0] * pictures_done, 5.0)
        crew = worker("inference", name=name, model="gauge-detector", model_version="1", stats=stats.to_dict())
        installation.registry.crew.append(crew)
    body = client.get("/models/gauge-detector/stats").get_json()
    told = ModelStats.model_validate(body, strict=True)
    assert (told.workers, told.stats.count, told.stats.batches) == (2, 5, 2)
    assert told.stats.compute.mean_ms == 5.0
    assert "gauge-detector" in problem(client.get("/models/cats/stats"), 404, "not-found")["expected"]


def test_discovery_lists_every_address_once(client: FlaskClient, installation: Installation) -> None:
    installation.staff()
    api = {"metrics_url": "http://127.0.0.1:5000/metrics"}
    installation.registry.crew += [worker("api", name="api-1", **api), worker("api", name="api-2", **api)]
    installation.registry.crew.append(worker("viewer", metrics_url=""))
    body = client.get("/v1/discovery").get_json()
    assert sorted(entry["targets"][0] for entry in body) == ["127.0.0.1:5000", "127.0.0.1:9001", "127.0.0.1:9002"]
    labels = {entry["labels"]["service"]: entry["labels"] for entry in body}
    assert labels["api"]["__metrics_path__"] == "/metrics"
    assert labels["inference"]["model"] == "gauge-detector"


def _metrics(client: FlaskClient) -> dict[tuple[str, tuple[str, ...]], float]:
    text = client.get("/metrics").text
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_requests_by_route_method_and_status(client: FlaskClient) -> None:
    data = pictures.jpeg()
    post_raw(client, data)
    client.get("/v1/jobs/nothing")
    client.get("/nowhere/at/all")
    client.open("/v1/jobs", method="PROPFIND")
    seen = _metrics(client)
    assert seen["drag_api_requests_total", ("POST", "/v1/images", "202")] == 1
    assert seen["drag_api_requests_total", ("GET", "/v1/jobs/<job_id>", "404")] == 1
    assert seen["drag_api_requests_total", ("GET", "unmatched", "404")] == 1
    assert seen["drag_api_requests_total", ("other", "unmatched", "405")] == 1
    assert seen["drag_api_request_duration_seconds_count", ("POST", "/v1/images")] == 1
    assert seen["drag_api_upload_bytes_total", ()] == len(data)
    assert seen["drag_api_uploads_total", ()] == 1


def test_metrics_of_the_queue_are_taken_at_the_scrape(
    client: FlaskClient, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = QueueState(7, 700, 1, 2, {"accepted": 12, "done": 5}, [StreamState("uploads", 3, 4, 1, 2500)])
    monkeypatch.setattr("drag_api.metrics.read_queues", lambda store: state)
    seen = _metrics(client)
    expected = {
        ("drag_queue_up", ()): 1,
        ("drag_open_jobs", ()): 7,
        ("drag_open_bytes", ()): 700,
        ("drag_delayed_parts", ()): 1,
        ("drag_dead_letters", ()): 2,
        ("drag_queue_waiting", ("uploads",)): 3,
        ("drag_queue_pending", ("uploads",)): 4,
        ("drag_queue_consumers", ("uploads",)): 1,
        ("drag_queue_oldest_seconds", ("uploads",)): 2.5,
        ("drag_jobs_total", ("accepted",)): 12,
        ("drag_jobs_total", ("cancelled",)): 0,
    }
    assert {key: seen[key] for key in expected} == expected

    def away(store: object) -> QueueState:
        raise Unavailable("away")

    monkeypatch.setattr("drag_api.metrics.read_queues", away)
    seen = _metrics(client)
    assert seen["drag_queue_up", ()] == 0
    assert ("drag_open_jobs", ()) not in seen
