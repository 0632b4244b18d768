"""The allocator's settings, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
from drag_shared.heap import bound_heap, trim_heap
done = bound_heap(arenas=4)
bytes(300_000)
trim_heap()
bytes(300_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    bytes(bytearray(b"x") * 300_000)
print(done, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_an_uploads_memory_is_used_again() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=30)
    done, faults = run.stdout.split()
    if done == "True":
        assert int(faults) < 2000  # 100 uploads of two copies each would touch 14,600 pages anew
