"""The orientation in a block of EXIF data; everything else in it is ignored."""

from __future__ import annotations

import struct
from typing import Final

_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
_MAX_ENTRIES: Final = 1024


def exif_orientation(data: bytes) -> int:
    r"""Reads the orientation tag of the first directory.

    Args:
        data: a TIFF structure, as in a JPEG's APP1 behind `Exif\0\0`.

    Returns:
        1..8; 1 when there is none or the block is damaged (a broken thumbnail must not cost the picture).
    """
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return 1
    start: int = struct.unpack_from(order + "I", data, 4)[0]
    if start + 2 > len(data):
        return 1
    count: int = struct.unpack_from(order + "H", data, start)[0]
    for index in range(min(count, _MAX_ENTRIES)):
        at = start + 2 + 12 * index
        if at + 12 > len(data):
            return 1
        tag, kind, _, value = struct.unpack_from(order + "HHIH", data, at)
        if tag == _ORIENTATION:
            return int(value) if kind == _SHORT and 1 <= value <= 8 else 1
    return 1
