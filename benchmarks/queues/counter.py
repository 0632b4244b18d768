"""Counts what handlers did, where the benchmark can see it: eight bytes of shared memory a process."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

_lock = threading.Lock()
_slots: dict[int, memoryview] = {}


def add(number: int = 1) -> None:
    """Counts messages of this process."""
    with _lock:
        slot = _slots.get(os.getpid())
        if slot is None:
            slot = _open()
        slot[0] += number


def _open() -> memoryview:
    path = Path(os.environ["BENCH_COUNTER"]) / str(os.getpid())
    path.write_bytes(bytes(8))
    with path.open("r+b") as file:
        slot = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")
    _slots[os.getpid()] = slot
    return slot


def total(folder: Path) -> int:
    """What all processes counted so far."""
    return sum(int.from_bytes(path.read_bytes(), "little") for path in folder.iterdir())


def payload(number: int) -> str:
    """A message of 1 kB."""
    return f"{number:08d}" * 125
