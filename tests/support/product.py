"""The whole product as a person starts it: `drag run` in a process of its own, on free ports, with its own data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from drag_launcher.client import Client
from drag_launcher.demo import free_ports
from drag_launcher.readiness import readiness
from tests.support.supervised import eventually


class Product:
    """A `drag run`.

    Args:
        folder: for its data and its output.
        root: the checkout.
        settings: more `DRAG_*` variables.
    """

    def __init__(self, folder: Path, root: Path, **settings: str) -> None:
        self.api_port, self.viewer_port = free_ports(2)
        self.output = folder / "output.txt"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DRAG_")}
        self.env = {
            **clean,
            "DRAG_DATA_DIR": str(folder / "data"),
            "DRAG_MODELS_DIR": str(root / "models"),
            "DRAG_API_PORT": str(self.api_port),
            "DRAG_VIEWER_PORT": str(self.viewer_port),
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def api(self) -> str:
        """Address of the API."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def page(self) -> str:
        """Address of the page."""
        return f"http://127.0.0.1:{self.viewer_port}"

    @property
    def client(self) -> Client:
        """A client of the API."""
        return Client(self.api)

    def start(self, timeout_s: float = 100) -> float:
        """Starts it and waits until it is ready; how many seconds that took."""
        started = time.monotonic()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command("run"),
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        process = self.process
        assert eventually(lambda: readiness(self.api) is None or process.poll() is not None, timeout_s), self.said()
        assert process.poll() is None, self.said()
        return time.monotonic() - started

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C, or another signal; the exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(timeout=90)

    def close(self) -> None:
        """Ends it whatever its state."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout=10)

    def command(self, *arguments: str) -> list[str]:
        """A `drag` command line."""
        return [sys.executable, "-m", "drag_shared.cli", *arguments]

    def drag(self, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs a `drag` command with this product's settings."""
        return subprocess.run(
            self.command(*arguments), env=self.env, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def get(self, path: str) -> Any:
        """A JSON answer of the API."""
        with urllib.request.urlopen(self.api + path, timeout=30) as answer:
            return json.load(answer)

    def said(self) -> str:
        """All output so far."""
        return self.output.read_text(errors="replace")

    def processes(self, module: str = "") -> list[int]:
        """Pids of its services, told by their command lines and their data directory."""
        found = []
        mine = f"DRAG_DATA_DIR={self.env['DRAG_DATA_DIR']}".encode()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                command = (environ.parent / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
                if mine in environ.read_bytes().split(b"\0") and module in command and command:
                    found.append(int(environ.parent.name))
            except OSError:
                continue
        return sorted(found)
