"""Who holds a port or a file on this machine, as far as /proc tells."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path

_LISTENING = "0A"
_IN_USE = (errno.EADDRINUSE,)


@dataclass(frozen=True)
class Holder:
    """A process.

    Attributes:
        pid: its id.
        command: its command line, shortened.
    """

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid}: {self.command}"


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now.

    Raises:
        OSError: the address itself cannot be used.
    """
    with contextlib.ExitStack() as stack:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        probe = stack.enter_context(socket.socket(family, kind, proto))
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except (PermissionError, FileNotFoundError):
            raise
        except OSError as error:
            if error.errno in _IN_USE:
                return False
            raise
        return True


def port_holder(port: int) -> Holder | None:
    """The process that listens on this port, or None where that cannot be seen."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == _LISTENING and int(words[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{words[9]}]")
    return next(iter(_with_open(inodes)), None) if inodes else None


def file_holders(path: Path) -> list[Holder]:
    """The processes that have this file open, as far as can be seen."""
    return [holder for holder in _with_open({str(path.resolve())}) if holder.pid != os.getpid()]


def describe(pid: int) -> str:
    """A process's command line in at most 100 characters, or `?`."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "?"
    return " ".join(word.decode("utf-8", "replace") for word in words if word)[:100] or "?"


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _with_open(targets: set[str]) -> list[Holder]:
    found: dict[int, Holder] = {}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            pid = int(link.parts[2])
            if pid not in found and os.readlink(link) in targets:
                found[pid] = Holder(pid, describe(pid))
    return sorted(found.values(), key=lambda holder: holder.pid)
