"""What holds at every address: problems, cross-origin rules, the description and its readers."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from tests.unit.api import pictures
from tests.unit.api.double import Installation
from tests.unit.api.test_uploads import post_raw, problem

from drag_api.body import BodyBudget
from drag_api.problems import KINDS, ApiError

VIEWER = "http://127.0.0.1:5001"


def test_not_found_and_wrong_method_are_problems(client: FlaskClient) -> None:
    problem(client.get("/v1/nothing"), 404, "not-found")
    response = client.put("/v1/images", data=b"")
    problem(response, 405, "method-not-allowed")
    assert response.headers["Allow"] == "OPTIONS, POST"


def test_a_fault_of_ours_is_a_problem_without_its_details(
    client: FlaskClient, installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    installation.store.trouble = RuntimeError("secret")  # type: ignore[assignment]
    response = client.get("/v1/jobs")
    problem(response, 500, "internal")
    assert "secret" not in response.text
    assert "secret" in caplog.text


def test_every_kind_of_problem_is_explained_at_its_address(client: FlaskClient) -> None:
    for kind in KINDS.values():
        response = client.get(f"/problems/{kind.slug}")
        assert response.status_code == 200
        assert kind.about in response.text
    problem(client.get("/problems/other"), 404, "not-found")


def test_details_say_expected_seen_and_fix(client: FlaskClient) -> None:
    body = problem(post_raw(client, b"x", "text/plain"), 415, "unsupported-media-type")
    for part in ("expected", "seen", "fix"):
        assert body[part].rstrip(".") in body["detail"]


# -- cross-origin ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [VIEWER, "http://localhost:5001", "http://[::1]:5001"])
def test_the_viewers_origins_may_read_and_write(client: FlaskClient, origin: str) -> None:
    response = post_raw(client, pictures.jpeg(), headers={"Origin": origin})
    assert response.status_code == 202
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert "Location" in response.headers["Access-Control-Expose-Headers"]
    assert "Origin" in response.headers["Vary"]
    refused = client.get("/nothing", headers={"Origin": origin})
    assert refused.headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_preflight(client: FlaskClient, method: str) -> None:
    asked = {
        "Origin": VIEWER,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "idempotency-key",
    }
    response = client.options("/v1/jobs/x" if method == "DELETE" else "/v1/images", headers=asked)
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == VIEWER
    assert method in response.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in response.headers["Access-Control-Allow-Headers"]
    asked["Origin"] = "http://evil.example"
    response = client.options("/v1/images", headers=asked)
    assert not [name for name in response.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:5002", "https://127.0.0.1:5001"])
def test_other_origins_may_neither_read_nor_write(client: FlaskClient, installation: Installation, origin: str) -> None:
    body = problem(post_raw(client, pictures.jpeg(), headers={"Origin": origin}), 403, "origin-refused")
    assert "DRAG_VIEWER_ORIGIN" in body["fix"]
    problem(client.delete("/v1/jobs/x", headers={"Origin": origin}), 403, "origin-refused")
    assert "Access-Control-Allow-Origin" not in client.get("/v1/jobs", headers={"Origin": origin}).headers
    assert installation.store.jobs == {}


def test_the_apis_own_pages_may_write(client: FlaskClient) -> None:
    headers = {"Origin": "http://localhost", "Host": "localhost"}
    assert post_raw(client, pictures.jpeg(), headers=headers).status_code == 202


def test_a_configured_origin_replaces_the_default(tmp_path: Path) -> None:
    client = Installation(tmp_path, viewer_origin="https://a.example, https://b.example/").client()
    for origin in ("https://a.example", "https://b.example"):
        assert client.get("/v1/jobs", headers={"Origin": origin}).headers["Access-Control-Allow-Origin"] == origin
    assert "Access-Control-Allow-Origin" not in client.get("/v1/jobs", headers={"Origin": VIEWER}).headers


# -- the description ---------------------------------------------------------------------------------------------------


def test_the_description_is_whole(client: FlaskClient, installation: Installation) -> None:
    told = client.get("/openapi.json").get_json()
    assert told["openapi"].startswith("3.1")
    described = {
        (re.sub(r"{(\w+)}", r"<\1>", path), method.upper())
        for path, operations in told["paths"].items()
        for method in operations
    }
    served = {
        (rule.rule, method)
        for rule in installation.app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS") and not rule.endpoint.startswith("docs.")
    }
    assert described == served
    ids = [operation["operationId"] for operations in told["paths"].values() for operation in operations.values()]
    assert len(ids) == len(set(ids))


def test_every_reference_in_the_description_leads_somewhere(client: FlaskClient) -> None:
    told = client.get("/openapi.json").get_json()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for item in value.values() for found in references(item)]
        if isinstance(value, list):
            return [found for item in value for found in references(item)]
        return []

    found = references(told)
    assert found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in told["components"]["schemas"]


def test_errors_are_described_as_problems_alone(client: FlaskClient) -> None:
    told = client.get("/openapi.json").get_json()
    for path, operations in told["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status.startswith(("4", "5")) and not path.startswith("/health"):
                    assert list(response["content"]) == ["application/problem+json"], (path, status)


@pytest.mark.parametrize(("page", "words"), [("/docs", "swagger-ui"), ("/redoc", "<redoc")])
def test_the_readers_ask_no_other_host(client: FlaskClient, page: str, words: str) -> None:
    response = client.get(page)
    assert response.status_code == 200
    assert words in response.text
    assert not re.findall(r"(?:https?:)?//[a-z]", response.text)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assets = re.findall(r"(?:src|href)=\"(/[^\"]+)\"", response.text)
    assert assets
    for asset in assets:
        served = client.get(asset)
        assert served.status_code == 200, asset
        assert len(served.data) > 100
        served.close()
    problem(client.get("/docs/files/other.js"), 404, "not-found")


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_bodies_wait_for_memory_and_are_refused_without(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = BodyBudget(100)
    monkeypatch.setattr("drag_api.body._BUDGET_WAIT_S", 0.05)
    with budget.hold(60), budget.hold(40), pytest.raises(ApiError) as refused, budget.hold(1):
        pass
    assert refused.value.kind.slug == "busy"
    assert refused.value.headers["Retry-After"] == "1"
    with budget.hold(1000):  # larger than all: alone
        pass
    monkeypatch.setattr("drag_api.body._BUDGET_WAIT_S", 20.0)
    holding, entered = threading.Event(), threading.Event()

    def hold() -> None:
        with budget.hold(100):
            entered.set()
            holding.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    entered.wait(10)
    threading.Timer(0.05, holding.set).start()
    started = time.monotonic()
    with budget.hold(50):
        assert time.monotonic() - started >= 0.04
    other.join(10)


@pytest.mark.parametrize("pause_s", [0.02, 30.0], ids=["drips", "stops"])
def test_a_body_that_comes_too_slowly_is_given_up(
    client: FlaskClient, installation: Installation, monkeypatch: pytest.MonkeyPatch, pause_s: float
) -> None:
    monkeypatch.setattr("drag_api.body._STALL_S", 0.3)
    monkeypatch.setattr("drag_api.body._LOOK_EVERY_S", 0.05)
    ours, theirs = socket.socketpair()
    ending = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not ending.is_set():
                theirs.send(b"x")
                ending.wait(pause_s)

    dripping = threading.Thread(target=drip)
    dripping.start()
    with ours, theirs, ours.makefile("rb", buffering=0) as stream:
        environ = {"gunicorn.socket": ours, "wsgi.input": stream, "CONTENT_LENGTH": "1000"}
        response = client.post("/v1/images", content_type="image/jpeg", environ_overrides=environ)
        ending.set()
        dripping.join(10)
        response.close()
    problem(response, 408, "slow-body")
    assert installation.store.jobs == {}


def test_a_foreign_name_for_a_loopback_address_is_refused(tmp_path: Path) -> None:
    """A page whose own name was made to resolve here (DNS rebinding) is same-origin for the browser."""
    client = Installation(tmp_path).client()
    for path in ("/v1/jobs", "/"):
        problem(client.get(path, headers={"Host": "evil.example:5000"}), 403, "origin-refused")
    assert client.get("/v1/jobs", headers={"Host": "localhost:5000"}).status_code == 200
