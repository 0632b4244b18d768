"""Which processes `drag run` starts, with which settings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drag_launcher import plan
from drag_shared.config import Settings, load_settings
from drag_shared.errors import ConfigError


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    (tmp_path / "pipelines.toml").write_text('[gauges]\nfirst = "gauge-detector"\n[other]\nfirst = "other-model"\n')
    return tmp_path


def test_each_service_is_a_process_told_by_its_command_line(models_dir: Path) -> None:
    settings = Settings(redis_url="redis://h", models_dir=models_dir, inference_workers=2, ingest_workers=2)
    commands = {spec.name: spec.argv[1:] for spec in plan.children(settings, None)}
    assert commands == {
        "api": ("-m", "drag_api"),
        "viewer": ("-m", "drag_viewer"),
        "ingest.1": ("-m", "drag_ingest"),
        "ingest.2": ("-m", "drag_ingest"),
        "inference:gauge-detector.1": ("-m", "drag_inference", "--model", "gauge-detector"),
        "inference:gauge-detector.2": ("-m", "drag_inference", "--model", "gauge-detector"),
        "inference:other-model.1": ("-m", "drag_inference", "--model", "other-model"),
        "inference:other-model.2": ("-m", "drag_inference", "--model", "other-model"),
    }
    assert {spec.argv[0] for spec in plan.children(settings, None)} == {sys.executable}


def test_services_get_the_settings_and_nothing_else_of_ours(models_dir: Path, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "d", models_dir=models_dir, api_port=7000)
    env = plan.service_environment(settings, {"PATH": "/bin", "DRAG_ENV_FILE": "x", "DRAG_API_PORT": "1"})
    assert env["PATH"] == "/bin"
    assert "DRAG_ENV_FILE" not in env
    inherited = load_settings(env)
    assert inherited.api_port == 7000
    assert inherited.redis_url == f"unix://{tmp_path}/d/valkey.sock"
    assert inherited.models_dir.is_absolute()


def test_named_models_alone_are_served_once_each(models_dir: Path) -> None:
    assert plan.models_to_serve(Settings(models_dir=models_dir)) == ["gauge-detector", "other-model"]
    assert plan.models_to_serve(Settings(models_dir=models_dir, models=" a, b,a ")) == ["a", "b"]
    with pytest.raises(ConfigError, match="DRAG_MODELS"):
        plan.models_to_serve(Settings(models_dir=models_dir, models=" , "))


def test_a_service_gets_more_time_to_stop_than_it_takes_to_drain(models_dir: Path) -> None:
    settings = Settings(redis_url="redis://h", models_dir=models_dir, drain_s=7)
    assert all(spec.stop_s > 7 for spec in plan.children(settings, None))


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("fd00::1", "[fd00::1]"), ("box", "box")],
)
def test_addresses_are_ones_that_a_browser_here_can_open(host: str, address: str) -> None:
    assert plan.api_address(Settings(host=host)) == f"http://{address}:5000"
