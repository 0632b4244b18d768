"""The API fuzzed from its own description: whatever comes, the answer is one that the description tells of."""

from __future__ import annotations

import base64
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from tests.support.api import Crew
from tests.unit.api import pictures

from drag_api.app import create_app
from drag_shared.announce import Announcements
from drag_shared.config import Settings
from drag_shared.jobs import JobStore
from drag_shared.registry import Registry

pytestmark = [
    pytest.mark.contract,
    pytest.mark.integration,
    pytest.mark.timeout(300),
    # The crew's threads jitter their pauses with `random` meanwhile; what is fuzzed does not depend on it.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies"),
]

STATED = {503, 504}
CHECKS = (
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
)
EXAMPLES = 15
FILES = [pictures.jpeg(), pictures.gif(), pictures.bomb(), pictures.animated_png(), pictures.jpeg()[:100], b"", b"x"]

schemathesis.openapi.media_type("image/*", st.sampled_from(FILES) | st.binary(max_size=200))
schemathesis.openapi.format("binary", st.sampled_from(FILES) | st.binary(max_size=200))


@pytest.fixture
def described(settings: Settings) -> Iterator[Any]:
    """The app's own description, with jobs in every state to be found."""
    store = JobStore.open(settings)
    announcements = Announcements(store)
    app = create_app(settings, store, announcements, Registry(store.link))
    client = app.test_client()
    with Crew(settings):
        job = client.post("/v1/images", data=pictures.jpeg(), content_type="image/jpeg").get_json()
        assert client.get(f"/v1/jobs/{job['id']}?wait=20").get_json()["status"] == "done"
        KNOWN["job_id"] = job["id"]
        yield schemathesis.openapi.from_wsgi("/openapi.json", app)
    announcements.close()
    store.close()


KNOWN = {"job_id": "", "name": "gauge-detector", "slug": "gone", "dead_id": "0-1-0"}


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Half of the addresses lead to something that exists."""
    for name, value in (path_parameters or {}).items():
        if path_parameters is not None and len(str(value)) % 2 == 0:
            path_parameters[name] = KNOWN[name]
    return path_parameters


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Half of the JSON bodies carry a picture."""
    if isinstance(body, dict) and isinstance(body.get("image"), str) and len(body["image"]) % 2 == 0:
        body["image"] = base64.b64encode(FILES[len(body["image"]) // 2 % len(FILES)]).decode()
    return body


def test_every_answer_is_described(described: Any) -> None:
    operations = [found.ok() for found in described.get_all_operations()]
    operations.sort(key=lambda operation: operation.method == "delete")  # the known job is wanted until then
    assert len(operations) > 20
    seen: Counter[str] = Counter()
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _fuzz(operation, mode, seen)
    assert {"200", "202", "400", "404", "415", "422"} <= set(seen)


def _fuzz(operation: Any, mode: GenerationMode, seen: Counter[str]) -> None:
    """Calls one operation with what its description allows, or does not, and checks each answer against it."""

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: schemathesis.Case) -> None:
        response = case.call()
        seen[str(response.status_code)] += 1
        checks = CHECKS if response.status_code in STATED else (*CHECKS, not_a_server_error)
        case.validate_response(response, checks=list(checks))

    # What takes no input has no wrong input either.
    with contextlib.suppress(*([Unsatisfiable] if mode is GenerationMode.NEGATIVE else [])):
        one()
