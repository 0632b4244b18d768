"""Runs a supervisor over small stand-in children in a process of its own, and watches what it says."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_HOST = """
import json, sys
from drag_launcher.backoff import Backoff
from drag_launcher.supervisor import ChildSpec, Supervisor
specs = []
for entry in json.loads(sys.argv[1]):
    probe = entry.pop("ready_file", None)
    if probe:
        from pathlib import Path
        entry["ready"] = lambda probe=probe: None if Path(probe).exists() else "loading"
    specs.append(ChildSpec(**{**entry, "argv": tuple(entry["argv"])}))
say = lambda text: print(text, flush=True)
Supervisor(specs, say, backoff=lambda: Backoff(base_s=0.2, longest_s=0.4, good_s=1.0)).run()
say("supervisor ended")
"""


def child(name: str, code: str, **options: object) -> dict[str, object]:
    """A child that runs this Python code."""
    return {"name": name, "argv": [sys.executable, "-u", "-c", textwrap.dedent(code)], **options}


class Host:
    """A running supervisor process."""

    def __init__(self, children: list[dict[str, object]]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", _HOST, json.dumps(children)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        self.seen: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def until(self, text: str, timeout_s: float = 20) -> str:
        """The next line with this text; fails when the output ends or it is late."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {text!r} within {timeout_s} s; seen: {self.seen}") from None
            if line is None:
                raise AssertionError(f"ended without {text!r}; seen: {self.seen}")
            self.seen.append(line)
            if text in line:
                return line

    def end(self, how: signal.Signals = signal.SIGTERM, timeout_s: float = 30) -> int:
        """Sends a signal and waits for the end; the exit status."""
        self.process.send_signal(how)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 30) -> int:
        """Waits for the end, and for the last line."""
        code = self.process.wait(timeout=timeout_s)
        self._reader.join(timeout=10)
        while (line := self._lines.get(timeout=5)) is not None:
            self.seen.append(line)
        return code


@contextlib.contextmanager
def host(*children: dict[str, object]) -> Iterator[Host]:
    """A supervisor that is gone afterwards whatever happens."""
    running = Host(list(children))
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait(timeout=10)
        running._reader.join(timeout=10)
        assert running.process.stdout is not None
        running.process.stdout.close()


def exists(pid: int) -> bool:
    """Whether there is such a process, zombies not counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(true: Callable[[], bool], timeout_s: float = 20) -> bool:
    """Whether this becomes true in time."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def pid_in(line: str) -> int:
    """The number at the end of a line."""
    return int(line.split()[-1])


def kill(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Sends a signal to a process of the test."""
    os.kill(pid, how)
