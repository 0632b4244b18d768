"""The Valkey of a benchmark: the product's own server and configuration, with the persistence that is asked for."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import running, wait_for
from drag_launcher.embedded import answering, configuration, server_directory, server_environment, valkey_binary
from drag_shared.config import Settings, embedded_socket

PERSISTENCE = ("always", "everysec", "none")


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        pid: its process.
        socket: where it listens.
        folder: for whatever belongs to this run.
    """

    pid: int
    socket: Path
    folder: Path


@contextlib.contextmanager
def server(persistence: str, scratch: Path, memory_bytes: int = 2 << 30) -> Iterator[Server]:
    """An empty server while the block runs.

    Args:
        persistence: `always` and `everysec` as DRAG_DURABILITY means them, or `none`: no append-only file.
        scratch: the append-only file lies under it, on a real disk if this is one.
        memory_bytes: its `maxmemory`.
    """
    program = valkey_binary() or shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        raise FileNotFoundError("no Valkey or Redis for this machine: install redis-server")
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=scratch))
    durability = "everysec" if persistence == "none" else persistence
    settings = Settings(data_dir=folder, durability=durability, maxmemory_bytes=memory_bytes)
    text = configuration(settings)
    if persistence == "none":
        text = text.replace("appendonly yes", "appendonly no")
    server_directory(settings).mkdir(parents=True)
    socket = embedded_socket(settings)
    socket.parent.mkdir(parents=True, exist_ok=True)
    file = folder / "valkey.conf"
    file.write_text(text)
    ready = answering(socket)
    try:
        with running([str(program), str(file)], server_environment(), folder / "valkey.log") as process:
            wait_for(lambda: ready() is None, "the server", 20, folder / "valkey.log")
            yield Server(process.pid, socket, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        socket.unlink(missing_ok=True)
