"""One running DRAG for each data directory: a lock that lasts until its last process is gone."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from drag_launcher.processes import alive, file_holders
from drag_shared.config import Settings
from drag_shared.errors import ConfigError


def lock_path(settings: Settings) -> Path:
    """The lock's file; it says who holds it."""
    return settings.data_dir.resolve() / "drag.lock"


def take(settings: Settings, page: str, say: Callable[[str], None], patience_s: float) -> int:
    """Takes the data directory for this process.

    Args:
        settings: say which directory.
        page: address of the page, told to whoever tries next.
        say: shows a line.
        patience_s: how long to wait for what a killed run left behind to end.

    Returns:
        The lock's descriptor; hand it to the server and to the guardian, and keep it open.

    Raises:
        ConfigError: another run has it, or the directory cannot be written.
    """
    path = lock_path(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"cannot write to {path.parent}: {error.strerror}; set DRAG_DATA_DIR to another place"
        ) from error
    try:
        _acquire(lock, path, say, patience_s)
    except BaseException:
        os.close(lock)
        raise
    os.truncate(lock, 0)
    os.pwrite(lock, json.dumps({"pid": os.getpid(), "page": page}).encode(), 0)
    return lock


def _acquire(lock: int, path: Path, say: Callable[[str], None], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        owner = _owner(lock)
        if owner and alive(owner[0]):
            raise ConfigError(
                f"DRAG runs already on {path.parent} (pid {owner[0]}): see {owner[1]}, stop that one,"
                " or set DRAG_DATA_DIR, DRAG_API_PORT and DRAG_VIEWER_PORT for a second"
            )
        if time.monotonic() > deadline:
            holders = ", ".join(map(str, file_holders(path))) or "unknown to /proc"
            raise ConfigError(f"processes of a former run still use {path.parent} ({holders}); end them and try again")
        if not told:
            say("a former run was killed; waiting for its last processes to end")
            told = True
        time.sleep(0.1)


def _owner(lock: int) -> tuple[int, str] | None:
    try:
        owner = json.loads(os.pread(lock, 4096, 0))
    except ValueError:
        return None
    if not isinstance(owner, dict) or not isinstance(owner.get("pid"), int):
        return None
    return owner["pid"], str(owner.get("page"))
