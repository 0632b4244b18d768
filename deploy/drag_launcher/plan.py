"""Which processes make a DRAG on one machine, from its settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from drag_launcher import embedded
from drag_launcher.supervisor import ChildSpec
from drag_shared.config import Settings, environment_of, redis_address
from drag_shared.errors import ConfigError
from drag_shared.pipelines import load_pipelines

_SLACK_S = 5.0
"""Beyond its own drain deadline a service gets this long to end before it is killed."""


def local_address(host: str) -> str:
    """The host under which this machine reaches a server that listens on `host`."""
    if host in ("0.0.0.0", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def api_address(settings: Settings) -> str:
    """URL of the API as this machine reaches it."""
    return f"http://{local_address(settings.host)}:{settings.api_port}"


def page_address(settings: Settings) -> str:
    """URL of the page as this machine reaches it."""
    return f"http://{local_address(settings.host)}:{settings.viewer_port}"


def models_to_serve(settings: Settings) -> list[str]:
    """Names of the models that get workers.

    Raises:
        ConfigError: there is none.
    """
    if settings.models:
        names = [name.strip() for name in settings.models.split(",") if name.strip()]
    else:
        names = [pipeline.first for pipeline in load_pipelines(settings.models_dir).values()]
    if not names:
        raise ConfigError(f"no models: neither DRAG_MODELS nor {settings.models_dir}/pipelines.toml names one")
    return list(dict.fromkeys(names))


def service_settings(settings: Settings) -> Settings:
    """The settings that services get: the Redis is known, and paths do not depend on where they start."""
    return settings.model_copy(
        update={
            "redis_url": redis_address(settings),
            "data_dir": settings.data_dir.resolve(),
            "models_dir": settings.models_dir.resolve(),
        }
    )


def service_environment(settings: Settings, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a service: this one's, with exactly these settings."""
    base = os.environ if base is None else base
    kept = {name: value for name, value in base.items() if not name.startswith("DRAG_")}
    return {**kept, **environment_of(service_settings(settings)), "PYTHONUNBUFFERED": "1"}


def children(settings: Settings, lock: int | None) -> list[ChildSpec]:
    """All processes: the embedded server first when no Redis is set, then the services.

    Args:
        settings: the settings in force.
        lock: descriptor of the data directory's lock; needed for the embedded server.
    """
    specs = [] if lock is None else [embedded.server_child(settings, lock)]
    env = service_environment(settings)

    def add(name: str, module: str, *arguments: str) -> None:
        argv = (sys.executable, "-m", module, *arguments)
        specs.append(ChildSpec(name=name, argv=argv, env=env, stop_s=settings.drain_s + _SLACK_S))

    add("api", "drag_api")
    add("viewer", "drag_viewer")
    for number in range(settings.ingest_workers):
        add(_numbered("ingest", number, settings.ingest_workers), "drag_ingest")
    for model in models_to_serve(settings):
        for number in range(settings.inference_workers):
            name = _numbered(f"inference:{model}", number, settings.inference_workers)
            add(name, "drag_inference", "--model", model)
    return specs


def _numbered(name: str, number: int, of: int) -> str:
    return name if of == 1 else f"{name}.{number + 1}"
