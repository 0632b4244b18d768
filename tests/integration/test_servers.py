"""The servers that integration tests stand on are real, fresh, fast and of two major versions."""

from __future__ import annotations

import time

import pytest
from tests.support.servers import RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.both_servers]


def test_each_kind_is_the_version_it_claims(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        info = client.info("server")
        assert client.dbsize() == 0
    version = info.get("valkey_version") or info["redis_version"]
    assert int(version.split(".")[0]) == {"valkey": 9, "redis": 7}[redis_server.kind]


def test_a_killed_server_comes_back_at_the_same_address(redis_server: RedisServer) -> None:
    url = redis_server.url
    redis_server.kill()
    redis_server.start()
    assert redis_server.url == url
    with redis_server.client() as client:
        assert client.ping()


def test_a_server_is_up_fast(redis_server: RedisServer) -> None:
    redis_server.kill()
    started = time.monotonic()
    redis_server.start()
    assert time.monotonic() - started < 2  # 15 to 45 ms alone; other work may share the cores
