"""Makes small files of every kind, byte by byte where OpenCV cannot write them."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg


def scene(width: int = 64, height: int = 48) -> npt.NDArray[np.uint8]:
    """A picture whose four corners differ: red, green, blue and white quarters (BGR)."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[: height // 2, : width // 2] = (0, 0, 255)
    picture[: height // 2, width // 2 :] = (0, 255, 0)
    picture[height // 2 :, : width // 2] = (255, 0, 0)
    picture[height // 2 :, width // 2 :] = (255, 255, 255)
    return picture


def encoded(extension: str, picture: npt.NDArray[np.integer[Any]]) -> bytes:
    done, data = cv2.imencode(extension, picture)
    assert done
    return bytes(data)


def exif_block(orientation: int, order: str = "<") -> bytes:
    magic = b"II*\x00" if order == "<" else b"MM\x00*"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return magic + struct.pack(order + "I", 8) + struct.pack(order + "H", 1) + entry + struct.pack(order + "I", 0)


def with_segment(jpeg: bytes, marker: int, payload: bytes) -> bytes:
    """Inserts a segment behind the start of a JPEG."""
    return jpeg[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


def jpeg(
    picture: npt.NDArray[np.uint8] | None = None, orientation: int | None = None, order: str = "<", quality: int = 95
) -> bytes:
    picture = scene() if picture is None else picture
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(picture), quality=quality, colorspace="BGR", colorsubsampling="444"
    )
    if orientation is not None:
        data = with_segment(data, 0xE1, b"Exif\x00\x00" + exif_block(orientation, order))
    return data


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(png: bytes, kind: bytes, data: bytes) -> bytes:
    """Inserts a chunk behind IHDR."""
    return png[:33] + chunk(kind, data) + png[33:]


def webp_extended(webp: bytes, width: int, height: int, orientation: int | None, animated: bool = False) -> bytes:
    """Wraps a simple WebP file into the extended form, EXIF behind the pixels."""
    flags = (0x08 if orientation else 0) | (0x02 if animated else 0)
    head = bytes((flags, 0, 0, 0)) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<I", 10) + head + webp[12:]
    if orientation:
        exif = exif_block(orientation)
        body += b"EXIF" + struct.pack("<I", len(exif)) + exif + (b"\x00" if len(exif) & 1 else b"")
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
