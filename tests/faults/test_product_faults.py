"""The whole product under its own supervisor: each of its processes killed at random moments while pictures come in."""

from __future__ import annotations

import http.client
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from drag_shared.config import Settings, environment_of, redis_address
from drag_shared.errors import Unavailable
from drag_shared.jobs import JobStore
from tests.faults import harness
from tests.faults.harness import Load, Watcher, kills, patiently, report, verdict
from tests.support.queue import until
from tests.support.servers import free_port

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1700)]

KINDS = ("drag_api", "drag_ingest", "drag_inference", "drag_viewer", "valkey-server")
GOOD_S = 10.5  # a process that lived this long is started again at once when it dies


class Product:
    """`drag run` with its children, in a session of its own."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        self.log = log
        env = {name: value for name, value in os.environ.items() if not name.startswith("DRAG_")}
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "drag_shared.cli", "run"],
                env=env | environment_of(settings) | {"DRAG_REDIS_URL": ""},
                cwd=harness.ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def children(self) -> list[tuple[int, str, float]]:
        """``(pid, kind, age in seconds)`` of every process below the supervisor that is one of ours."""
        rows: dict[int, tuple[int, str, float]] = {}
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            kind = next((name for name in KINDS if name in command), "")
            rows[int(folder.name)] = (int(stat[1]), kind, uptime - int(stat[19]) / os.sysconf("SC_CLK_TCK"))
        below = {self.process.pid}
        while grown := {pid for pid, (parent, _, _) in rows.items() if parent in below} - below:
            below |= grown
        return [(pid, kind, age) for pid, (_, kind, age) in rows.items() if pid in below and kind]

    def ready(self) -> bool:
        """What /health/ready says."""
        return self.get("/health/ready")[0] == 200

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body; 0 when nothing answers."""
        line = http.client.HTTPConnection("127.0.0.1", self.settings.api_port, timeout=10)
        try:
            line.request("GET", path)
            answer = line.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            line.close()

    def post(self, picture: bytes) -> str:
        """Posts under a key of its own, again and again until it is acknowledged: as a careful client does."""
        key = secrets.token_hex(8)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            line = http.client.HTTPConnection("127.0.0.1", self.settings.api_port, timeout=20)
            try:
                line.request("POST", "/v1/images", picture, {"Content-Type": "image/jpeg", "Idempotency-Key": key})
                answer = line.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
                continue
            finally:
                line.close()
            if answer.status == 202:
                return str(json.loads(body)["id"])
            assert answer.status in (429, 503), f"{answer.status}: {body[:300]!r}"
            time.sleep(0.1)
        raise Unavailable("not acknowledged within 90 s")

    def end(self) -> int:
        """SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def close(self) -> None:
        """Ends it whatever its state; the guardian takes the children along."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        until(lambda: not self.children(), 30)


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    settings = Settings(
        data_dir=tmp_path / "data",
        models_dir=harness.ROOT / "models",
        api_port=free_port(),
        viewer_port=free_port(),
        ingest_workers=2,
        inference_workers=2,
        inference_threads=1,
        lease_ms=2000,
        max_attempts=100,
        retry_base_ms=50,
        retry_max_ms=500,
        drain_s=5,
    )
    running = Product(settings, tmp_path / "run.log")
    try:
        until(running.ready, 90, "ready")
        yield running
    finally:
        running.close()


def picture() -> bytes:
    """A small JPEG that is quick to decode."""
    gradient = np.linspace(0, 255, 160 * 120 * 3, dtype=np.uint8).reshape(120, 160, 3)
    return bytes(cv2.imencode(".jpg", gradient)[1])


def test_every_process_killed_at_random_moments_under_load(product: Product) -> None:
    dice, number = random.Random(harness.SEED), kills(8, 150)
    settings = product.settings
    store = JobStore.open(settings.model_copy(update={"redis_url": redis_address(settings)}))
    watcher = Watcher(store)
    data = picture()
    load = Load(lambda: product.post(data), threads=3, pause_s=0.05).start()
    killed: dict[str, int] = dict.fromkeys(KINDS, 0)
    try:
        while sum(killed.values()) < number:
            time.sleep(dice.uniform(0.1, 1.2))  # the random moment
            found = product.children()
            # Mostly those that proved themselves, so that the supervisor's backoff does not slow the test down.
            victims = [row for row in found if harness.SHORT or row[2] > GOOD_S or dice.random() < 0.03]
            if victims:
                kind = dice.choice(sorted({row[1] for row in victims}))
                pid = dice.choice([row[0] for row in victims if row[1] == kind])
                os.kill(pid, signal.SIGKILL)
                killed[kind] += 1
            assert product.process.poll() is None, product.log.read_text()[-3000:]
        load.stop()
        until(product.ready, 90, "ready again")
        harness.wait_until_none_is_open(store, 240)
        watcher.stop()
        ended = patiently(lambda: verdict(store, list(load.acknowledged), watcher, {"done"}))
        assert product.end() == 0
    except BaseException:
        print(product.log.read_text()[-6000:])
        raise
    finally:
        watcher.stop()
    names = ", ".join(f"{count} {kind}" for kind, count in killed.items())
    report(f"{sum(killed.values())} kills of the running product survived ({names}): {ended}")


def test_a_stop_under_load_leaves_no_consumer_and_the_next_start_goes_on(product: Product) -> None:
    data = picture()
    load = Load(lambda: product.post(data), threads=2, pause_s=0.03).start()
    settings = product.settings
    store = JobStore.open(settings.model_copy(update={"redis_url": redis_address(settings)}))
    until(lambda: len(load.acknowledged) > 40, 60)
    pids = [row[0] for row in product.children() if row[1] in ("drag_ingest", "drag_inference")]
    keys = store.partitions[0]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 30)
    for stream, group in (("uploads", "ingest"), ("frames:gauge-detector", "inference")):
        rows = store.link.ask("xinfo_consumers", keys.key(stream), group)
        assert not [row for row in rows if any(f"-{pid}-" in row["name"].decode() for pid in pids)]
    load.stop()
    harness.wait_until_none_is_open(store, 120)
    ended = verdict(store, list(load.acknowledged), None, {"done"})
    assert max(job.attempts for job in store.list(1000)[0]) == 0, "a drain costs no attempt"
    report(f"{len(pids)} workers of the running product drained under load: {ended}, no attempt counted")
