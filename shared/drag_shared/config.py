"""The one configuration of DRAG: `DRAG_*` variables, typed, read once at the start and passed down."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from drag_shared.errors import ConfigError

PREFIX = "DRAG_"
ENV_FILE = "DRAG_ENV_FILE"
"""Names a file of `DRAG_*=value` lines; what the environment sets wins over it."""

KIB, MIB, GIB = 1024, 1024**2, 1024**3
_UNITS = {
    "": 1,
    "b": 1,
    "k": KIB,
    "kib": KIB,
    "kb": KIB,
    "m": MIB,
    "mib": MIB,
    "mb": MIB,
    "g": GIB,
    "gib": GIB,
    "gb": GIB,
}
_LONGEST_SOCKET = 103
"""Bytes that every system allows in the path of a Unix socket."""
_REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")


def _bytes(value: Any) -> Any:
    """Reads `512MiB`, `512 m` or `536870912`; other types pass to pydantic."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+)\s*([A-Za-z]*)\s*", value)
    if not found or found[2].lower() not in _UNITS:
        raise ValueError(f"expected a size in bytes like 536870912 or 512MiB, not {value!r}")
    return int(found[1]) * _UNITS[found[2].lower()]


Size = Annotated[int, BeforeValidator(_bytes)]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    """All settings; every service gets one of these from its `main` and never reads the environment itself."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX, hide_input_in_errors=True)

    redis_url: str = Field(
        "",
        description="The Redis or Valkey to use: redis://HOST:PORT, rediss://..., unix:///path, redis+cluster://HOST:PORT."
        " Empty: `drag run` starts an embedded Valkey and sets it for the services.",
    )
    data_dir: Path = Field(
        Path(".drag"), description="Where the embedded server keeps its data, so that jobs outlive a restart."
    )
    models_dir: Path = Field(
        Path("models"), description="The model repository: NAME/VERSION/model.onnx, and pipelines.toml."
    )
    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address that the API and the page listen on; 0.0.0.0 opens them to the network.",
    )
    api_port: Port = Field(5000, description="Port of the API.")
    viewer_port: Port = Field(5001, description="Port of the page.")
    api_url: str = Field(
        "",
        description="How browsers reach the API; empty: the page's own host with DRAG_API_PORT."
        " Behind a proxy on this machine set it, so that the API knows that name for itself.",
    )
    viewer_origin: str = Field(
        "",
        description="Origin of the page that may call the API from a browser (CORS), several with commas;"
        " empty: the page's own loopback origins.",
    )
    api_processes: Count = Field(1, description="Processes of the API.")
    api_threads: Count = Field(32, description="Threads of each API process; a waiting poll holds one.")
    viewer_processes: Count = Field(1, description="Processes of the page's server.")
    viewer_threads: Count = Field(16, description="Threads of each process of the page's server.")
    ingest_workers: Count = Field(1, description="Processes that identify and route uploads.")
    inference_workers: Count = Field(1, description="Processes for each model.")
    inference_threads: int = Field(
        0, ge=0, description="Inferences at once in each process, each on one core; 0: cores divided by processes."
    )
    durability: Literal["always", "everysec"] = Field(
        "always",
        description="always: nothing acknowledged is lost when Redis is killed; everysec: up to about a second is.",
    )
    partitions: int = Field(
        1, ge=1, le=1024, description="Hash slots that jobs spread over (Redis Cluster); it is stored and only grows."
    )
    max_open_jobs: Count = Field(10_000, description="Unfinished jobs after which the API answers 429.")
    max_open_bytes: Size = Field(
        512 * MIB, ge=1, description="Bytes of unfinished pictures after which the API answers 429."
    )
    maxmemory_bytes: Size = Field(
        GIB, ge=64 * MIB, description="Memory bound of the embedded server (it never evicts)."
    )
    max_upload_bytes: Size = Field(32 * MIB, ge=1, description="Largest request body.")
    max_files: Count = Field(32, description="Most files in one request.")
    max_pixels: Count = Field(50_000_000, description="Largest picture, width times height, told from its header.")
    result_ttl_s: Count = Field(86_400, description="How long ended jobs are remembered, in seconds.")
    picture_budget_bytes: Size = Field(
        128 * MIB, ge=0, description="Bytes kept of ended jobs' pictures, oldest dropped first."
    )
    result_budget_bytes: Size = Field(
        64 * MIB, ge=0, description="Bytes kept of ended jobs' results, oldest dropped first."
    )
    dead_budget_bytes: Size = Field(64 * MIB, ge=0, description="Bytes kept of dead letters, oldest dropped first.")
    idempotency_ttl_s: Count = Field(86_400, description="How long an Idempotency-Key is remembered, in seconds.")
    max_attempts: Count = Field(3, description="Tries before a job goes to the dead letters.")
    max_hand_backs: Count = Field(
        20, description="Uncounted hand-backs (drains, device faults) before one counts as a try."
    )
    lease_ms: int = Field(
        15_000, ge=300, description="How long a worker may be silent before others take its work, in milliseconds."
    )
    retry_base_ms: Count = Field(
        500, description="First pause before a retry, in milliseconds; it doubles, with jitter."
    )
    retry_max_ms: Count = Field(30_000, description="Longest pause before a retry, in milliseconds.")
    drain_s: int = Field(20, ge=0, description="How long a stopping process may finish its work, in seconds.")
    pipeline: str = Field("gauges", min_length=1, description="Pipeline of uploads that name none.")
    models: str = Field("", description="Models to serve, with commas between; empty: all that the pipelines name.")
    backend: Literal["auto", "onnxruntime-cpu"] = Field("auto", description="What runs the models.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe messages that are logged."
    )
    log_format: Literal["text", "json"] = Field("text", description="Lines for people, or one JSON object a line.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Takes values from the constructor alone: `load_settings` is what reads the environment."""
        return (init_settings,)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.redis_url and urlsplit(self.redis_url).scheme not in _REDIS_SCHEMES:
            raise ValueError(
                f"redis_url: expected one of {', '.join(s + '://' for s in _REDIS_SCHEMES)},"
                f" not {mask_url(self.redis_url)}"
            )
        if self.api_port == self.viewer_port:
            raise ValueError(f"api_port and viewer_port are both {self.api_port}; set DRAG_VIEWER_PORT to another")
        if self.retry_base_ms > self.retry_max_ms:
            raise ValueError(f"retry_base_ms ({self.retry_base_ms}) is above retry_max_ms ({self.retry_max_ms})")
        needed = memory_needed(self)
        if not self.redis_url and needed > self.maxmemory_bytes:
            raise ValueError(
                f"max_open_bytes and the budgets for pictures, results and dead letters come to {needed} bytes, more"
                f" than maxmemory_bytes ({self.maxmemory_bytes}); raise DRAG_MAXMEMORY_BYTES or lower them"
            )
        return self

    def __repr__(self) -> str:
        """Never shows a password."""
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in printable(self).items())})"

    __str__ = __repr__


def memory_needed(settings: Settings) -> int:
    """Bytes of pictures, results and dead letters that these settings allow in Redis at once."""
    return (
        settings.max_open_bytes
        + settings.picture_budget_bytes
        + settings.result_budget_bytes
        + settings.dead_budget_bytes
    )


def embedded_socket(settings: Settings) -> Path:
    """Where the embedded server of this data directory listens, running or not."""
    data_dir = settings.data_dir.resolve()
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"drag-{os.getuid()}-{digest}" / "valkey.sock"


def redis_address(settings: Settings) -> str:
    """The Redis to use: the one that is set, else the embedded server of the data directory."""
    return settings.redis_url or f"unix://{embedded_socket(settings)}"


def variable(field: str) -> str:
    """Name of a field's variable, like `DRAG_API_PORT`."""
    return PREFIX + field.upper()


def mask_url(url: str) -> str:
    """The URL with `***` in place of its password, also when it stands in the query (as `unix://` has it)."""
    # By text, not by urlsplit: that loses what a wrongly quoted password spills into other parts.
    url = re.sub(r"^([a-z+]+://[^:/@]*):.*@", r"\1:***@", url, flags=re.IGNORECASE | re.DOTALL)
    return re.sub(r"([?&](?:password|pass|token|secret)=)[^&]*", r"\1***", url, flags=re.IGNORECASE)


def printable(settings: Settings) -> dict[str, object]:
    """Every setting with secrets masked."""
    shown: dict[str, object] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = "***" if value.get_secret_value() else ""
        elif name.endswith("url"):
            value = mask_url(value)
        elif isinstance(value, Path):
            value = str(value)
        shown[name] = value
    return shown


def read_environment(env: Mapping[str, str] | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """Collects what the environment, and the file it may name, say; an empty value says nothing.

    Args:
        env: the environment; the process's own when not given.

    Returns:
        Raw values and sources (`environment` or the file's path), both by field name.

    Raises:
        ConfigError: a `DRAG_*` name is not known, or the file cannot be read.
    """
    env = os.environ if env is None else env
    found: dict[str, tuple[str, str]] = {}
    path = env.get(ENV_FILE)
    if path:
        if not Path(path).is_file():
            raise ConfigError(f"{ENV_FILE}={path}: there is no such file")
        found.update(
            {k: (v or "", path) for k, v in dotenv_values(path, interpolate=False).items() if k.startswith(PREFIX)}
        )
    ours = {k: v for k, v in env.items() if k.startswith(PREFIX) and k != ENV_FILE}
    found.update({k: (v, "environment") for k, v in ours.items() if v or k not in found})
    known = {variable(name): name for name in Settings.model_fields}
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise ConfigError("; ".join(_unknown(name, found[name][1], list(known)) for name in unknown))
    said = {known[name]: entry for name, entry in found.items() if entry[0]}
    return {field: value for field, (value, _) in said.items()}, {field: source for field, (_, source) in said.items()}


def _unknown(name: str, source: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.0)
    return f"{name} ({source}) is not a setting; did you mean {near[0]}? `drag config` lists all"


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from the environment.

    Args:
        env: the environment; the process's own when not given.

    Raises:
        ConfigError: a name is not known, or a value is not allowed; the text names each with the fix.
    """
    values, _ = read_environment(env)
    try:
        return Settings(**values)  # type: ignore[arg-type]  # pydantic reads the text
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(detail, values) for detail in error.errors())) from None


def _explain(detail: Any, values: Mapping[str, str]) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    field = str(detail["loc"][0])
    shown = mask_url(values[field]) if field.endswith("url") else repr(values.get(field, ""))
    return f"{variable(field)}={shown}: {message}"


def environment_of(settings: Settings) -> dict[str, str]:
    """The `DRAG_*` variables that give a child process these very settings."""
    return {variable(name): str(getattr(settings, name)) for name in type(settings).model_fields}
