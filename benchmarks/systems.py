"""What is measured: DRAG, FastAPI with the model in process, Celery, the bound; each started, loaded, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import Usage, command_line, running, tree, usage, wait_for
from benchmarks.server import server

REPOSITORY = Path(__file__).resolve().parent.parent
PEER_PYTHON = REPOSITORY / ".venv-bench" / "bin" / "python"
PROCESSES = 2  # that infer, each with one thread


@dataclass(frozen=True)
class Bench:
    """What all runs share.

    Attributes:
        photos: what is sent.
        models: folders of model repositories by name, `shipped` and `noop`.
        scratch: for files of one run.
        seconds: length of the measured window.
        warm_up_s: load before it.
        clients: how many send at once.
    """

    photos: list[Path]
    models: dict[str, Path]
    scratch: Path
    seconds: float
    warm_up_s: float
    clients: int = 16


@dataclass(frozen=True)
class System:
    """One thing to measure.

    Attributes:
        name: `bound`, `drag`, `fastapi` or `celery`.
        model: `shipped` or `noop`.
        persistence: of its Valkey; empty where it has none.
        options: more environment for its processes.
    """

    name: str
    model: str
    persistence: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """Its name in tables."""
        more = [self.persistence] if self.persistence else []
        more += [value if name == "BENCH_PATH" else f"{name.lower()}={value}" for name, value in self.options]
        return f"{self.name} ({', '.join(more)})" if more else self.name


@dataclass
class Result:
    """What one run gave; `groups` has a `Usage` of the window for each group of processes."""

    system: System
    images: int
    seconds: float
    latencies_ms: list[float]
    groups: dict[str, Usage]
    client_cpu_s: float = 0.0
    polls_per_image: float = 0.0
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Running:
    """A started system: where it listens, and its processes' roots by group."""

    port: int
    path: str
    polled: bool
    roots: dict[str, int]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(system: System, bench: Bench, stack: contextlib.ExitStack) -> bool:
    """Starts a system, to be stopped when the stack ends; the bound is started for each window anew."""
    if system.name != "bound":
        _up[system] = _START[system.name](system, bench, stack)
        stack.callback(_up.pop, system)
    return True


def measure(system: System, bench: Bench) -> Result:
    """Loads a system that was started, for one window."""
    return _bound(system, bench) if system.name == "bound" else _load(system, bench, _up[system])


def _load(system: System, bench: Bench, run: Running) -> Result:
    argv = [sys.executable, "-m", "benchmarks.clients", f"--port={run.port}", f"--path={run.path}"]
    argv += [f"--clients={bench.clients}", f"--warm-up={bench.warm_up_s}", f"--seconds={bench.seconds}"]
    argv += ["--polled"] * run.polled + [str(path) for path in bench.photos]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as client:
        assert client.stdout is not None
        _expect(client.stdout.readline(), "begin")
        before = _groups(run, with_memory=False)
        _expect(client.stdout.readline(), "end")
        after = _groups(run, with_memory=True)
        summary: dict[str, Any] = json.loads(client.stdout.readline())
    none = Usage(0.0, 0, 0)
    groups = {
        name: Usage(now.cpu_s - before.get(name, none).cpu_s, now.rss_bytes, now.pss_bytes)
        for name, now in after.items()
    }
    return Result(
        system,
        summary["images"],
        summary["seconds"],
        summary["latencies_ms"],
        groups,
        summary["client_cpu_s"],
        summary["polls_per_image"],
        summary["errors"],
    )


def _expect(line: str, word: str) -> None:
    if line.strip() != word:
        raise RuntimeError(f"the clients said {line!r} instead of {word!r}")


def _groups(run: Running, with_memory: bool) -> dict[str, Usage]:
    members: dict[str, list[int]] = {}
    for group, root in run.roots.items():
        for pid in tree(root):
            line = command_line(pid)
            found = next((name for name in ("api", "ingest", "inference", "viewer") if f"drag_{name}" in line), group)
            members.setdefault(found if group == "launcher" else group, []).append(pid)
    return {name: usage(pids, with_memory) for name, pids in members.items()}


# --- DRAG -------------------------------------------------------------------------------------------------------------


def _drag(system: System, bench: Bench, stack: contextlib.ExitStack) -> Running:
    redis = stack.enter_context(server(system.persistence, bench.scratch))
    port = free_port()
    env = {
        **_plain_env(),
        "DRAG_REDIS_URL": f"unix://{redis.socket}",
        "DRAG_DATA_DIR": str(redis.folder / "data"),
        "DRAG_MODELS_DIR": str(bench.models[system.model]),
        "DRAG_API_PORT": str(port),
        "DRAG_VIEWER_PORT": str(free_port()),
        "DRAG_INFERENCE_WORKERS": str(PROCESSES),
        "DRAG_LOG_LEVEL": "warning",
        **dict(system.options),
    }
    log = redis.folder / "drag.log"
    drag = Path(sys.executable).parent / "drag"
    process = stack.enter_context(running([str(drag), "run"], env, log, cwd=redis.folder))
    wait_for(lambda: _ready(port), "DRAG", 60, log)
    path = dict(system.options).get("BENCH_PATH", "/v1/images")
    return Running(port, path, path != "/predict", {"launcher": process.pid, "redis": redis.pid})


def _plain_env() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DRAG_")}


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


# --- peers ------------------------------------------------------------------------------------------------------------


def peer_env(**more: str) -> dict[str, str]:
    """The environment of a peer: DRAG's picture and model code importable, one thread for each library."""
    places = [REPOSITORY, REPOSITORY / "shared", REPOSITORY / "services" / "inference"]
    return {**_plain_env(), "PYTHONPATH": os.pathsep.join(map(str, places)), "OMP_NUM_THREADS": "1", **more}


def _fastapi(system: System, bench: Bench, stack: contextlib.ExitStack) -> Running:
    port, log = free_port(), bench.scratch / "fastapi.log"
    env = peer_env(BENCH_MODELS=str(bench.models[system.model]), **dict(system.options))
    argv = _uvicorn("benchmarks.peers.monolith:create_app", port, PROCESSES)
    process = stack.enter_context(running(argv, env, log))
    wait_for(lambda: _ready(port), "FastAPI", 60, log)
    return Running(port, "/predict", False, {"server": process.pid})


def _celery(system: System, bench: Bench, stack: contextlib.ExitStack) -> Running:
    redis = stack.enter_context(server(system.persistence, bench.scratch))
    port, log = free_port(), redis.folder / "celery.log"
    env = peer_env(BENCH_MODELS=str(bench.models[system.model]), BENCH_SOCKET=str(redis.socket), **dict(system.options))
    argv = [str(PEER_PYTHON), "-m", "celery", "-A", "benchmarks.peers.celery_tasks", "worker", "--pool=prefork"]
    argv += [f"--concurrency={PROCESSES}", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    argv += ["--loglevel=WARNING"]
    worker = stack.enter_context(running(argv, env, log))
    web = stack.enter_context(running(_uvicorn("benchmarks.peers.celery_web:create_app", port, 1), env, log))
    wait_for(lambda: _ready(port), "Celery's web server", 60, log)
    wait_for(lambda: len(tree(worker.pid)) > PROCESSES, "Celery's worker", 60, log)
    return Running(port, "/v1/images", True, {"worker": worker.pid, "web": web.pid, "redis": redis.pid})


def _uvicorn(app: str, port: int, processes: int) -> list[str]:
    argv = [str(PEER_PYTHON), "-m", "uvicorn", "--factory", app, "--port", str(port), "--no-access-log"]
    return [*argv, "--loop=uvloop", "--http=httptools", "--log-level=warning", f"--workers={processes}"]


_up: dict[System, Running] = {}
_START = {"drag": _drag, "fastapi": _fastapi, "celery": _celery}


# --- the bound --------------------------------------------------------------------------------------------------------


def _bound(system: System, bench: Bench) -> Result:
    env = peer_env(BENCH_MODELS=str(bench.models[system.model]), BENCH_PHOTOS=str(bench.photos[0].parent))
    argv = [str(PEER_PYTHON), "-m", "benchmarks.peers.bound"]
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(_piped(argv, env)) for _ in range(PROCESSES)]
        for worker in workers:
            _expect(_line(worker), "ready")
        time.sleep(bench.warm_up_s)
        before = [_ask(worker) for worker in workers]
        time.sleep(bench.seconds)
        after = [_ask(worker) for worker in workers]
        memory = usage([worker.pid for worker in workers])
    cpu_s = sum(now["cpu_s"] - then["cpu_s"] for now, then in zip(after, before, strict=True))
    return Result(
        system,
        sum(now["done"] - then["done"] for now, then in zip(after, before, strict=True)),
        bench.seconds,
        [latency for now in after for latency in now["latencies_ms"]],
        {"process": Usage(cpu_s, memory.rss_bytes, memory.pss_bytes)},
    )


@contextlib.contextmanager
def _piped(argv: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _ask(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin is not None
    process.stdin.write("?\n")
    process.stdin.flush()
    answer: dict[str, Any] = json.loads(_line(process))
    return answer


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()
