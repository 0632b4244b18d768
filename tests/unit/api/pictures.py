"""Pictures of every kind that a client may send."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

_RANDOM = np.random.default_rng(7)


def noise(height: int = 48, width: int = 64, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return _RANDOM.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


def encode(picture: np.ndarray, kind: str = ".jpg") -> bytes:
    done, data = cv2.imencode(kind, picture)
    assert done
    return data.tobytes()


def jpeg() -> bytes:
    return encode(noise())


def rotated_jpeg(orientation: int = 6) -> bytes:
    """A JPEG whose EXIF says how to turn it."""
    tiff = b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHIHH", 1, 0x0112, 3, 1, orientation, 0) + b"\x00" * 4
    body = b"Exif\x00\x00" + tiff
    data = jpeg()
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def cmyk_jpeg() -> bytes:
    """The header of a JPEG with four channels, and nothing that could be decoded."""
    frame = struct.pack(">BHHB", 8, 48, 64, 4) + bytes(value for i in range(1, 5) for value in (i, 0x11, 0))
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xda\x00\x02" + b"\x00" * 64


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int = 20_000, height: int = 20_000) -> bytes:
    """A small PNG that says it has 400 megapixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")


def animated_png() -> bytes:
    data = encode(noise(), ".png")
    return data[:33] + png_chunk(b"acTL", struct.pack(">II", 3, 0)) + data[33:]


def gif() -> bytes:
    """A GIF of one black pixel."""
    head = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
    return head + b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
