"""An ingest worker whose Redis goes away between any two of its round trips routes what it holds all the same."""

from __future__ import annotations

import pytest
from tests.support.cutter import Cutter
from tests.support.queue import Queue, until
from tests.support.servers import RedisServer

from drag_ingest.worker import IngestWorker
from drag_shared import scripts
from drag_shared.errors import Unavailable
from drag_shared.jobs import Upload
from drag_shared.metrics import Metrics
from drag_shared.pipelines import load_pipelines

pytestmark = [pytest.mark.integration, pytest.mark.both_servers]


@pytest.mark.parametrize("word", ["XREADGROUP", "headers", "route"])
def test_a_reply_lost_at_any_step_delays_nobody(queue: Queue, redis_server: RedisServer, word: str) -> None:
    picture = (queue.settings.models_dir.parent / "tests/photos/dial-ylabo.jpg").read_bytes()
    pipelines = load_pipelines(queue.settings.models_dir)
    with Cutter(redis_server.port) as cutter:
        seen_through = queue.settings.model_copy(update={"redis_url": cutter.url, "lease_ms": 60_000})
        consumer = queue.consumer("uploads", settings=seen_through)
        worker = IngestWorker(consumer, pipelines, 50_000_000, Metrics())
        assert worker.step(1) == 0
        for name in ("headers", "route", "tend"):
            queue.client.script_load(scripts.load(name).source)
        (job,) = queue.store.accept([Upload(picture, "a.jpg", "image/jpeg", 640, 480, "gauges")])
        sign = word if word == "XREADGROUP" else scripts.load(word).sha
        cutter.cut_after(answers=0, word=sign.encode())
        with pytest.raises(Unavailable):
            worker.step(100)
        assert cutter.cuts == 1

        def routed() -> bool:
            worker.step(1)
            return queue.store.status(job.id) == "running"

        until(routed, 5)
        assert consumer.held == 0
        assert queue.store.get(job.id).attempts == 0
        consumer.close()
    queue.assert_closes()
