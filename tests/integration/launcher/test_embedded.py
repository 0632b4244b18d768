"""The embedded server: durable, bounded, private, one for each data directory, and back after a crash."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests.support.supervised import eventually, exists

from drag_launcher import embedded, instance
from drag_launcher.processes import file_holders
from drag_shared.config import MIB, Settings, embedded_socket
from drag_shared.errors import ConfigError

pytestmark = pytest.mark.integration

# What `drag run` does with the server, without the services.
_RUN = """
import json, sys
from drag_launcher import embedded, instance
from drag_launcher.supervisor import Supervisor
from drag_shared.config import load_settings
settings = load_settings(json.loads(sys.argv[1]))
say = lambda text: print(text, flush=True)
lock = instance.take(settings, "http://127.0.0.1:5001", say, 20)
Supervisor([embedded.server_child(settings, lock)], say, (lock,)).run()
"""


def start(env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _RUN, json.dumps(env)], process_group=0)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    assert process.wait(timeout=30) == 0


def connect(settings: Settings) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(embedded_socket(settings)), socket_timeout=5)


def ready(settings: Settings) -> bool:
    return embedded.answering(embedded_socket(settings))() is None


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {
        "DRAG_DATA_DIR": str(tmp_path / "data"),
        "DRAG_MAXMEMORY_BYTES": "96MiB",
        "DRAG_MAX_OPEN_BYTES": "32MiB",
        "DRAG_PICTURE_BUDGET_BYTES": "8MiB",
        "DRAG_RESULT_BUDGET_BYTES": "8MiB",
        "DRAG_DEAD_BUDGET_BYTES": "8MiB",
    }


@pytest.fixture
def settings(env: dict[str, str]) -> Settings:
    from drag_shared.config import load_settings

    return load_settings(env)


@pytest.fixture
def running(env: dict[str, str], settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    process = start(env)
    try:
        assert eventually(lambda: ready(settings))
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=30)


def server_pid(settings: Settings) -> int:
    with connect(settings) as client:
        return int(client.info("server")["process_id"])


def test_it_is_durable_bounded_and_open_to_this_user_alone(
    settings: Settings, running: subprocess.Popen[bytes]
) -> None:
    with connect(settings) as client:
        config = client.config_get("*")
    assert (config["appendonly"], config["appendfsync"]) == ("yes", "always")
    assert (config["maxmemory"], config["maxmemory-policy"]) == (str(96 * MIB), "noeviction")
    assert config["port"] == "0"
    assert embedded_socket(settings).stat().st_mode & 0o077 == 0
    assert (settings.data_dir / "valkey").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("durability", ["always", "everysec"])
def test_the_named_durability_is_what_the_server_does(durability: str, tmp_path: Path) -> None:
    text = embedded.configuration(Settings(data_dir=tmp_path, durability=durability))  # type: ignore[arg-type]
    assert f"appendfsync {durability}\n" in text


def test_a_crash_loses_nothing_and_the_server_comes_back(settings: Settings, running: subprocess.Popen[bytes]) -> None:
    with connect(settings) as client:
        client.set("kept", "yes")
    first = server_pid(settings)
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: not exists(first))
    assert eventually(lambda: ready(settings))
    assert server_pid(settings) != first
    with connect(settings) as client:
        assert client.get("kept") == b"yes"


def test_jobs_are_remembered_over_an_orderly_restart(
    env: dict[str, str], settings: Settings, running: subprocess.Popen[bytes]
) -> None:
    with connect(settings) as client:
        client.set("kept", "yes")
    stop(running)
    again = start(env)
    try:
        assert eventually(lambda: ready(settings))
        with connect(settings) as client:
            assert client.get("kept") == b"yes"
    finally:
        stop(again)


def test_a_second_run_on_the_same_directory_is_refused_in_words(
    settings: Settings, running: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(ConfigError) as caught:
        instance.take(settings, "", print, 5)
    assert f"DRAG runs already on {settings.data_dir} (pid {running.pid})" in str(caught.value)
    assert "http://127.0.0.1:5001" in str(caught.value)
    assert "DRAG_DATA_DIR" in str(caught.value)


def test_after_a_killed_run_the_next_waits_for_its_server_and_finds_the_data(
    env: dict[str, str], settings: Settings, running: subprocess.Popen[bytes]
) -> None:
    with connect(settings) as client:
        client.set("kept", "yes")
    old = server_pid(settings)
    running.kill()
    running.wait(timeout=10)
    again = start(env)
    try:
        assert eventually(lambda: not exists(old))
        assert eventually(lambda: ready(settings))
        assert server_pid(settings) != old
        with connect(settings) as client:
            assert client.get("kept") == b"yes"
    finally:
        stop(again)


def test_two_servers_never_write_to_one_directory_even_when_the_guardian_is_killed_too(
    settings: Settings, running: subprocess.Popen[bytes]
) -> None:
    server = server_pid(settings)
    running.send_signal(signal.SIGSTOP)  # so that it starts no other guardian
    guardians = [holder.pid for holder in file_holders(instance.lock_path(settings)) if "guardian" in holder.command]
    for pid in [*guardians, running.pid]:
        os.kill(pid, signal.SIGKILL)
    running.wait(timeout=10)
    assert guardians
    said: list[str] = []
    with pytest.raises(ConfigError) as caught:
        instance.take(settings, "", said.append, 0.3)
    assert f"pid {server}" in str(caught.value)
    assert said == ["a former run was killed; waiting for its last processes to end"]
    os.kill(server, signal.SIGTERM)
    os.close(instance.take(settings, "", said.append, 20))


def test_a_directory_that_cannot_be_made_is_told_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="DRAG_DATA_DIR"):
        instance.take(Settings(data_dir=tmp_path / "file" / "data"), "", print, 0)


def test_a_machine_without_the_program_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "valkey_binary", lambda: None)
    with pytest.raises(ConfigError, match=r"DRAG_REDIS_URL=redis://127\.0\.0\.1:6379"):
        embedded.server_child(Settings(data_dir=tmp_path), 0)


def test_a_start_takes_well_under_a_second(env: dict[str, str], settings: Settings) -> None:
    started = time.monotonic()
    process = start(env)
    try:
        assert eventually(lambda: ready(settings))
        assert time.monotonic() - started < 5  # 0.6 s alone
    finally:
        stop(process)
