"""The viewer's application: pages, headers, health and metrics."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from drag_shared.config import Settings
from drag_viewer.app import create_app, size_in_words


@pytest.fixture
def client() -> FlaskClient:
    return create_app(Settings(api_port=5000, max_upload_bytes=5_500_000)).test_client()


def policy(headers: object) -> dict[str, str]:
    text = dict(headers)["Content-Security-Policy"]  # type: ignore[call-overload]
    return dict(part.strip().partition(" ")[::2] for part in text.split(";"))


def test_page_names_the_api_on_its_own_host(client: FlaskClient) -> None:
    page = client.get("/", headers={"Host": "plant.example:5001"})
    assert page.status_code == 200
    assert '<meta name="drag-api" content="http://plant.example:5000">' in page.text
    assert '<meta name="drag-max-upload-bytes" content="5500000">' in page.text
    assert "Up to 5 MB each" in page.text
    assert '<link rel="modulepreload" href="/static/js/api.js">' in page.text


def test_policy_allows_this_host_and_the_api_and_nobody_else(client: FlaskClient) -> None:
    allowed = policy(client.get("/", headers={"Host": "plant.example:5001"}).headers)
    assert allowed["default-src"] == "'none'"
    assert allowed["script-src"] == allowed["style-src"] == "'self'"
    assert allowed["connect-src"] == "'self' http://plant.example:5000"
    assert allowed["img-src"] == "'self' blob: http://plant.example:5000"
    assert allowed["frame-ancestors"] == allowed["base-uri"] == allowed["form-action"] == "'none'"


def test_policy_names_the_configured_api() -> None:
    client = create_app(Settings(api_url="https://drag.example/")).test_client()
    page = client.get("/")
    assert 'content="https://drag.example"' in page.text
    assert policy(page.headers)["connect-src"] == "'self' https://drag.example"


@pytest.mark.parametrize("path", ["/video", "/video-config"])
def test_camera_pages_say_that_they_are_not_there_and_lead_back(client: FlaskClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert "not part of this release" in page.text
    assert 'href="/"' in page.text
    assert not re.search(r"<(form|input|button)", page.text)


def test_unknown_pages_lead_back_and_show_the_path_as_text(client: FlaskClient) -> None:
    page = client.get("/<script>alert(1)</script>")
    assert page.status_code == 404
    assert "<script>" not in page.text
    assert 'href="/"' in page.text


def test_every_answer_is_protected(client: FlaskClient) -> None:
    for path in ("/", "/video", "/nothing", "/static/page.css", "/health/live", "/metrics"):
        headers = client.get(path, buffered=True).headers
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert "default-src 'none'" in headers["Content-Security-Policy"], path


def test_host_header_that_is_no_host_is_refused(client: FlaskClient) -> None:
    page = client.get("/", headers={"Host": "evil.example;script-src *"})
    assert page.status_code == 400
    assert "evil" not in page.text + page.headers["Content-Security-Policy"]


def test_static_files_are_looked_at_again_and_cost_nothing_unchanged(client: FlaskClient) -> None:
    first = client.get("/static/js/main.js", buffered=True)
    assert first.mimetype == "text/javascript"
    assert first.headers["Cache-Control"] == "no-cache"
    assert (
        client.get("/static/js/main.js", headers={"If-None-Match": first.headers["ETag"]}, buffered=True).status_code
        == 304
    )


def test_health_needs_nobody_else(client: FlaskClient) -> None:
    assert client.get("/health/live").get_json()["status"] == "live"
    assert client.get("/health/ready").status_code == 200


def test_metrics_count_by_route_never_by_path(client: FlaskClient) -> None:
    for path in ("/", "/a", "/b", "/static/page.css"):
        client.get(path, buffered=True)
    client.open("/", method="INVENTED")
    text = client.get("/metrics").text
    assert 'drag_viewer_requests_total{method="GET",route="/",status="200"} 1.0' in text
    assert 'drag_viewer_requests_total{method="GET",route="unmatched",status="404"} 2.0' in text
    assert 'method="other"' in text
    assert 'drag_viewer_request_duration_seconds_count{method="GET",route="/"} 1.0' in text
    assert "INVENTED" not in text
    assert "page.css" not in text


@pytest.mark.parametrize(
    ("count", "words"), [(33_554_432, "33 MB"), (1_000_000, "1 MB"), (999_999, "999 kB"), (1500, "1 kB")]
)
def test_sizes_never_promise_more_than_is_allowed(count: int, words: str) -> None:
    assert size_in_words(count) == words
