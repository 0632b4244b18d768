"""Ends the supervisor's children when the supervisor itself is killed; started by it, alone in a session.

It reads `+ PGID STAGE SECONDS` and `- PGID` from standard input. The end of that input means that the supervisor is
gone: what is still listed gets SIGTERM, highest stage first, and SIGKILL after its seconds. It imports little.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

TOKEN = "SUPERVISOR_TOKEN"  # noqa: S105 - a name, not a password
_REAPED_S = 3.0


def main(token: str) -> None:
    """Waits for the supervisor's end, then ends what it left."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: dict[int, tuple[int, float]] = {}
    for line in sys.stdin:
        sign, pgid, *rest = line.split()
        if sign == "+":
            groups[int(pgid)] = (int(rest[0]), float(rest[1]))
        else:
            groups.pop(int(pgid), None)
    for stage in sorted({stage for stage, _ in groups.values()}, reverse=True):
        end({pgid: seconds for pgid, (at, seconds) in groups.items() if at == stage})
    for pid in marked(token):  # started in the moment before the supervisor died, or gone from their group
        _signal(os.kill, pid, signal.SIGKILL)


def end(groups: dict[int, float]) -> None:
    """SIGTERM to each group, SIGKILL after its seconds."""
    started = time.monotonic()
    for pgid in groups:
        _signal(os.killpg, pgid, signal.SIGTERM)
    while groups:
        time.sleep(0.05)
        groups = {pgid: seconds for pgid, seconds in groups.items() if _signal(os.killpg, pgid, 0)}
        for pgid, seconds in list(groups.items()):
            late = time.monotonic() - started - seconds
            if late > 0:
                _signal(os.killpg, pgid, signal.SIGKILL)
            if late > _REAPED_S:  # what is left are zombies that nobody reaps, as in a container without an init
                del groups[pgid]


def marked(token: str) -> list[int]:
    """Processes whose environment carries the supervisor's token (where there is a /proc)."""
    needle = f"{TOKEN}={token}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        pid = int(entry.parent.name)
        try:
            if pid != os.getpid() and needle in entry.read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found


def _signal(send: Callable[[int, int], None], target: int, number: int) -> bool:
    try:
        send(target, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1])
