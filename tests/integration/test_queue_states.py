"""States of a server that pass by themselves: read-only, loading, failing disk, away; each is `Unavailable`."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.support.queue import FRAMES, Queue, complete, patiently, read_until, route_all, until, upload
from tests.support.servers import RedisServer

from drag_shared.consumer import Consumer
from drag_shared.errors import ConfigError, Unavailable
from drag_shared.outcomes import Advanced, Entry
from drag_shared.redis_client import Link

pytestmark = [pytest.mark.integration, pytest.mark.both_servers]


def steps(queue: Queue, worker: Consumer, held: list[Entry]) -> dict[str, Callable[[], object]]:
    return {
        "accept": lambda: queue.store.accept([upload()]),
        "settle": lambda: worker.settle([Advanced(held[0], {}, {})]),
        "read": lambda: worker.read(1, 10),
        "renew": worker.renew,
        "delete": lambda: queue.store.delete(held[0].job_id),
    }


def test_a_read_only_replica_is_unavailable(queue: Queue, free_port: int) -> None:
    queue.framed()
    worker = queue.consumer(FRAMES)
    held = read_until(worker)
    queue.client.config_set("replica-serve-stale-data", "yes")
    queue.client.replicaof("127.0.0.1", free_port)
    for step in steps(queue, worker, held).values():
        with pytest.raises(Unavailable):
            step()
    assert worker.held == 1
    queue.client.replicaof("NO", "ONE")
    patiently(lambda: worker.settle([complete(held[0])]))
    queue.assert_closes()


def test_a_server_that_cannot_write_its_disk_is_unavailable(queue: Queue, redis_server: RedisServer) -> None:
    """MISCONF: the last background save failed."""
    queue.framed()
    worker = queue.consumer(FRAMES)
    held = read_until(worker)
    queue.client.config_set("save", "3600 1")
    (redis_server.directory / "dump.rdb").mkdir()  # a directory where the file should be
    queue.client.bgsave()
    until(lambda: queue.client.info("persistence")["rdb_last_bgsave_status"] == "err")
    for name in ("accept", "settle", "renew"):
        with pytest.raises(Unavailable):
            steps(queue, worker, held)[name]()
    queue.client.config_set("stop-writes-on-bgsave-error", "no")
    worker.settle([complete(held[0])])
    queue.assert_closes()


def test_a_server_that_loads_its_data_is_unavailable_until_it_is_done(queue: Queue, redis_server: RedisServer) -> None:
    queue.accept(40, 20_000)
    queue.client.save()
    redis_server.kill()
    redis_server.options |= {"key-load-delay": "5000", "loading-process-events-interval-bytes": "1024"}
    seen: set[str] = set()
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(redis_server.start)
        link = Link(queue.settings.redis_url)
        while not starting.done():
            try:
                link.ask("hgetall", queue.key("ledger"), patience_s=0)
            except Unavailable as error:
                seen.add(type(error.__cause__).__name__)
        starting.result()
        link.close()
    assert "BusyLoadingError" in seen, f"the server was never seen loading: {seen}"
    assert patiently(queue.counters)["accepted"] == 40
    queue.assert_closes()


def test_scripts_come_back_after_the_server_forgot_them(queue: Queue) -> None:
    queue.accept(2)
    with queue.using("uploads") as ingest, queue.using(FRAMES) as worker:
        queue.client.script_flush()
        route_all(ingest, 2)
        queue.client.script_flush()
        entries = read_until(worker, 2)
        queue.client.script_flush()
        worker.settle([complete(entry) for entry in entries])
    queue.assert_closes()


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_refused_login_is_a_matter_of_configuration(queue: Queue, redis_server: RedisServer, password: str) -> None:
    queue.client.config_set("requirepass", "secret-word")
    login = f":{password}@" if password else ""
    link = Link(f"redis://{login}127.0.0.1:{redis_server.port}")
    with pytest.raises(ConfigError, match="DRAG_REDIS_URL") as refused:
        link.ask("ping", patience_s=5)
    assert "wrong" not in str(refused.value).replace("WRONGPASS", "") or not password
    link.close()


def test_everything_says_unavailable_while_nothing_listens(
    queue: Queue, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drag_shared.consumer.CLOSE_PATIENCE_S", 0.5)
    queue.framed()
    worker = queue.consumer(FRAMES)
    held = read_until(worker)
    redis_server.kill()
    for name, step in steps(queue, worker, held).items():
        started = time.monotonic()
        with pytest.raises(Unavailable) as error:
            step()
        assert time.monotonic() - started < 4, f"{name} waited too long"
        assert error.value.retry_after_s > 0
    started = time.monotonic()
    worker.close()
    assert time.monotonic() - started < 3
