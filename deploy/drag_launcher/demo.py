"""`drag demo`: does the main job once, on a real photo, with everything started and stopped for it."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shtab

from drag_launcher.client import Client
from drag_launcher.readiness import readiness
from drag_shared.cli import EXIT_FAILED, EXIT_OK, Subparsers
from drag_shared.errors import ConfigError, DragError

_PHOTOS = Path("tests/photos")
_KEPT = frozenset({"DRAG_MODELS_DIR", "DRAG_LOG_LEVEL", "DRAG_LOG_FORMAT", "DRAG_DURABILITY", "DRAG_BACKEND"})
"""Settings of the caller that the demo keeps; it takes no notice of the others."""
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("demo", help="start everything, find the gauges in a photo, show the answer, stop")
    photo = parser.add_argument("photo", nargs="?", type=Path, help=f"a photo with a gauge in it (one of {_PHOTOS})")
    photo.complete = shtab.FILE  # how shtab is told
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for the annotated picture")
    parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS", help="longest time for it all (120)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 0 when a gauge was found."""
    photo = args.photo or a_photo()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that everything is put away
    deadline = time.monotonic() + args.timeout
    with tempfile.TemporaryDirectory(prefix="drag-demo-") as folder, drag(Path(folder), deadline) as api:
        print(f"\nposting {photo} to {api}/v1/images")
        client = Client(api)
        started = time.monotonic()
        job = client.result(client.submit(photo)["id"], max(1.0, deadline - time.monotonic()))
        seconds = time.monotonic() - started
        print(json.dumps(job, indent=2))
        if job["status"] != "done":
            print(f"\nthe job is {job['status']}, not done", file=sys.stderr)
            return EXIT_FAILED
        picture = save(client.annotated(job["id"]), photo, args.output)
    gauges = job["result"]["gauges"]
    print(f"\n{len(gauges)} gauge{'s' * (len(gauges) != 1)} in {seconds:.2f} s; annotated picture: {picture}")
    if not gauges:
        print(f"no gauge was found in {photo}, which has one", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


def a_photo(folder: Path = _PHOTOS) -> Path:
    """A photo of a gauge that ships with the source, of a dial when there is one.

    Raises:
        ConfigError: there is none here.
    """
    photos = [
        path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES and not path.stem.startswith("none")
    ]
    if not photos:
        raise ConfigError(f"no photo in {folder.resolve()}; name one: drag demo photo.jpg")
    return min(photos, key=lambda path: (not path.stem.startswith("dial"), path.name))


def save(picture: bytes, photo: Path, folder: Path) -> Path:
    """Writes the annotated picture and returns its whole path."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix = ".png" if picture.startswith(b"\x89PNG") else ".jpg"
    path = folder.resolve() / f"{photo.stem}-annotated{suffix}"
    path.write_bytes(picture)
    return path


@contextlib.contextmanager
def drag(data_dir: Path, deadline: float) -> Iterator[str]:
    """A whole DRAG on free ports with a data directory of its own; gives the API's address once it is ready."""
    api_port, viewer_port = free_ports(2)
    env = {name: value for name, value in os.environ.items() if not name.startswith("DRAG_") or name in _KEPT}
    env |= {"DRAG_DATA_DIR": str(data_dir), "DRAG_API_PORT": str(api_port), "DRAG_VIEWER_PORT": str(viewer_port)}
    # A process group of its own: Ctrl-C reaches this process, which then stops it in order.
    # Its standard input ends with this process, however that ends, and it stops then.
    command = [sys.executable, "-m", "drag_shared.cli", "run", "--stop-at-eof"]
    running = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, process_group=0)
    try:
        api = f"http://127.0.0.1:{api_port}"
        wait_until_ready(api, running, deadline)
        yield api
    finally:
        running.send_signal(signal.SIGTERM)
        if running.stdin is not None:
            running.stdin.close()
        try:
            running.wait(timeout=60)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def wait_until_ready(api: str, running: subprocess.Popen[bytes], deadline: float) -> None:
    """Returns when the API says ready.

    Raises:
        DragError: it ended, or is late.
    """
    while (missing := readiness(api)) is not None:
        if running.poll() is not None:
            raise DragError(f"`drag run` ended with exit status {running.returncode}; see above")
        if time.monotonic() > deadline:
            raise DragError(f"not ready in time: {missing}")
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Different ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        probes: list[Any] = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
