"""A real worker process on a real server with the shipped detector: from a routed upload to its result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.support.queue import Queue, until
from tests.support.servers import RedisServer

from drag_imaging.header import ImageHeader, identify
from drag_shared import consumer as consumer_module
from drag_shared.config import Settings, environment_of
from drag_shared.consumer import Consumer
from drag_shared.jobs import Upload
from drag_shared.keys import frames_stream
from drag_shared.outcomes import Entry, Outcome, Routed
from drag_shared.records import Job
from drag_shared.registry import Registry, WorkerInfo
from drag_shared.wire import FrameMessage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

MODEL = "gauge-detector"
STREAM = frames_stream(MODEL)
READY_S = 40.0


def picture(extension: str = ".jpg", width: int = 320, height: int = 240) -> bytes:
    noise = np.random.default_rng(width).integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8)
    done, data = cv2.imencode(extension, cv2.resize(noise, (width, height)))
    assert done
    return bytes(data)


class Farm:
    """Worker processes over one queue."""

    def __init__(self, queue: Queue, directory: Path) -> None:
        self.queue = queue
        self.directory = directory
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, model: str = MODEL, **changes: str) -> subprocess.Popen[bytes]:
        """Starts a worker process; `log` is what it wrote."""
        environment = {**os.environ, **environment_of(self.queue.settings), "DRAG_INFERENCE_THREADS": "1", **changes}
        with (self.directory / f"worker-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "drag_inference", "--model", model], stdout=log, stderr=log, env=environment
            )
        self.processes.append(process)
        return process

    def log(self, index: int = -1) -> str:
        """What a worker wrote."""
        number = index % len(self.processes)
        return (self.directory / f"worker-{number}.log").read_text()

    def workers(self) -> list[WorkerInfo]:
        """Their rows."""
        return [info for info in Registry(self.queue.store.link).workers() if info.service == "inference"]

    def wait_ready(self, count: int = 1) -> list[WorkerInfo]:
        """Rows of ready workers, once there are so many."""
        until(lambda: sum(info.is_ready for info in self.workers()) >= count, READY_S, f"{count} ready workers")
        return [info for info in self.workers() if info.is_ready]

    def submit(self, *pictures: bytes) -> list[str]:
        """Accepts pictures and routes them as ingest does; the ids of their jobs."""
        uploads = [Upload(data, "a.jpg", "image/jpeg", 320, 240, "gauges", 0.01) for data in pictures]
        ids = [job.id for job in self.queue.store.accept(uploads)]
        with self.queue.using("uploads") as ingest:
            routed = 0
            while routed < len(pictures):
                entries = ingest.read(50, 100)
                ingest.settle([self._route(ingest, entry) for entry in entries])
                routed += len(entries)
        return ids

    def _route(self, ingest: Consumer, entry: Entry) -> Outcome:
        (data,) = ingest.fetch([entry])
        assert data is not None
        try:
            header = identify(data)
        except Exception:  # a header that ingest would refuse: here it goes on to the worker
            header = ImageHeader("image/jpeg", 320, 240)
        message = FrameMessage(
            header.media_type, header.width_px, header.height_px, header.orientation, len(data), 0.01
        )
        return Routed(entry, MODEL, message, {"width": header.upright_size[0], "height": header.upright_size[1]})

    def wait_ended(self, ids: list[str], limit_s: float = READY_S) -> dict[str, Job]:
        """Jobs by id, once all have ended."""

        def ended() -> bool:
            return all(self.queue.store.status(job_id) not in ("queued", "running") for job_id in ids)

        until(ended, limit_s, "the end of all jobs")
        return {job_id: self.queue.store.get(job_id) for job_id in ids}

    def consumers(self) -> list[str]:
        """Names in the model's consumer group."""
        rows: list[dict[str, Any]] = self.queue.client.xinfo_consumers(self.queue.key(STREAM), "inference")
        return [row["name"].decode() for row in rows]

    def pending(self) -> int:
        """Entries in workers' hands; 0 before a worker made the group."""
        if not any(group["name"] == b"inference" for group in self.queue.client.xinfo_groups(self.queue.key(STREAM))):
            return 0
        return self.queue.pending(STREAM)

    def close(self) -> None:
        """Kills what still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(10)


@pytest.fixture
def farm(queue: Queue, tmp_path: Path) -> Iterator[Farm]:
    made = Farm(queue, tmp_path)
    yield made
    made.close()


def stop(process: subprocess.Popen[bytes], limit_s: float = 30) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(limit_s)


@pytest.mark.both_servers
def test_pictures_end_with_results_and_the_worker_leaves_nothing_behind(farm: Farm) -> None:
    # Given a ready worker
    process = farm.start()
    (info,) = farm.wait_ready()
    assert (info.model, info.model_version, info.pid) == (MODEL, "1", process.pid)
    # When good and damaged pictures come
    good = [picture(), picture(".png", 640, 480), picture(".webp", 200, 900)]
    cut = picture(width=640, height=480)
    ids = farm.submit(*good, cut[: len(cut) // 2])
    jobs = [farm.wait_ended(ids)[job_id] for job_id in ids]
    # Then each ends as it should
    assert [job.status for job in jobs] == ["done", "done", "done", "failed"]
    result = jobs[0].result
    assert result is not None
    assert result["image"] == {"width_px": 320, "height_px": 240, "orientation": 1}
    assert result["model"] == {"name": MODEL, "version": "1"}
    for gauge in result["gauges"]:
        x0, y0, x1, y1 = gauge["box"]
        assert 0 <= x0 < x1 <= 320
        assert 0 <= y0 < y1 <= 240
        assert gauge["kind"] in ("analog", "digital", "counter")
    assert {"queued", "fetch", "decode", "infer", "publish", "total"} <= set(jobs[0].timings)
    assert jobs[3].error is not None
    assert jobs[3].error["code"] == "truncated"
    # And its metrics tell of them
    with urllib.request.urlopen(info.metrics_url, timeout=10) as answer:
        text = answer.read().decode()
    assert f'drag_inference_images_total{{model="{MODEL}",outcome="done"}} 3.0' in text
    assert f'drag_inference_worker_state{{model="{MODEL}",state="ready"}} 1.0' in text
    until(lambda: farm.workers()[0].stats.get("count") == 3, 10, "statistics in the registry")
    # And on SIGTERM it goes without a trace
    assert stop(process) == 0, farm.log()
    assert farm.consumers() == []
    assert farm.workers() == []
    farm.queue.assert_closes()


def test_another_worker_finishes_what_a_killed_one_held(farm: Farm) -> None:
    # Given a worker that holds work: it stands still in the middle of it
    first = farm.start()
    farm.wait_ready()
    first.send_signal(signal.SIGSTOP)
    ids = farm.submit(*[picture(width=320 + 16 * n) for n in range(6)])
    first.send_signal(signal.SIGCONT)
    until(lambda: farm.pending() > 0, 20, "work in the worker's hands")
    first.kill()
    # When another comes
    second = farm.start()
    jobs = farm.wait_ended(ids, 60)
    # Then no job is lost and none has failed
    assert {job.status for job in jobs.values()} == {"done"}
    assert stop(second) == 0, farm.log()
    assert farm.pending() == 0
    farm.queue.assert_closes()


def test_a_worker_that_is_stopped_under_load_costs_no_attempt(farm: Farm) -> None:
    first = farm.start()
    farm.wait_ready()
    ids = farm.submit(*[picture(width=320 + 16 * n) for n in range(30)])
    until(lambda: farm.pending() > 0, 20, "work in the worker's hands")
    # When it is stopped in the middle: what is in flight is finished, the rest stays or is handed back
    assert stop(first) == 0, farm.log()
    assert farm.pending() == 0
    assert farm.consumers() == []
    # Then another does the rest, and nothing counts as a try that failed
    second = farm.start()
    jobs = farm.wait_ended(ids, 60)
    assert {(job.status, job.attempts) for job in jobs.values()} == {("done", 0)}
    assert stop(second) == 0, farm.log()
    farm.queue.assert_closes()


def test_a_worker_outlives_its_server(
    redis_kind: str, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "TEND_EVERY_S", 0.05)
    options = {"appendonly": "yes", "appendfsync": "always"}
    with RedisServer(redis_kind, tmp_path, options=options) as server:
        settings = Settings(redis_url=server.url, models_dir=repository / "models", lease_ms=2000, retry_base_ms=1)
        farm = Farm(Queue(settings), tmp_path)
        try:
            process = farm.start()
            farm.wait_ready()
            before = farm.submit(picture())
            farm.wait_ended(before)
            # When the server is killed under load and comes back
            during = farm.submit(*[picture(width=320 + 16 * n) for n in range(8)])
            server.kill()
            server.start()
            farm.wait_ended(during, 60)
            # Then the same worker has done it all, and is ready
            after = farm.submit(picture())
            jobs = farm.wait_ended(before + during + after)
            assert {job.status for job in jobs.values()} == {"done"}
            assert process.poll() is None, farm.log()
            farm.wait_ready()
            farm.queue.assert_closes()
        finally:
            farm.close()
            farm.queue.close()


def test_a_model_that_is_wrong_ends_the_worker_with_words(farm: Farm, tmp_path: Path) -> None:
    process = farm.start("no-such-model")
    assert process.wait(READY_S) == 2
    assert "no model 'no-such-model' in" in farm.log()
    # And one whose file is another: the registry keeps the reason for diagnostics
    folder = tmp_path / "models" / MODEL / "1"
    folder.mkdir(parents=True)
    shipped = farm.queue.settings.models_dir / MODEL / "1"
    (folder / "model.toml").write_text((shipped / "model.toml").read_text())
    (folder / "model.onnx").write_bytes(b"another")
    process = farm.start(DRAG_MODELS_DIR=str(tmp_path / "models"))
    assert process.wait(READY_S) == 2
    (info,) = farm.workers()
    assert info.state == "failed"
    assert "has SHA-256" in info.reason
