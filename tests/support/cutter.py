"""A TCP proxy that cuts connections in mid-message: after N bytes in either direction, or at a word."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from types import TracebackType
from typing import Self


class Cutter:
    """Stands between clients and a server on the loopback address.

    `cut_after(requests=N)` or `cut_after(answers=N)` lets N more bytes pass that way, delivers exactly those, and then
    resets both sides of that connection. With ``word`` the bytes are counted from the first request that holds it.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._left: dict[str, int] = {}
        self._word: bytes | None = None
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._closed = False
        self.cuts = 0
        threading.Thread(target=self._accept, name="cutter", daemon=True).start()

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"redis://127.0.0.1:{self.port}"

    def cut_after(self, *, requests: int | None = None, answers: int | None = None, word: bytes | None = None) -> None:
        """Arms one cut."""
        with self._lock:
            counts = {"requests": requests, "answers": answers}
            self._left = {name: number for name, number in counts.items() if number is not None}
            self._word = word

    @property
    def armed(self) -> bool:
        """Whether the cut is still to come."""
        return bool(self._left)

    def cut_all(self) -> None:
        """Resets every connection now."""
        with self._lock:
            pairs = list(self._pairs)
        for client, server in pairs:
            _reset(client)
            _reset(server)

    def close(self) -> None:
        """Ends it."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            threading.Thread(target=self._pump, args=(client, server), name="cutter-pump", daemon=True).start()

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        with self._lock:
            self._pairs.add((client, server))
        counting = False
        try:
            with selectors.DefaultSelector() as ready:
                ready.register(client, selectors.EVENT_READ, ("requests", server))
                ready.register(server, selectors.EVENT_READ, ("answers", client))
                while True:
                    for key, _ in ready.select():
                        way, other = key.data
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not data:
                            return
                        counting = counting or (way == "requests" and self._meant(data))
                        passing, cut = self._allow(way, data) if counting else (data, False)
                        other.sendall(passing)
                        if cut:
                            return
        except (OSError, ValueError):
            return
        finally:
            with self._lock:
                self._pairs.discard((client, server))
            _reset(client)
            _reset(server)

    def _meant(self, data: bytes) -> bool:
        with self._lock:
            return bool(self._left) and (self._word is None or self._word in data)

    def _allow(self, way: str, data: bytes) -> tuple[bytes, bool]:
        with self._lock:
            if way not in self._left:
                return data, False
            left = self._left[way]
            if len(data) < left:
                self._left[way] = left - len(data)
                return data, False
            self._left.clear()
            self.cuts += 1
            return data[:left], True


def _reset(one: socket.socket) -> None:
    """Closes with RST where possible, as a crashed peer or a firewall does."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RDWR)
    one.close()
