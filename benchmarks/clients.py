"""The load: clients that each send a photo, wait for its result, and send the next. A process of its own.

Plain sockets with requests that are made beforehand, so that the clients take little of the machine that they share
with what they measure. Lines on the standard output say when the measured window begins and ends.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

BOUNDARY = "drag-benchmark-boundary"


class Connection:
    """A connection that is kept alive."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._socket.sendall(request)
        data = self._socket.recv(65536)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head = data[:end].lower()
        start = head.index(b"content-length:") + 15
        length = int(head[start:].split(b"\r\n", 1)[0])
        body = data[end + 4 :]
        while len(body) < length:
            body += self._more()
        return int(head[9:12]), body

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def close(self) -> None:
        """Ends it."""
        self._socket.close()


def post_request(path: str, photo: bytes, name: str) -> bytes:
    """A multipart upload, as curl sends it."""
    body = b"".join(
        (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'.encode(),
            b"Content-Type: image/jpeg\r\n\r\n",
            photo,
            f"\r\n--{BOUNDARY}--\r\n".encode(),
        )
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Load:
    """All clients of one run.

    Args:
        port: where the server listens.
        path: of uploads.
        polled: whether the answer is a job to ask for, not the result.
        photos: what is sent, in turn.
    """

    def __init__(self, port: int, path: str, polled: bool, photos: Sequence[bytes]) -> None:
        self._port, self._polled = port, polled
        self._requests = [post_request(path, photo, f"{n}.jpg") for n, photo in enumerate(photos)]
        self.results: list[tuple[float, float]] = []
        self.polls = 0
        self.errors: list[str] = []
        self._stop = threading.Event()

    def run(self, clients: int, warm_up_s: float, seconds: float) -> None:
        """Loads the server; tells the window's begin and end."""
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        time.sleep(warm_up_s)
        self.begin_s = time.monotonic()
        cpu_s = time.process_time()
        print("begin", flush=True)
        time.sleep(seconds)
        self.end_s = time.monotonic()
        self.cpu_s = time.process_time() - cpu_s
        print("end", flush=True)
        self._stop.set()
        for thread in threads:
            thread.join(timeout=30)

    def _client(self, number: int) -> None:
        try:
            connection = Connection(self._port)
            turn = number
            while not self._stop.is_set():
                start_s = time.monotonic()
                self._one(connection, self._requests[turn % len(self._requests)])
                self.results.append((start_s, time.monotonic()))
                turn += 1
            connection.close()
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def _one(self, connection: Connection, request: bytes) -> None:
        status, body = connection.exchange(request)
        if status != (202 if self._polled else 200):
            raise RuntimeError(f"{status}: {body[:200]!r}")
        if not self._polled:
            return
        job_id = json.loads(body)["id"]
        poll = f"GET /v1/jobs/{job_id}?wait=30 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        while True:
            status, body = connection.exchange(poll)
            self.polls += 1
            state = json.loads(body)["status"] if status == 200 else f"{status}"
            if state == "done":
                return
            if state not in ("queued", "running"):
                raise RuntimeError(f"the job ended as {state}: {body[:200]!r}")

    def summary(self) -> dict[str, object]:
        """The window's numbers."""
        inside = [end - start for start, end in self.results if self.begin_s <= end <= self.end_s]
        return {
            "images": len(inside),
            "seconds": self.end_s - self.begin_s,
            "latencies_ms": [round(1000 * latency, 2) for latency in inside],
            "polls_per_image": self.polls / max(1, len(self.results)),
            "client_cpu_s": self.cpu_s,
            "errors": self.errors[:5],
            "peak_rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }


def main() -> None:
    """Runs the load that the arguments describe, and prints its summary as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--polled", action="store_true")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--warm-up", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("photos", nargs="+", type=Path)
    options = parser.parse_args()
    load = Load(options.port, options.path, options.polled, [path.read_bytes() for path in options.photos])
    load.run(options.clients, options.warm_up, options.seconds)
    json.dump(load.summary(), sys.stdout)
    print(flush=True)


if __name__ == "__main__":
    main()
