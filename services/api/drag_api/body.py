"""Reading a request's body once, within bounds of size, memory and time."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Request

from drag_api.problems import ApiError

logger = logging.getLogger(__name__)

_CHUNK = 256 * 1024
_STALL_S = 20.0
_LOOK_EVERY_S = 1.0
_SLOWEST_BYTES_PER_S = 64 * 1024
_LINGER_S = 2.0
_LINGER_BYTES = 64 * 1024 * 1024
_BUDGET_WAIT_S = 2.0


class BodyBudget:
    """How many bytes of bodies one process holds at a time.

    Without it a body limit of 32 MiB and 32 threads would add up to a gigabyte.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._free = limit_bytes
        self._limit = limit_bytes
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, size_bytes: int) -> Iterator[None]:
        """Holds ``size_bytes`` while the block runs; waits a little for them, then says 503."""
        size_bytes = min(size_bytes, self._limit)
        with self._changed:
            if not self._changed.wait_for(lambda: self._free >= size_bytes, _BUDGET_WAIT_S):
                raise ApiError(
                    "busy",
                    "Too many large uploads at once.",
                    fix="wait for Retry-After seconds and send it again",
                    retry_after_s=1,
                )
            self._free -= size_bytes
        try:
            yield
        finally:
            with self._changed:
                self._free += size_bytes
                self._changed.notify_all()


@dataclass(eq=False, slots=True)
class _Watch:
    """One body that is being read."""

    sock: socket.socket
    deadline_s: float
    expired: bool = False


class StallGuard:
    """Ends the reading of bodies that take too long, by closing their sockets' receiving side.

    A time-out on the socket alone would let a client hold a thread for days with one byte every few seconds.
    """

    def __init__(self) -> None:
        self._watches: set[_Watch] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watch(self, sock: socket.socket | None, size_bytes: int) -> Iterator[None]:
        """Watches over ``sock`` while the block reads ``size_bytes`` from it; raises 408 when that took too long."""
        if sock is None:
            yield
            return
        watch = _Watch(sock, time.monotonic() + _STALL_S + size_bytes / _SLOWEST_BYTES_PER_S)
        with self._changed:
            self._watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="body-stall-guard", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._watches.remove(watch)
        if watch.expired:
            raise _slow()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._watches))
                now_s = time.monotonic()
                for watch in self._watches:
                    if watch.deadline_s < now_s and not watch.expired:
                        watch.expired = True
                        with contextlib.suppress(OSError):
                            watch.sock.shutdown(socket.SHUT_RD)
            time.sleep(_LOOK_EVERY_S)


def _slow() -> ApiError:
    expected = f"no pause over {_STALL_S:.0f} s, and {_SLOWEST_BYTES_PER_S // 1024} KiB/s over all"
    return ApiError("slow-body", "The body came too slowly.", expected=expected, fix="send it again over a better link")


class Body:
    """The body of one request.

    Attributes:
        length: its declared length in bytes, or None when it is chunked.
    """

    def __init__(self, request: Request, max_bytes: int, guard: StallGuard) -> None:
        self._environ = request.environ
        self._guard = guard
        self._max = max_bytes
        self._read = 0
        self.finished = False
        chunked = bool(self._environ.get("wsgi.input_terminated")) and "HTTP_TRANSFER_ENCODING" in self._environ
        self.length = None if chunked else (request.content_length or 0)

    @property
    def bound_bytes(self) -> int:
        """The most bytes that this body may have."""
        return self._max if self.length is None else self.length

    def check_size(self) -> None:
        """Refuses a body that declares more than is allowed, before any of it is read."""
        if self.length is not None and self.length > self._max:
            raise self._too_large(f"{self.length} bytes declared")

    def chunks(self) -> Iterator[bytes]:
        """The body in pieces, each read once. Ends early only by raising."""
        stream = self._environ["wsgi.input"]
        sock = self._environ.get("gunicorn.socket")
        if sock is not None:
            sock.settimeout(_STALL_S)
        try:
            with self._guard.watch(sock, self.bound_bytes):
                while self.length is None or self._read < self.length:
                    piece = self._read_piece(stream)
                    if not piece:
                        break
                    yield piece
        finally:
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.settimeout(None)
        if self.length is not None and self._read < self.length:
            raise self._incomplete(f"{self._read} of {self.length} bytes")
        self.finished = True

    def read(self) -> bytes:
        """The whole body."""
        pieces = list(self.chunks())
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_piece(self, stream: object) -> bytes:
        left = _CHUNK if self.length is None else min(_CHUNK, self.length - self._read)
        try:
            piece: bytes = stream.read(left)  # type: ignore[attr-defined]
        except TimeoutError as error:
            raise _slow() from error
        except OSError as error:
            raise self._incomplete(f"{self._read} bytes, then {type(error).__name__}") from error
        except Exception as error:
            raise ApiError("malformed-body", "The body's chunks are malformed.", seen=type(error).__name__) from error
        self._read += len(piece)
        if self._read > self._max:
            raise self._too_large(f"more than {self._max} bytes")
        return piece

    def _incomplete(self, seen: str) -> ApiError:
        return ApiError("incomplete-body", "The body ended too early.", seen=seen, fix="send it again")

    def _too_large(self, seen: str) -> ApiError:
        return ApiError(
            "too-large",
            "The body is too large.",
            expected=f"at most {self._max} bytes",
            seen=seen,
            fix="send fewer or smaller pictures, or raise DRAG_MAX_UPLOAD_BYTES",
        )

    def drain(self) -> None:
        """Reads and forgets what is left, for a moment, after the answer was sent.

        Many clients read no answer before they have sent all. Closing the connection on bytes that nobody read resets
        it, and such a client would see a broken pipe where a 413 or 429 was.
        """
        sock = self._environ.get("gunicorn.socket")
        if self.finished or sock is None or self.length == 0:
            return
        stream, left, deadline = self._environ["wsgi.input"], _LINGER_BYTES, time.monotonic() + _LINGER_S
        with contextlib.suppress(Exception):
            sock.settimeout(_LINGER_S)
            while left > 0 and time.monotonic() < deadline:
                piece = stream.read(_CHUNK)
                if not piece:
                    break
                left -= len(piece)
        with contextlib.suppress(OSError):
            sock.settimeout(None)
