"""POST /v1/images: what is accepted, and what is refused with which words."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from tests.unit.api import pictures
from tests.unit.api.double import Installation
from werkzeug.test import TestResponse

from drag_api.uploads import display_name
from drag_shared.errors import Unavailable

FORM = "multipart/form-data; boundary=xx"
PART = b"Content-Disposition: form-data; "


def post_raw(client: FlaskClient, data: bytes, content_type: str = "image/jpeg", **options: Any) -> TestResponse:
    return client.post("/v1/images", data=data, content_type=content_type, **options)


def form(*files: tuple[bytes, str], **fields: str) -> dict[str, Any]:
    return {"file": [(io.BytesIO(data), name) for data, name in files], **fields}


def problem(response: TestResponse, status: int, slug: str) -> dict[str, Any]:
    """The answer's body, after checking that it is a problem in full."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    body = response.get_json(force=True)
    assert body["type"] == f"/problems/{slug}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == response.request.path
    return dict(body)


ACCEPTED = {
    "JPEG": (pictures.jpeg(), "image/jpeg", (64, 48)),
    "JPEG turned by EXIF": (pictures.rotated_jpeg(6), "image/jpeg", (48, 64)),
    "CMYK JPEG": (pictures.cmyk_jpeg(), "image/jpeg", (64, 48)),
    "truncated JPEG with a whole header": (pictures.jpeg()[:-200], "image/jpeg", (64, 48)),
    "grey PNG": (pictures.encode(pictures.noise(channels=1), ".png"), "image/png", (64, 48)),
    "16-bit PNG": (pictures.encode(pictures.noise(dtype=np.uint16), ".png"), "image/png", (64, 48)),
    "PNG with alpha": (pictures.encode(pictures.noise(channels=4), ".png"), "image/png", (64, 48)),
    "animated PNG": (pictures.animated_png(), "image/png", (64, 48)),
    "GIF": (pictures.gif(), "image/gif", (1, 1)),
    "WebP": (pictures.encode(pictures.noise(), ".webp"), "image/webp", (64, 48)),
    "BMP": (pictures.encode(pictures.noise(), ".bmp"), "image/bmp", (64, 48)),
}


@pytest.mark.parametrize("kind", ACCEPTED)
@pytest.mark.parametrize("way", ["raw", "form", "json"])
def test_every_kind_of_picture_is_accepted_in_every_way(
    client: FlaskClient, installation: Installation, kind: str, way: str
) -> None:
    data, media_type, size = ACCEPTED[kind]
    if way == "raw":
        response = post_raw(client, data)
    elif way == "form":
        response = client.post("/v1/images", data=form((data, "a.jpg")))
    else:
        response = client.post("/v1/images", json={"image": base64.b64encode(data).decode()})
    assert response.status_code == 202, response.text
    job = response.get_json()
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert (job["status"], job["media_type"]) == ("queued", media_type)
    assert (job["width_px"], job["height_px"]) == size
    assert installation.store.blobs[job["id"]] == data


REFUSED = {
    "nothing": (b"", 422, "bad-picture", "empty"),
    "text": (b"hello, world", 415, "unsupported-picture", "unsupported_type"),
    "PDF": (b"%PDF-1.7 ....", 415, "unsupported-picture", "unsupported_type"),
    "TIFF": (pictures.encode(pictures.noise(), ".tiff"), 415, "unsupported-picture", "unsupported_type"),
    "header cut off": (pictures.jpeg()[:20], 422, "bad-picture", "truncated"),
    "PNG cut off": (pictures.bomb(10, 10)[:20], 422, "bad-picture", "truncated"),
    "bomb": (pictures.bomb(), 422, "bad-picture", "too_many_pixels"),
    "bomb of one line": (pictures.bomb(4_000_000_000, 1), 422, "bad-picture", "damaged"),
    "no pixels": (pictures.bomb(0, 0), 422, "bad-picture", "damaged"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("way", ["raw", "form", "json"])
def test_what_the_header_tells_is_refused_and_makes_no_job(
    client: FlaskClient, installation: Installation, kind: str, way: str
) -> None:
    data, status, slug, code = REFUSED[kind]
    if way == "raw":
        response = post_raw(client, data)
    elif way == "form":
        head = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        body = head + data + b"\r\n--xx--\r\n"
        response = client.post("/v1/images", data=body, content_type=FORM)
    elif not data:
        response = client.post("/v1/images", json={"image": ""})
        problem(response, 422, "invalid-request")
        return
    else:
        response = client.post("/v1/images", json={"image": base64.b64encode(data).decode()})
    told = problem(response, status, slug)
    assert told["code"] == code
    assert told["expected"]
    assert told["fix"]
    assert installation.store.jobs == {}


def test_several_files_are_several_jobs_in_their_order(client: FlaskClient, installation: Installation) -> None:
    files = [(pictures.jpeg(), f"{i}.jpg") for i in range(3)]
    response = client.post("/v1/images", data=form(*files))
    assert response.status_code == 202
    jobs = response.get_json()["jobs"]
    assert [job["name"] for job in jobs] == ["0.jpg", "1.jpg", "2.jpg"]
    assert [installation.store.blobs[job["id"]] for job in jobs] == [data for data, _ in files]


def test_several_files_are_accepted_whole_or_not_at_all(client: FlaskClient, installation: Installation) -> None:
    response = client.post("/v1/images", data=form((pictures.jpeg(), "good.jpg"), (b"nope", "bad.txt")))
    body = problem(response, 415, "unsupported-picture")
    assert "File 2 (bad.txt)" in body["detail"]
    assert installation.store.jobs == {}


def test_a_part_without_a_file_name_is_a_picture_too(client: FlaskClient, installation: Installation) -> None:
    data = pictures.jpeg()
    body = b'--xx\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + data + b"\r\n--xx--\r\n"
    response = client.post("/v1/images", data=body, content_type=FORM)
    assert response.status_code == 202
    assert installation.store.uploads[0].data == data


@pytest.mark.parametrize("where", ["query", "form", "json"])
def test_options_are_read_from_query_form_and_json(client: FlaskClient, installation: Installation, where: str) -> None:
    data = pictures.jpeg()
    if where == "query":
        response = post_raw(client, data, query_string={"pipeline": "gauges", "min_score": "0.25"})
    elif where == "form":
        response = client.post("/v1/images?min_score=0.9", data=form((data, "a"), pipeline="gauges", min_score="0.25"))
    else:
        told = {"image": base64.b64encode(data).decode(), "pipeline": "gauges", "min_score": 0.25, "name": "x.jpg"}
        response = client.post("/v1/images?min_score=0.9", json=told)
    assert response.status_code == 202, response.text
    assert installation.store.uploads[0].pipeline == "gauges"
    assert installation.store.uploads[0].min_score == 0.25


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({"min_score": "2"}, "query.min_score"),
        ({"min_score": "nan"}, "query.min_score"),
        ({"min_score": "high"}, "query.min_score"),
        ({"min_scor": "0.5"}, "query.min_scor"),
        ({"pipeline": "../x"}, "query.pipeline"),
    ],
)
def test_wrong_options_are_named(client: FlaskClient, query: dict[str, str], where: str) -> None:
    body = problem(post_raw(client, pictures.jpeg(), query_string=query), 422, "invalid-request")
    assert body["errors"][0]["where"] == where


def test_an_unknown_pipeline_is_answered_with_the_known_ones(client: FlaskClient, installation: Installation) -> None:
    body = problem(post_raw(client, pictures.jpeg(), query_string={"pipeline": "cats"}), 422, "invalid-request")
    assert "gauges" in body["expected"]
    body = problem(
        client.post("/v1/images", data=form((pictures.jpeg(), "a"), pipeline="cats")), 422, "invalid-request"
    )
    assert body["seen"] == "cats"
    assert installation.store.jobs == {}


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"", 400, "malformed-body"),
        (b"{", 400, "malformed-body"),
        (b"\xff\xfe", 400, "malformed-body"),
        (b"[]", 422, "invalid-request"),
        (b"null", 422, "invalid-request"),
        (b"{}", 422, "invalid-request"),
        (b'{"image": 5}', 422, "invalid-request"),
        (b'{"image": "!!!"}', 422, "invalid-request"),
        (b'{"image": "AAA"}', 422, "invalid-request"),
        (b'{"image": "AAAA\\nAAAA"}', 422, "invalid-request"),
        ('{"image": "äöü="}'.encode(), 422, "invalid-request"),
        (b'{"image": "AAAA", "colour": "red"}', 422, "invalid-request"),
        (b'{"image": "AAAA", "min_score": 1e999}', 422, "invalid-request"),
        (b"[" * 100_000, 400, "malformed-body"),
    ],
    ids=range(14),
)
def test_bad_json(client: FlaskClient, body: bytes, status: int, slug: str) -> None:
    problem(post_raw(client, body, "application/json"), status, slug)


def test_a_data_url_is_taken(client: FlaskClient) -> None:
    text = "data:image/jpeg;base64," + base64.b64encode(pictures.jpeg()).decode()
    assert client.post("/v1/images", json={"image": text}).status_code == 202


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"anything", "multipart/form-data", 400),
        (b"anything", FORM, 400),
        (b"--xx--\r\n", FORM, 422),
        (b'--xx\r\n%sname="file"; filename="a"\r\n\r\nabc' % PART, FORM, 400),
        (b"--xx\r\nContent-Disposition: attachment\r\n\r\nabc\r\n--xx--\r\n", FORM, 400),
        (b"--xx\r\n" + b"A: b\r\n" * 1000 + b"\r\nabc\r\n--xx--\r\n", FORM, 413),
        (b'--xx\r\n%sname="other"; filename="a"\r\n\r\nabc\r\n--xx--\r\n' % PART, FORM, 422),
        (b'--xx\r\n%sname="min_score"\r\n\r\n\xff\r\n--xx--\r\n' % PART, FORM, 422),
        (b'--xx\r\n%sname="file"; filename=""\r\n\r\n\r\n--xx--\r\n' % PART, FORM, 422),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b"a", "text/plain", 415),
        (b"a", "", 415),
    ],
    ids=range(12),
)
def test_bad_forms(
    client: FlaskClient, installation: Installation, body: bytes, content_type: str, status: int
) -> None:
    response = client.post("/v1/images", data=body, headers={"Content-Type": content_type} if content_type else {})
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert installation.store.jobs == {}


def test_too_many_files(client: FlaskClient, installation: Installation) -> None:
    data = pictures.gif()
    response = client.post("/v1/images", data=form(*[(data, "a.gif")] * 33))
    problem(response, 413, "too-large")
    response = client.post("/v1/images", data=form(*[(data, "a.gif")] * 60))
    problem(response, 413, "too-large")
    assert installation.store.jobs == {}


class Unreadable(io.RawIOBase):
    """A body that must not be touched."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the body was read")


@pytest.mark.parametrize("reason", ["large", "full", "away", "type", "pipeline"])
def test_what_the_head_tells_is_refused_before_the_body_is_read(
    client: FlaskClient, installation: Installation, reason: str
) -> None:
    length, content_type, query = "100", "image/jpeg", {}
    if reason == "large":
        length, expected, slug = str(33 * 1024 * 1024), 413, "too-large"
    elif reason == "full":
        installation.store.full = True
        expected, slug = 429, "queue-full"
    elif reason == "away":
        installation.store.trouble = Unavailable("Redis is loading", 1.5)
        expected, slug = 503, "unavailable"
    elif reason == "type":
        content_type, expected, slug = "text/html", 415, "unsupported-media-type"
    else:
        query, expected, slug = {"pipeline": "cats"}, 422, "invalid-request"
    environ = {"wsgi.input": Unreadable(), "CONTENT_LENGTH": length}
    response = client.post("/v1/images", content_type=content_type, query_string=query, environ_overrides=environ)
    problem(response, expected, slug)
    if expected in (429, 503):
        assert int(response.headers["Retry-After"]) >= 2


def test_a_body_that_ends_early_makes_no_job(client: FlaskClient, installation: Installation) -> None:
    data = pictures.jpeg()
    environ = {"wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(len(data) + 1)}
    response = client.post("/v1/images", content_type="image/jpeg", environ_overrides=environ)
    problem(response, 400, "incomplete-body")
    assert installation.store.jobs == {}


def test_a_chunked_body_is_bounded(tmp_path: Any) -> None:
    client = Installation(tmp_path, max_upload_bytes=1000).client()
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    response = client.post(
        "/v1/images", input_stream=io.BytesIO(b"x" * 1001), content_type="image/jpeg", environ_overrides=environ
    )
    problem(response, 413, "too-large")


def test_the_same_key_gives_the_same_job(client: FlaskClient, installation: Installation) -> None:
    data, headers = pictures.jpeg(), {"Idempotency-Key": "k1"}
    first, second = (post_raw(client, data, headers=headers) for _ in range(2))
    assert first.get_json()["id"] == second.get_json()["id"]
    problem(post_raw(client, pictures.jpeg(), headers=headers), 409, "key-conflict")
    assert len(installation.store.jobs) == 1


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 256])
def test_an_unusable_key(client: FlaskClient, key: str) -> None:
    body = problem(post_raw(client, pictures.jpeg(), headers={"Idempotency-Key": key}), 422, "invalid-request")
    assert body["errors"][0]["where"] == "header.Idempotency-Key"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/", "picture"),
        ("..", "picture"),
        ("a\x00b\r\nc.jpg", "abc.jpg"),
        ("Zähler 7.jpg", "Zähler 7.jpg"),
        ("x" * 500 + ".jpg", "x" * 116 + ".jpg"),
        ("", "picture"),
    ],
)
def test_names_are_for_showing_only(name: str, shown: str) -> None:
    assert display_name(name) == shown


def test_a_hostile_name_in_a_form(client: FlaskClient) -> None:
    response = client.post("/v1/images", data=form((pictures.jpeg(), "../../../etc/cron.d/evil.jpg")))
    assert response.get_json()["name"] == "evil.jpg"


def test_errors_never_repeat_the_picture(client: FlaskClient) -> None:
    text = base64.b64encode(pictures.jpeg()).decode()
    response = client.post("/v1/images", json={"image": text, "min_score": "x"})
    assert text[:40] not in json.dumps(response.get_json(force=True))
