"""Settings: typed, unknown names refused with the nearest right one, secrets masked, documentation in step."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from drag_shared import config_docs
from drag_shared.cli import main
from drag_shared.config import (
    ENV_FILE,
    MIB,
    Settings,
    embedded_socket,
    environment_of,
    load_settings,
    mask_url,
    printable,
    redis_address,
    variable,
)
from drag_shared.errors import ConfigError


def test_an_empty_environment_gives_the_defaults_on_loopback() -> None:
    settings = load_settings({})
    assert settings == Settings()
    assert (settings.host, settings.api_port, settings.viewer_port) == ("127.0.0.1", 5000, 5001)
    assert settings.durability == "always"


def test_the_environment_of_the_process_is_not_read_behind_the_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAG_API_PORT", "7000")
    assert Settings().api_port == 5000
    assert load_settings({}).api_port == 5000
    assert load_settings().api_port == 7000


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("DRAG_API_PROT", "DRAG_API_PORT"),
        ("DRAG_REDIS", "DRAG_REDIS_URL"),
        ("DRAG_MAX_OPEN_JOB", "DRAG_MAX_OPEN_JOBS"),
        ("DRAG_viewer_port", "DRAG_VIEWER_PORT"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_right_one(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} .*did you mean {nearest}\?"):
        load_settings({name: "1"})


def test_all_unknown_names_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({"DRAG_HOSTS": "a", "DRAG_MODELSDIR": "b"})
    assert "DRAG_HOSTS" in str(caught.value)
    assert "DRAG_MODELSDIR" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DRAG_API_PORT", "http", "valid integer"),
        ("DRAG_API_PORT", "70000", "65535"),
        ("DRAG_DURABILITY", "sometimes", "'always' or 'everysec'"),
        ("DRAG_MAX_OPEN_BYTES", "12 parsecs", "size in bytes"),
        ("DRAG_REDIS_URL", "http://example", "redis://"),
        ("DRAG_INGEST_WORKERS", "0", "greater than or equal to 1"),
        ("DRAG_VIEWER_PORT", "5000", "set DRAG_VIEWER_PORT"),
        ("DRAG_RETRY_BASE_MS", "60000", "retry_max_ms"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_name(name: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({name: value})
    assert name.removeprefix("DRAG_").lower() in str(caught.value).lower()
    assert expected in str(caught.value)


@pytest.mark.parametrize(("text", "size"), [("1073741824", 1024 * MIB), ("1GiB", 1024 * MIB), ("1024 mb", 1024 * MIB)])
def test_sizes_can_carry_a_unit(text: str, size: int) -> None:
    assert load_settings({"DRAG_MAXMEMORY_BYTES": text}).maxmemory_bytes == size


def test_budgets_must_fit_into_the_embedded_server() -> None:
    with pytest.raises(ConfigError, match="DRAG_MAXMEMORY_BYTES"):
        load_settings({"DRAG_MAX_OPEN_BYTES": "2GiB"})
    assert load_settings({"DRAG_MAX_OPEN_BYTES": "2GiB", "DRAG_REDIS_URL": "redis://elsewhere"}).max_open_bytes


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().api_port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:s3cret@host:1", "redis://:***@host:1"),
        ("rediss://me:s3cret@host:1/0", "rediss://me:***@host:1/0"),
        ("unix:///run/r.sock?password=s3cret&db=1", "unix:///run/r.sock?password=***&db=1"),
        ("redis://host?password=s3cret", "redis://host?password=***"),
        ("redis://host:6379", "redis://host:6379"),
        ("redis://:s3#cr/e?t@host", "redis://:***@host"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("", ""),
    ],
)
def test_passwords_in_addresses_are_masked(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_no_way_of_printing_settings_shows_a_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAG_REDIS_URL", "redis://:s3cret@host")
    settings = load_settings()
    assert main(["config"]) == 0
    assert main(["config", "--json"]) == 0
    printed = capsys.readouterr().out + repr(settings) + str(settings) + json.dumps(printable(settings))
    assert "redis://:***@host" in printed
    assert "s3cret" not in printed
    with pytest.raises(ConfigError) as caught:
        load_settings({"DRAG_REDIS_URL": "http://:s3cret@host", "DRAG_API_PORT": "x"})
    assert "s3cret" not in str(caught.value)


def test_drag_config_says_where_each_value_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "drag.env"
    file.write_text("# mine\nDRAG_API_PORT=7000\nDRAG_HOST=0.0.0.0\n")
    monkeypatch.setenv(ENV_FILE, str(file))
    monkeypatch.setenv("DRAG_HOST", "::1")
    assert main(["config", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["DRAG_API_PORT"] == {"name": "DRAG_API_PORT", "value": 7000, "source": str(file)}
    assert rows["DRAG_HOST"] == {"name": "DRAG_HOST", "value": "::1", "source": "environment"}
    assert rows["DRAG_LEASE_MS"]["source"] == "default"


def test_an_empty_value_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("DRAG_API_PORT=7000\nDRAG_HOST=\n")
    settings = load_settings({ENV_FILE: str(tmp_path / "env"), "DRAG_API_PORT": "", "DRAG_LEASE_MS": ""})
    assert (settings.api_port, settings.host, settings.lease_ms) == (7000, "127.0.0.1", 15_000)
    with pytest.raises(ConfigError):
        load_settings({"DRAG_NO_SUCH_THING": ""})


def test_a_file_that_is_not_there_or_has_a_wrong_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_settings({ENV_FILE: str(tmp_path / "none")})
    (tmp_path / "env").write_text("DRAG_HOTS=1\n")
    with pytest.raises(ConfigError, match="did you mean DRAG_HOST"):
        load_settings({ENV_FILE: str(tmp_path / "env")})


def test_a_child_process_gets_the_very_settings() -> None:
    settings = Settings(redis_url="redis://:p@h", data_dir=Path("/d"), api_port=1, models="a,b", max_open_jobs=7)
    assert load_settings(environment_of(settings)) == settings


def test_the_embedded_server_is_found_without_being_told(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert redis_address(settings) == f"unix://{tmp_path}/valkey.sock"
    assert redis_address(Settings(redis_url="redis://h")) == "redis://h"


def test_a_deep_data_directory_gets_a_short_socket(tmp_path: Path) -> None:
    deep = Settings(data_dir=tmp_path / ("x" * 120))
    other = Settings(data_dir=tmp_path / ("y" * 120))
    assert len(str(embedded_socket(deep))) <= 103
    assert embedded_socket(deep) != embedded_socket(other)


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_example_file_is_complete_and_means_the_defaults(repository: Path) -> None:
    text = (repository / config_docs.EXAMPLE).read_text()
    assert text == config_docs.example(), "run `make docs`"
    named = re.findall(r"^#(DRAG_[A-Z_]+)=(.*)$", text, re.MULTILINE)
    assert [name for name, _ in named] == [variable(name) for name in Settings.model_fields]
    assert load_settings(dict(named)) == Settings()


def test_the_page_of_the_documentation_is_in_step(repository: Path) -> None:
    assert (repository / config_docs.PAGE).read_text() == config_docs.page(), "run `make docs`"
