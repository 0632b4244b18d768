"""What `drag doctor` looks at: each check says what it saw and, when that is not right, the fix."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from drag_launcher.plan import api_address, models_to_serve
from drag_launcher.processes import port_holder, port_is_free
from drag_launcher.readiness import readiness
from drag_shared.config import GIB, MIB, Settings, variable
from drag_shared.errors import ConfigError

_OLDEST_GLIBC = (2, 28)
_WORKER_BYTES = 400 * MIB
"""Memory that a worker with a model takes, with some room."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's answer.

    Attributes:
        what: the subject.
        level: `ok`, `warning` (works, with a drawback) or `error` (will not work).
        saw: what was seen.
        fix: what to do; empty when all is well.
    """

    what: str
    level: Literal["ok", "warning", "error"]
    saw: str
    fix: str = ""


Check = Callable[[Settings], Iterator[Finding]]


def python(settings: Settings) -> Iterator[Finding]:
    """The interpreter and the C library."""
    saw = f"{platform.python_version()} ({sys.executable})"
    if (3, 11) <= sys.version_info < (3, 14):
        yield Finding("Python", "ok", saw)
    else:
        yield Finding("Python", "error", saw, "use 3.11, 3.12 or 3.13: make clean, then make PYTHON=python3.12 env")
    library, release = platform.libc_ver()
    if library == "glibc":
        old = tuple(int(part) for part in release.split(".")[:2]) < _OLDEST_GLIBC
        fix = "use a system with glibc 2.28 or later" if old else ""
        yield Finding("glibc", "error" if old else "ok", release, fix)


def ports(settings: Settings) -> Iterator[Finding]:
    """Whether the API and the page can listen."""
    for field in ("api_port", "viewer_port"):
        port: int = getattr(settings, field)
        what = f"port {port}"
        try:
            if port_is_free(settings.host, port):
                yield Finding(what, "ok", f"free on {settings.host}")
                continue
        except OSError as error:
            yield Finding(what, "error", f"{settings.host}: {error}", f"set DRAG_HOST or {variable(field)}")
            continue
        holder = port_holder(port)
        if holder and "drag_" in holder.command:
            yield Finding(what, "ok", f"DRAG runs there (pid {holder.pid})")
        else:
            saw = f"taken by {holder or 'a process that is not visible to this user'}"
            yield Finding(what, "error", saw, f"stop it, or set {variable(field)}={port + 10}")


def running(settings: Settings) -> Iterator[Finding]:
    """Whether a running DRAG is ready."""
    missing = readiness(api_address(settings))
    if missing is None:
        yield Finding("API", "ok", f"ready at {api_address(settings)}")
    elif missing == "the API is starting":  # nothing listens
        yield Finding("API", "ok", "not running; `make run` or `drag run` starts it")
    else:
        yield Finding("API", "warning", f"not ready: {missing}", f"see {api_address(settings)}/v1/diagnostics")


def memory(settings: Settings) -> Iterator[Finding]:
    """Room for the embedded server and the workers."""
    available = available_memory()
    if available is None:
        return
    try:
        workers = len(models_to_serve(settings)) * settings.inference_workers
    except ConfigError:
        workers = settings.inference_workers
    embedded = 0 if settings.redis_url else settings.maxmemory_bytes
    needed = embedded + workers * _WORKER_BYTES
    saw = f"{available / GIB:.1f} GiB available, up to {needed / GIB:.1f} GiB needed"
    if available >= needed:
        yield Finding("memory", "ok", saw)
    else:
        fix = "lower DRAG_MAXMEMORY_BYTES with DRAG_MAX_OPEN_BYTES, or DRAG_INFERENCE_WORKERS"
        yield Finding("memory", "warning", saw, fix)
    overcommit = Path("/proc/sys/vm/overcommit_memory")
    if not settings.redis_url and overcommit.exists() and overcommit.read_text().strip() != "1":
        fix = "as root: sysctl vm.overcommit_memory=1 (else a rewrite of its file can fail when memory is short)"
        yield Finding("overcommit", "warning", "vm.overcommit_memory is not 1, which the embedded server likes", fix)


def available_memory() -> int | None:
    """Bytes that new processes can have, the control group's bound included; None where nothing tells."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        bound = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if bound != "max":
            found.append(int(bound) - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return min(found, default=None)


def disk(settings: Settings) -> Iterator[Finding]:
    """Room and rights for the embedded server's file."""
    if settings.redis_url:
        return
    place = settings.data_dir.resolve()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        yield Finding("data", "error", f"{place} cannot be written", "set DRAG_DATA_DIR to a place that can")
        return
    free = shutil.disk_usage(place).free
    needed = 2 * settings.maxmemory_bytes  # during a rewrite the old file and the new one are there
    saw = f"{free / GIB:.1f} GiB free at {place}, up to {needed / GIB:.1f} GiB needed"
    fix = "" if free >= needed else "make room, set DRAG_DATA_DIR elsewhere, or lower DRAG_MAXMEMORY_BYTES"
    yield Finding("disk", "warning" if fix else "ok", saw, fix)


def models(settings: Settings) -> Iterator[Finding]:
    """The model repository: every model that is to be served is there and unharmed."""
    try:
        names = models_to_serve(settings)
    except ConfigError as error:
        yield Finding("models", "error", str(error), "set DRAG_MODELS_DIR to the repository's `models` folder")
        return
    for name in names:
        versions = sorted((settings.models_dir / name).glob("*/model.toml"))
        if not versions:
            saw = f"nothing at {settings.models_dir / name}"
            yield Finding(f"model {name}", "error", saw, "put it there, or name others in DRAG_MODELS")
        for declared in versions:
            yield _model(f"model {name}/{declared.parent.name}", declared)


def _model(what: str, declared: Path) -> Finding:
    try:
        config = tomllib.loads(declared.read_text("utf-8"))
        file = declared.parent / str(config.get("file", "model.onnx"))
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Finding(what, "error", str(error), "fetch the model again: git checkout -- models")
    if found != config.get("sha256"):
        saw = f"{file} has the checksum {found[:12]}..., not the declared {str(config.get('sha256'))[:12]}..."
        return Finding(what, "error", saw, "fetch the model again: git checkout -- models")
    return Finding(what, "ok", f"{file.stat().st_size / MIB:.1f} MiB, checksum right")


def backends(settings: Settings) -> Iterator[Finding]:
    """What could run the models, what will, and why."""
    if importlib.util.find_spec("onnxruntime") is None:
        yield Finding("back end", "error", "onnxruntime is not installed", "make env")
        return
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when it is loaded; a check must send nothing anywhere
    import onnxruntime  # only here: it takes a moment, and no other command needs it

    gpus = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    extras = [name for name in ("tensorrt", "pycuda") if importlib.util.find_spec(name)]
    found = [f"onnxruntime {onnxruntime.__version__} ({', '.join(onnxruntime.get_available_providers())})", *extras]
    saw = f"found {'; '.join(found)}; GPUs: {', '.join(gpus) or 'none'}"
    why = "the setting says so" if settings.backend != "auto" else "it is the one that this release has"
    yield Finding("back end", "ok", f"{saw}; onnxruntime-cpu is used, since {why}")
