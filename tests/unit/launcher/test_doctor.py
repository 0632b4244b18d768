"""`drag doctor`: each thing that is not right is told with its fix, and decides the exit status."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest
from tests.support.servers import RedisServer

from drag_launcher import checks, doctor, redis_checks
from drag_launcher.checks import Finding
from drag_shared.cli import main
from drag_shared.config import GIB, MIB, Settings


def only(findings: list[Finding], what: str) -> Finding:
    (found,) = [finding for finding in findings if finding.what == what]
    return found


def test_a_good_machine_is_exit_status_0(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as a, socket.socket() as b:
        for probe in (a, b):
            probe.bind(("127.0.0.1", 0))
        ports = [a.getsockname()[1], b.getsockname()[1]]
    monkeypatch.setenv("DRAG_API_PORT", str(ports[0]))
    monkeypatch.setenv("DRAG_VIEWER_PORT", str(ports[1]))
    monkeypatch.setenv("DRAG_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DRAG_MODELS_DIR", str(repository / "models"))
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert [finding for finding in findings if finding["level"] == "error"] == []
    assert {"settings", "Python", "Redis", "back end", "API"} <= {finding["what"] for finding in findings}
    assert main(["doctor"]) == 0
    assert "onnxruntime-cpu is used" in capsys.readouterr().out


def test_wrong_settings_and_a_taken_port_are_exit_status_1_with_fixes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRAG_API_PROT", "1")
    assert main(["doctor"]) == 1
    assert "did you mean DRAG_API_PORT?" in capsys.readouterr().out
    monkeypatch.delenv("DRAG_API_PROT")
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        line.listen()
        monkeypatch.setenv("DRAG_API_PORT", str(line.getsockname()[1]))
        assert main(["doctor"]) == 1
    assert "fix: stop it, or set DRAG_API_PORT=" in capsys.readouterr().out


def test_every_finding_that_is_not_ok_has_a_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAG_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("DRAG_REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("DRAG_HOST", "192.0.2.1")
    findings = list(doctor.examine())
    assert {finding.what for finding in findings if finding.level == "error"} >= {"Redis", "models", "port 5000"}
    assert [finding for finding in findings if finding.level != "ok" and not finding.fix] == []


def test_a_damaged_or_missing_model_is_an_error(tmp_path: Path, repository: Path) -> None:
    shutil.copytree(repository / "models", tmp_path / "models")
    settings = Settings(models_dir=tmp_path / "models")
    assert {finding.level for finding in checks.models(settings)} == {"ok"}
    file = next((tmp_path / "models" / "gauge-detector").glob("*/model.onnx"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert any(f.level == "error" and "checksum" in f.saw for f in checks.models(settings))
    shutil.rmtree(tmp_path / "models" / "gauge-detector")
    assert any(f.level == "error" and "nothing at" in f.saw for f in checks.models(settings))


def test_little_memory_and_little_disk_are_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "available_memory", lambda: 100 * MIB)
    settings = Settings(data_dir=tmp_path)
    assert only(list(checks.memory(settings)), "memory").level == "warning"
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(GIB, GIB, 0))  # type: ignore[attr-defined]
    assert only(list(checks.disk(settings)), "disk").level == "warning"


@pytest.mark.integration
@pytest.mark.both_servers
def test_persistence_and_memory_of_redis_are_held_against_the_settings(redis_server: RedisServer) -> None:
    settings = Settings(redis_url=redis_server.url)
    with redis_server.client() as client:
        found = list(redis_checks.server(settings))
        assert only(found, "Redis").level == "ok"
        assert "no append-only file" in only(found, "Redis persistence").saw
        assert only(found, "Redis memory").level == "warning"  # no bound

        client.config_set("appendonly", "yes")
        client.config_set("appendfsync", "everysec")
        client.config_set("maxmemory", 2 * GIB)
        client.config_set("maxmemory-policy", "allkeys-lru")
        found = list(redis_checks.server(settings))
        assert only(found, "Redis persistence").level == "error"
        assert "CONFIG SET appendfsync always" in only(found, "Redis persistence").fix
        assert any("throws jobs away" in finding.saw for finding in found)

        client.config_set("appendfsync", "always")
        client.config_set("maxmemory-policy", "noeviction")
        assert {finding.level for finding in redis_checks.server(settings)} == {"ok"}
        assert {f.level for f in redis_checks.server(settings.model_copy(update={"durability": "everysec"}))} == {"ok"}

        client.config_set("maxmemory", 64 * MIB)
        assert only(list(redis_checks.server(settings)), "Redis memory").level == "warning"


def test_a_password_is_never_shown() -> None:
    (found,) = redis_checks.server(Settings(redis_url="redis://:s3cret@127.0.0.1:1"))
    assert found.level == "error"
    assert "s3cret" not in str(found)
