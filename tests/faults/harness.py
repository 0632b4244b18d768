"""Load, kills and the verdict: what the tests of faults share."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drag_shared.audit import audit
from drag_shared.config import Settings, environment_of
from drag_shared.errors import QueueFull, Unavailable
from drag_shared.jobs import JobStore, Upload

ROOT = Path(__file__).resolve().parents[2]
SHORT = os.environ.get("SHORT", "") not in ("", "0")
SEED = int(os.environ.get("FAULT_SEED", "0")) or random.SystemRandom().randrange(1 << 32)


def kills(short: int, long: int) -> int:
    """How many kills a test plays: FAULT_KILLS says so, else SHORT=1 chooses."""
    return int(os.environ.get("FAULT_KILLS", 0)) or (short if SHORT else long)


REPORTS: list[str] = []


def report(text: str) -> None:
    """Keeps a line for the end of the run."""
    REPORTS.append(text)


@dataclass
class Load:
    """Posts jobs from threads until it is stopped, and remembers what was acknowledged, and when.

    Attributes:
        accept: posts one and answers its id; raises Unavailable or QueueFull when it was not acknowledged.
    """

    accept: Callable[[], str]
    threads: int = 2
    pause_s: float = 0.002
    acknowledged: dict[str, float] = field(default_factory=dict)
    refused: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(self.threads)]

    def start(self) -> Load:
        """Begins."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Ends it, and raises what a thread met."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        if self._errors:
            raise self._errors[0]

    def _run(self) -> None:
        while not self._stop.wait(self.pause_s):
            try:
                job_id = self.accept()
            except (Unavailable, QueueFull):
                self.refused += 1
                self._stop.wait(0.05)
            except BaseException as error:
                self._errors.append(error)
                return
            else:
                self.acknowledged[job_id] = time.time()


class Watcher:
    """Notes each job's first result, so that a second, different one is seen."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.first: dict[str, Any] = {}
        self.changed: list[str] = []
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            try:
                jobs, _ = self._store.list(500)
            except Unavailable:
                continue
            for job in jobs:
                self.note(job)

    def note(self, job: Any) -> None:
        """Compares a job with what was seen of it before."""
        if job.status in ("done", "failed"):
            seen = (job.status, job.result, job.ended_ms)
            if self.first.setdefault(job.id, seen) != seen:
                self.changed.append(job.id)

    def stop(self) -> None:
        """Ends it."""
        self._stop.set()
        self._thread.join(10)


class Herd:
    """Worker processes of our own that are started again when they die, as the supervisor does."""

    def __init__(self, settings: Settings, workers: Sequence[tuple[str, float]]) -> None:
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("DRAG_")}
        self._env |= environment_of(settings)
        self._specs = list(workers)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.deaths = 0
        self.processes = [self._spawn(spec) for spec in self._specs]
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _spawn(self, spec: tuple[str, float]) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "tests.faults.own_worker", spec[0], str(spec[1])]
        return subprocess.Popen(argv, env=self._env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            with self._lock:
                for place, process in enumerate(self.processes):
                    if process.poll() is not None and not self._stop.is_set():
                        _close_output(process)
                        self.deaths += 1
                        self.processes[place] = self._spawn(self._specs[place])

    def kill_one(self, chance: random.Random) -> None:
        """SIGKILL to one of them, at whatever instruction it is."""
        with self._lock:
            alive = [process for process in self.processes if process.poll() is None]
            if alive:
                chance.choice(alive).send_signal(signal.SIGKILL)

    def terminate(self, timeout_s: float) -> list[int]:
        """SIGTERM to all; their exit statuses."""
        self._stop.set()
        self._thread.join(5)
        for process in self.processes:
            assert process.stdout is not None
            process.stdout.readline()  # it heeds signals from here on
            process.terminate()
        return [process.wait(timeout_s) for process in self.processes]

    def close(self) -> None:
        """Ends all."""
        self._stop.set()
        self._thread.join(5)
        for process in self.processes:
            process.kill()
            process.wait(10)
            _close_output(process)


def _close_output(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()


def patiently(action: Callable[[], Any], limit_s: float = 30) -> Any:
    """The action's answer, through outages."""
    deadline_s = time.monotonic() + limit_s
    while True:
        try:
            return action()
        except Unavailable:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


def wait_until_none_is_open(store: JobStore, limit_s: float) -> None:
    """Awaits the end of all jobs; says which are stuck otherwise."""
    deadline_s = time.monotonic() + limit_s
    while True:
        left = sum(patiently(lambda keys=keys: store.link.ask("zcard", keys.key("open"))) for keys in store.partitions)
        if left == 0:
            return
        stuck = [store.link.ask("zrange", keys.key("open"), 0, 4) for keys in store.partitions]
        assert time.monotonic() < deadline_s, f"{left} jobs are still open, among them {stuck}"
        time.sleep(0.05)


def verdict(store: JobStore, acknowledged: Sequence[str], watcher: Watcher | None, endings: set[str]) -> dict[str, int]:
    """Nothing lost, nothing twice, the audit closes; how many jobs ended how."""
    found: dict[str, int] = {}
    lost = []
    for job_id in acknowledged:
        try:
            job = store.get(job_id)
        except Exception as error:  # every kind of not being there is a loss
            lost.append(f"{job_id}: {error}")
            continue
        found[job.status] = found.get(job.status, 0) + 1
        if watcher is not None:
            watcher.note(job)
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged jobs are lost: {lost[:5]}"
    assert set(found) <= endings, found
    if watcher is not None:
        assert not watcher.changed, f"two results: {watcher.changed[:5]}"
    outcome = audit(store)
    assert outcome.closes, outcome.problems
    for part in outcome.partitions:
        counters = part.ledger.counters
        assert part.ledger.open == 0
        assert counters["accepted"] + counters.get("requeued", 0) == sum(
            counters.get(name, 0) for name in ("done", "failed", "dead", "cancelled")
        )
    return found


def posting(store: JobStore, size: int = 20_000) -> Callable[[], str]:
    """A load's `accept` straight into the queue."""
    picture = os.urandom(size)
    return lambda: store.accept([Upload(picture, "a.jpg", "image/jpeg", 640, 480, "gauges")])[0].id
