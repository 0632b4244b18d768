"""Starts processes and reads from /proc what they and their children use."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What one group of processes uses.

    Attributes:
        cpu_s: CPU seconds since they started, children that ended included.
        rss_bytes: resident memory; pages that several share count several times.
        pss_bytes: the same with shared pages counted once, in shares.
    """

    cpu_s: float
    rss_bytes: int
    pss_bytes: int


@contextlib.contextmanager
def running(
    argv: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path | None = None, stop_s: float = 30.0
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own while the block runs, then SIGTERM, and SIGKILL when that does not help."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(argv), env=dict(env), stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=cwd,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=stop_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(check: Callable[[], bool], what: str, timeout_s: float, log: Path | None = None) -> None:
    """Returns once ``check`` says true."""
    deadline_s = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > deadline_s:
            tail = log.read_text(errors="replace")[-3000:] if log is not None and log.exists() else ""
            raise TimeoutError(f"{what}: not within {timeout_s:.0f} s\n{tail}")
        time.sleep(0.05)


def tree(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def command_line(pid: int) -> str:
    """Its arguments, with blanks between; empty when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def usage(pids: Sequence[int], with_memory: bool = True) -> Usage:
    """What these processes use now."""
    cpu_s, rss, pss = 0.0, 0, 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            cpu_s += sum(map(int, fields[11:13])) * _TICK_S
            if with_memory:
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
                    name, _, value = line.partition(":")
                    if name == "Rss":
                        rss += int(value.split()[0]) * 1024
                    elif name == "Pss":
                        pss += int(value.split()[0]) * 1024
    return Usage(cpu_s, rss, pss)
