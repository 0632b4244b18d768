"""Keeps glibc's heap small and flat under endless pictures of changing size, without giving every page back at once."""

import ctypes
from typing import Any, Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_KEPT_BYTES: Final = 32 * 1024 * 1024
_MAPPED_FROM_BYTES: Final = 4 * 1024 * 1024


def _libc() -> Any:
    return ctypes.CDLL(None)


def bound_heap(arenas: int) -> bool:
    """Sets the allocator up, once at a process's start, before it forks; False where the C library is another one.

    Blocks from 128 KiB on would be mapped from the system and given back for each picture, and the system clears every
    page anew: a quarter of the CPU time of a POST of 250 kB (3.3 to 2.4 ms on busy cores). Blocks of 4 MiB and more (a
    picture that was decoded whole) still go back at once.

    Args:
        arenas: how many heaps the threads share; each would get one of its own and keep what it freed.
    """
    libc = _libc()
    if not hasattr(libc, "mallopt"):
        return False
    options = ((_M_ARENA_MAX, arenas), (_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES), (_M_TRIM_THRESHOLD, _KEPT_BYTES))
    return all(libc.mallopt(option, value) == 1 for option, value in options)


def trim_heap() -> None:
    """Gives free memory back to the system; costs about a millisecond."""
    libc = _libc()
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
