"""A small client of the API over urllib: what `drag submit` and `drag demo` need, and nothing else."""

from __future__ import annotations

import http.client
import json
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from drag_shared.errors import DragError

ENDED = frozenset({"done", "failed", "dead", "cancelled"})
_WAIT_S = 20
_TRIES = 5


class ApiError(DragError):
    """The API refused, or cannot be reached; the text is for people."""


class Client:
    """Talks to one API.

    Args:
        api: its address, like `http://127.0.0.1:5000`.
    """

    def __init__(self, api: str) -> None:
        self._api = api.rstrip("/")
        if urllib.parse.urlsplit(self._api).scheme not in ("http", "https"):
            raise ApiError(f"expected an address like http://127.0.0.1:5000, not {api!r}")

    def submit(self, path: Path, pipeline: str | None = None, min_score: float | None = None) -> dict[str, Any]:
        """Posts a picture and returns its job; over the queue's bound it waits as long as it is told, a few times."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ApiError(f"cannot read {path}: {error.strerror}") from error
        options = {"name": path.name, "pipeline": pipeline, "min_score": min_score}
        # The same key on every try: an answer that got lost does not make a second job.
        headers = {"Content-Type": media_type(data), "Idempotency-Key": secrets.token_hex(16)}
        query = urllib.parse.urlencode({name: value for name, value in options.items() if value is not None})
        for tries_left in range(_TRIES - 1, -1, -1):
            try:
                return self._json("POST", f"/v1/images?{query}", data, headers)
            except _BusyError as busy:
                if not tries_left:
                    raise
                time.sleep(min(busy.retry_after_s, 30.0))
        raise AssertionError("unreachable")

    def job(self, job_id: str, wait_s: float = 0) -> dict[str, Any]:
        """A job as it is, or as it is once it ended within `wait_s`."""
        return self._json("GET", f"/v1/jobs/{job_id}?wait={wait_s:g}")

    def result(self, job_id: str, timeout_s: float) -> dict[str, Any]:
        """Waits until a job has ended.

        Raises:
            ApiError: it had not after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            job = self.job(job_id, max(0.0, min(_WAIT_S, left)))
            if job["status"] in ENDED:
                return job
            if left <= 0:
                raise ApiError(f"job {job_id} is still {job['status']} after {timeout_s:g} s: {self.address(job_id)}")

    def annotated(self, job_id: str) -> bytes:
        """The picture with the overlay of its result."""
        return self._call("GET", f"/v1/jobs/{job_id}/annotated")

    def address(self, job_id: str) -> str:
        """Where a job can be looked at."""
        return f"{self._api}/v1/jobs/{job_id}"

    def _json(
        self, method: str, path: str, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        answer = json.loads(self._call(method, path, data, headers))
        if not isinstance(answer, dict):
            raise ApiError(f"{self._api}{path} does not answer like a DRAG API")
        return answer

    def _call(self, method: str, path: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        request = urllib.request.Request(self._api + path, data, headers or {}, method=method)  # noqa: S310 - checked above
        host = urllib.parse.urlsplit(self._api).hostname or ""
        direct = host in ("localhost", "::1") or host.startswith("127.")
        opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if direct else []))
        try:
            with opener.open(request, timeout=_WAIT_S + 20) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ApiError(f"cannot reach the API at {self._api} ({reason}); is it running (`drag run`)?") from error


class _BusyError(ApiError):
    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def _refusal(error: urllib.error.HTTPError) -> ApiError:
    try:
        problem = json.loads(error.read(65_536))
        text = str(problem.get("detail") or problem.get("title") or error.reason)
    except (ValueError, AttributeError):
        text = str(error.reason)
    message = f"the API answers {error.code}: {text}"
    after = error.headers.get("Retry-After", "")
    if error.code in (429, 503) and after.isdigit():
        return _BusyError(message, float(after))
    return ApiError(message)


def media_type(data: bytes) -> str:
    """The type that the first bytes tell; the API checks the rest."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data.startswith(b"BM"):
        return "image/bmp"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "image/tiff"
    return "image/jpeg"
