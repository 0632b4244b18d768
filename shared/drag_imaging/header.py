"""Identifies a picture from its first bytes: type, size, orientation; nothing is decoded.

`read_header` answers from a prefix of the file and says `NeedMore` when the prefix ends too early, so that a caller can
fetch a small range of a large blob. Whatever the bytes are, the answer is an `ImageHeader`, a `NeedMore` or an
`ImageError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drag_imaging._exif import exif_orientation
from drag_imaging._reader import Prefix, Short
from drag_shared.errors import ImageError

ACCEPTED: Final = "JPEG, PNG, WebP, BMP or GIF"
"""The formats that DRAG reads, for people."""

MEDIA_TYPES: Final = ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/gif")

FIRST_READ_BYTES: Final = 64 * 1024
"""A prefix of this many bytes answers for nearly every picture; `NeedMore` tells of the others."""

_MAX_JPEG_SEGMENTS: Final = 4096
_MAX_CHUNKS: Final = 4096
_MAX_GIF_BLOCKS: Final = 100_000
_MAGIC_BYTES: Final = 32
_LONGEST_SIDE_PX: Final = 65_535

_KNOWN_BUT_REFUSED: Final = (
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "BigTIFF"),
    (b"MM\x00+", "BigTIFF"),
    (b"%PDF", "PDF"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"<svg", "SVG"),
    (b"<?xml", "XML or SVG"),
    (b"<!DOCTYPE", "HTML"),
    (b"<html", "HTML"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a picture's header says.

    Attributes:
        media_type: like `image/jpeg`.
        width_px: as stored, before any turning.
        height_px: as stored, before any turning.
        orientation: EXIF orientation, 1..8; 1 is upright.
        animated: more than one frame; DRAG looks at the first.
        bit_depth: bits a sample.
        channels: samples a pixel as stored (a palette counts as 3).
    """

    media_type: str
    width_px: int
    height_px: int
    orientation: int = 1
    animated: bool = False
    bit_depth: int = 8
    channels: int = 3

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height once turned upright."""
        if self.orientation >= 5:
            return self.height_px, self.width_px
        return self.width_px, self.height_px


@dataclass(frozen=True, slots=True)
class NeedMore:
    """The prefix ends before the answer; read again with at least this many bytes from the start."""

    size_bytes: int


def read_header(data: bytes | bytearray | memoryview, total_bytes: int | None = None) -> ImageHeader | NeedMore:
    """Reads a picture's header.

    Args:
        data: the first bytes of the file.
        total_bytes: the file's whole length; None: `data` is all there is.

    Returns:
        The header, or how many bytes of the file are needed to tell (never more than `total_bytes`).

    Raises:
        ImageError: empty, of a type that DRAG does not read, or damaged; `code` is `empty`, `unsupported_type`,
            `unsupported_variant`, `truncated` or `damaged`.
    """
    prefix = Prefix(data)
    total = len(prefix) if total_bytes is None else max(total_bytes, len(prefix))
    if total == 0:
        raise ImageError("empty", f"The file is empty; send a picture ({ACCEPTED}).")
    try:
        header = _parse(prefix, total)
    except Short as short:
        if len(prefix) >= total or short.needed > total:
            raise ImageError(
                "truncated",
                f"The picture ends after {total} bytes, in its header (at least {short.needed} were expected); "
                "send the whole file.",
            ) from None
        return NeedMore(min(total, max(short.needed, min(total, 2 * len(prefix)))))
    _check_size(header)
    return header


def identify(data: bytes | bytearray | memoryview) -> ImageHeader:
    """Reads the header of a whole file; as `read_header`, and the answer is never `NeedMore`."""
    header = read_header(data)
    if isinstance(header, NeedMore):  # cannot be: everything is there
        raise ImageError("truncated", "The picture ends in its header; send the whole file.")
    return header


def check_pixels(header: ImageHeader, max_pixels: int) -> None:
    """Refuses a picture of more than `max_pixels` pixels.

    Raises:
        ImageError: with code `too_many_pixels`.
    """
    pixels = header.width_px * header.height_px
    if pixels > max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"The picture has {header.width_px} x {header.height_px} = {pixels / 1e6:.1f} megapixels, at most "
            f"{max_pixels / 1e6:.1f} are accepted; scale it down, or raise DRAG_MAX_PIXELS.",
        )


def _check_size(header: ImageHeader) -> None:
    if not (0 < header.width_px <= _LONGEST_SIDE_PX and 0 < header.height_px <= _LONGEST_SIDE_PX):
        raise ImageError(
            "damaged",
            f"The header says {header.width_px} x {header.height_px} pixels; expected 1 to {_LONGEST_SIDE_PX} a side.",
        )


def _parse(prefix: Prefix, total: int) -> ImageHeader:
    if len(prefix) < min(_MAGIC_BYTES, total):
        raise Short(min(_MAGIC_BYTES, total))
    if prefix.starts(b"\xff\xd8\xff"):
        return _jpeg(prefix)
    if prefix.starts(b"\x89PNG\r\n\x1a\n"):
        return _png(prefix)
    if prefix.starts(b"RIFF") and prefix.take(8, 4) == b"WEBP":
        return _webp(prefix, total)
    if prefix.starts(b"GIF87a") or prefix.starts(b"GIF89a"):
        return _gif(prefix)
    if prefix.starts(b"BM"):
        return _bmp(prefix)
    raise _unsupported(prefix, total)


def _unsupported(prefix: Prefix, total: int) -> ImageError:
    head = prefix.head(_MAGIC_BYTES)
    kind = next((name for magic, name in _KNOWN_BUT_REFUSED if head.startswith(magic)), "")
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
            kind = "HEIC (an iPhone's format: set Camera > Formats > Most Compatible)"
        else:
            kind = "AVIF" if brand in (b"avif", b"avis") else "a video or another ISO media file"
    if kind:
        return ImageError("unsupported_type", f"The file is {kind}, which is not accepted; send {ACCEPTED}.")
    if any(magic.startswith(head) for magic in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF")):
        return ImageError("truncated", f"The picture ends after {total} bytes; send the whole file.")
    return ImageError("unsupported_type", f"The file is not a picture that is accepted; send {ACCEPTED}.")


_SOF_MARKERS: Final = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))
_SOF_UNREADABLE: Final = frozenset((0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF))
_STANDALONE: Final = frozenset((0x01, *range(0xD0, 0xD8)))


def _jpeg(prefix: Prefix) -> ImageHeader:
    """Walks the segments up to the first scan."""
    at, orientation = 2, 1
    frame: tuple[int, int, int, int] | None = None
    for _ in range(_MAX_JPEG_SEGMENTS):
        at, marker = prefix.next_marker(at)
        if marker in _STANDALONE:
            continue
        if marker in (0xDA, 0xD9):
            break
        length = prefix.u16(at)
        if length < 2:
            raise ImageError("damaged", f"The JPEG has a segment of length {length}; expected at least 2.")
        if marker in _SOF_UNREADABLE:
            raise ImageError(
                "unsupported_variant",
                "The picture is a lossless or hierarchical JPEG; save it as a baseline or progressive JPEG.",
            )
        if marker in _SOF_MARKERS:
            frame = (prefix.u8(at + 2), prefix.u16(at + 3), prefix.u16(at + 5), prefix.u8(at + 7))
        elif marker == 0xE1 and orientation == 1 and prefix.take(at + 2, min(6, length - 2)) == b"Exif\x00\x00":
            orientation = exif_orientation(prefix.take(at + 8, length - 8))
        at += length
    if frame is None:
        raise ImageError("damaged", "The JPEG has no frame header before its first scan; save it again.")
    depth, height, width, channels = frame
    if depth != 8 or channels not in (1, 3, 4):
        raise ImageError(
            "unsupported_variant",
            f"The JPEG has {depth} bits a sample and {channels} channels; expected 8 bits and 1, 3 or 4 channels.",
        )
    return ImageHeader("image/jpeg", width, height, orientation, channels=channels)


_PNG_CHANNELS: Final = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def _png(prefix: Prefix) -> ImageHeader:
    """Walks the chunks up to the pixels; an `eXIf` behind them is not looked for."""
    if prefix.take(12, 4) != b"IHDR" or prefix.u32(8) != 13:
        raise ImageError("damaged", "The PNG does not begin with its IHDR chunk; save it again.")
    width, height = prefix.u32(16), prefix.u32(20)
    depth, colour = prefix.u8(24), prefix.u8(25)
    if depth not in (1, 2, 4, 8, 16) or colour not in _PNG_CHANNELS:
        raise ImageError("damaged", f"The PNG has bit depth {depth} and colour type {colour}, which do not exist.")
    at, orientation, animated = 33, 1, False
    for _ in range(_MAX_CHUNKS):
        length, kind = prefix.u32(at), prefix.take(at + 4, 4)
        if kind in (b"IDAT", b"IEND"):
            break
        if kind == b"acTL":
            animated = length >= 4 and prefix.u32(at + 8) > 1
        elif kind == b"eXIf":
            orientation = exif_orientation(prefix.take(at + 8, length))
        at += 12 + length
    return ImageHeader("image/png", width, height, orientation, animated, depth, _PNG_CHANNELS[colour])


def _webp(prefix: Prefix, total: int) -> ImageHeader:
    kind = prefix.take(12, 4)
    if kind == b"VP8 ":
        if prefix.take(23, 3) != b"\x9d\x01\x2a":
            raise ImageError("damaged", "The WebP picture has no key frame; save it again.")
        return ImageHeader("image/webp", prefix.u16le(26) & 0x3FFF, prefix.u16le(28) & 0x3FFF)
    if kind == b"VP8L":
        if prefix.u8(20) != 0x2F:
            raise ImageError("damaged", "The lossless WebP picture has no signature; save it again.")
        bits = prefix.u32le(21)
        return ImageHeader(
            "image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, channels=4 if bits >> 28 & 1 else 3
        )
    if kind != b"VP8X":
        raise ImageError("damaged", f"The WebP file begins with a chunk {kind!r}; expected VP8, VP8L or VP8X.")
    flags = prefix.u8(20)
    orientation = _webp_orientation(prefix, total) if flags & 0x08 else 1
    return ImageHeader(
        "image/webp",
        prefix.u24le(24) + 1,
        prefix.u24le(27) + 1,
        orientation,
        animated=bool(flags & 0x02),
        channels=4 if flags & 0x10 else 3,
    )


def _webp_orientation(prefix: Prefix, total: int) -> int:
    """The EXIF chunk stands behind the pixels, so that this usually needs the whole file."""
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > total:
            return 1
        kind, length = prefix.take(at, 4), prefix.u32le(at + 4)
        if kind == b"EXIF":
            data = prefix.take(at + 8, length)
            return exif_orientation(data[6:] if data.startswith(b"Exif\x00\x00") else data)
        at += 8 + length + (length & 1)
        if at + 8 <= total and at + 8 > len(prefix):
            raise Short(total)
    return 1


def _gif(prefix: Prefix) -> ImageHeader:
    """A picture that may loop is walked up to its second frame: some writers say so of every picture."""
    width, height, flags = prefix.u16le(6), prefix.u16le(8), prefix.u8(10)
    at, loops = _gif_extensions(prefix, 13 + _gif_palette_bytes(flags))
    if loops and prefix.u8(at) == 0x2C:
        at = _gif_behind_blocks(prefix, at + 11 + _gif_palette_bytes(prefix.u8(at + 9)))
        at, _ = _gif_extensions(prefix, at)
    return ImageHeader("image/gif", width, height, animated=loops and prefix.u8(at) == 0x2C)


def _gif_palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_extensions(prefix: Prefix, at: int) -> tuple[int, bool]:
    """The place behind the extensions at `at`, and whether one of them asks for looping."""
    loops = False
    for _ in range(_MAX_CHUNKS):
        if prefix.u8(at) != 0x21:
            break
        if prefix.u8(at + 1) == 0xFF and prefix.take(at + 3, 11) in (b"NETSCAPE2.0", b"ANIMEXTS1.0"):
            loops = True
        at = _gif_behind_blocks(prefix, at + 2)
    return at, loops


def _gif_behind_blocks(prefix: Prefix, at: int) -> int:
    """The place behind a chain of data blocks; a very long chain is left in its middle."""
    for _ in range(_MAX_GIF_BLOCKS):
        size = prefix.u8(at)
        at += 1 + size
        if size == 0:
            break
    return at


def _bmp(prefix: Prefix) -> ImageHeader:
    size = prefix.u32le(14)
    if size == 12:
        width, height, bits = prefix.u16le(18), prefix.u16le(20), prefix.u16le(24)
    elif 40 <= size <= 256:
        width, height, bits = prefix.i32le(18), abs(prefix.i32le(22)), prefix.u16le(28)
    else:
        raise ImageError("damaged", f"The BMP has a header of {size} bytes; expected 12 or 40 to 256.")
    if bits not in (1, 4, 8, 16, 24, 32):
        raise ImageError("damaged", f"The BMP has {bits} bits a pixel; expected 1, 4, 8, 16, 24 or 32.")
    return ImageHeader("image/bmp", width, height, channels=4 if bits == 32 else 3)
