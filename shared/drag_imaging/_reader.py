"""Bounded reads of numbers from the first bytes of a file."""

from __future__ import annotations

import struct
from typing import Final

from drag_shared.errors import ImageError

_MAX_STRAY_BYTES: Final = 4096


class Short(Exception):  # noqa: N818 - not an error: the answer lies further on
    """The prefix ends before `needed` bytes."""

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


class Prefix:
    """The first bytes of a file; reading past them raises `Short`, never anything else."""

    __slots__ = ("_view",)

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._view = memoryview(data).cast("B")

    def __len__(self) -> int:
        return len(self._view)

    def head(self, count: int) -> bytes:
        """Up to `count` bytes from the start."""
        return bytes(self._view[:count])

    def starts(self, magic: bytes) -> bool:
        """Whether the file begins with `magic`."""
        return bytes(self._view[: len(magic)]) == magic

    def take(self, at: int, count: int) -> bytes:
        """Exactly `count` bytes at `at`."""
        if at + count > len(self._view):
            raise Short(at + count)
        return bytes(self._view[at : at + max(count, 0)])

    def u8(self, at: int) -> int:
        """An unsigned byte."""
        if at >= len(self._view):
            raise Short(at + 1)
        return self._view[at]

    def u16(self, at: int) -> int:
        """Two bytes, big-endian."""
        return self._number(">H", at, 2)

    def u32(self, at: int) -> int:
        """Four bytes, big-endian."""
        return self._number(">I", at, 4)

    def u16le(self, at: int) -> int:
        """Two bytes, little-endian."""
        return self._number("<H", at, 2)

    def u24le(self, at: int) -> int:
        """Three bytes, little-endian."""
        return int.from_bytes(self.take(at, 3), "little")

    def u32le(self, at: int) -> int:
        """Four bytes, little-endian."""
        return self._number("<I", at, 4)

    def i32le(self, at: int) -> int:
        """Four bytes, little-endian, signed."""
        return self._number("<i", at, 4)

    def next_marker(self, at: int) -> tuple[int, int]:
        """The next JPEG marker at or behind `at`: the place behind it and its code.

        A few stray bytes are skipped, as decoders do.
        """
        view, end, limit = self._view, len(self._view), at + _MAX_STRAY_BYTES
        while at + 1 < end:
            if view[at] == 0xFF and view[at + 1] not in (0x00, 0xFF):
                return at + 2, view[at + 1]
            at += 1
            if at > limit:
                raise ImageError("damaged", "The JPEG has foreign bytes between its segments; save it again.")
        raise Short(max(end, at) + 2)

    def _number(self, form: str, at: int, size: int) -> int:
        if at + size > len(self._view):
            raise Short(at + size)
        number: int = struct.unpack_from(form, self._view, at)[0]
        return number
