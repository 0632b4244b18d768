"""Keeps glibc's heap small and flat under endless pictures of changing size."""

from __future__ import annotations

import ctypes
from typing import Any, Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2
_KEPT_BYTES: Final = 32 * 1024 * 1024
_MAPPED_FROM_BYTES: Final = 4 * 1024 * 1024


def _libc() -> Any:
    return ctypes.CDLL(None)


def bound_heap() -> bool:
    """Sets the allocator up, once at a process's start; False where the C library is another one.

    Each thread would get an arena of its own and keep what it freed; two arenas serve a worker's few threads. Blocks of
    4 MiB and more (a picture that was decoded whole) are mapped, so that they go back to the system at once; glibc
    would raise that bound to 32 MiB by itself.
    """
    libc = _libc()
    if not hasattr(libc, "mallopt"):
        return False
    options = ((_M_ARENA_MAX, _ARENAS), (_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES), (_M_TRIM_THRESHOLD, _KEPT_BYTES))
    return all(libc.mallopt(option, value) == 1 for option, value in options)


def trim_heap() -> None:
    """Gives free memory back to the system; costs about a millisecond."""
    libc = _libc()
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
