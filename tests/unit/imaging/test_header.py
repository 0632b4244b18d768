"""A picture is identified from its first bytes, and no bytes do harm."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drag_imaging.header import ImageHeader, NeedMore, check_pixels, identify, read_header
from drag_shared.errors import ImageError

from . import pictures as make

JPEG = make.jpeg()
PNG = make.encoded(".png", make.scene())
WEBP = make.encoded(".webp", make.scene())
BMP = make.encoded(".bmp", make.scene())
GIF = make.encoded(".gif", make.scene())
WHOLE = {"jpeg": JPEG, "png": PNG, "webp": WEBP, "bmp": BMP, "gif": GIF}


@pytest.mark.parametrize("kind", WHOLE)
def test_type_and_size_are_told(kind: str) -> None:
    header = identify(WHOLE[kind])
    assert (header.media_type, header.width_px, header.height_px) == (f"image/{kind}", 64, 48)
    assert header.orientation == 1
    assert not header.animated


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_orientation_is_read_in_both_byte_orders(orientation: int, order: str) -> None:
    header = identify(make.jpeg(orientation=orientation, order=order))
    assert header.orientation == orientation
    assert header.upright_size == ((48, 64) if orientation >= 5 else (64, 48))


def test_png_orientation_depth_and_animation_are_read() -> None:
    deep = make.encoded(".png", np.zeros((5, 7), dtype=np.uint16))
    assert (identify(deep).bit_depth, identify(deep).channels) == (16, 1)
    assert identify(make.png_with(PNG, b"eXIf", make.exif_block(6))).orientation == 6
    assert identify(make.png_with(PNG, b"acTL", struct.pack(">II", 2, 0))).animated
    assert not identify(make.png_with(PNG, b"acTL", struct.pack(">II", 1, 0))).animated


def test_webp_orientation_behind_the_pixels_is_found() -> None:
    data = make.webp_extended(WEBP, 64, 48, orientation=8)
    assert identify(data).orientation == 8
    assert read_header(data[:40], len(data)) == NeedMore(len(data))
    assert identify(make.webp_extended(WEBP, 64, 48, orientation=None, animated=True)).animated


def test_gif_with_a_second_frame_is_animated() -> None:
    # Given a picture that says it loops, as OpenCV writes it, and the same with its frame twice
    assert b"NETSCAPE2.0" in GIF
    frame = GIF[GIF.index(b"\x2c", 13) : -1]
    assert not identify(GIF).animated
    assert identify(GIF[:-1] + frame + b"\x3b").animated


def test_bmp_that_stands_on_its_head_has_a_positive_height() -> None:
    data = bytearray(BMP)
    data[22:26] = struct.pack("<i", -48)
    assert identify(bytes(data)).height_px == 48


def test_a_big_segment_asks_for_more_and_gets_its_answer() -> None:
    # Given an ICC profile of several segments before the frame header
    data = JPEG
    for _ in range(5):
        data = make.with_segment(data, 0xE2, bytes(65_000))
    # When only a small range is read, then each answer says how far to read, within the file
    size, rounds = 64 * 1024, 0
    answer = read_header(data[:size], len(data))
    while isinstance(answer, NeedMore):
        assert size < answer.size_bytes <= len(data)
        size, rounds = answer.size_bytes, rounds + 1
        answer = read_header(data[:size], len(data))
    assert answer == ImageHeader("image/jpeg", 64, 48)
    assert 1 <= rounds <= 4


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        (b"", "empty", "empty"),
        (b"\x00" * 200, "unsupported_type", "JPEG, PNG"),
        (b"hello, this is text", "unsupported_type", "JPEG, PNG"),
        (b"II*\x00" + bytes(50), "unsupported_type", "TIFF"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(50), "unsupported_type", "HEIC"),
        (b"\x00\x00\x00\x18ftypavif" + bytes(50), "unsupported_type", "AVIF"),
        (b"%PDF-1.7" + bytes(50), "unsupported_type", "PDF"),
        (b"\xff", "truncated", "whole file"),
        (JPEG[:100], "truncated", "whole file"),
        (PNG[:20], "truncated", "whole file"),
        (WEBP[:15], "truncated", "whole file"),
        (BMP[:20], "truncated", "whole file"),
        (GIF[:8], "truncated", "whole file"),
        (PNG[:16] + bytes(8) + PNG[24:], "damaged", "0 x 0"),
        (JPEG.replace(b"\xff\xc0", b"\xff\xc3"), "unsupported_variant", "lossless"),
    ],
)
def test_refusals_say_code_and_fix(data: bytes, code: str, word: str) -> None:
    with pytest.raises(ImageError) as caught:
        identify(data)
    assert caught.value.code == code
    assert word in caught.value.reason


def test_a_bomb_is_refused_from_its_header() -> None:
    bomb = PNG[:16] + struct.pack(">II", 20_000, 20_000) + PNG[24:]
    header = identify(bomb)
    with pytest.raises(ImageError, match=r"400\.0 megapixels, at most 50\.0") as caught:
        check_pixels(header, 50_000_000)
    assert caught.value.code == "too_many_pixels"
    check_pixels(ImageHeader("image/png", 5000, 10_000), 50_000_000)


def _survives(data: bytes, total: int) -> None:
    try:
        answer = read_header(data, total)
    except ImageError:
        return
    if isinstance(answer, NeedMore):
        assert len(data) < answer.size_bytes <= total
    else:
        assert 1 <= answer.orientation <= 8
        assert answer.width_px > 0
        assert answer.height_px > 0


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 10_000))
def test_any_bytes_give_an_answer_or_an_image_error(data: bytes, more: int) -> None:
    _survives(data, len(data) + more)


MAGICS = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", b"RIFF\x10\x00\x00\x00WEBPVP8X", b"GIF89a", b"BM"]


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(MAGICS), st.binary(max_size=200), st.integers(0, 10_000))
def test_noise_behind_a_right_beginning_does_no_harm(magic: bytes, noise: bytes, more: int) -> None:
    _survives(magic + noise, len(magic) + len(noise) + more)


SAMPLES = [
    *WHOLE.values(),
    make.jpeg(orientation=6),
    make.webp_extended(WEBP, 64, 48, orientation=3),
    make.png_with(PNG, b"eXIf", make.exif_block(3)),
]


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=8),
    st.integers(0, 2000),
)
def test_flipped_and_cut_files_do_no_harm(sample: bytes, flips: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(sample)
    for at, value in flips:
        data[at % len(data)] = value
    _survives(bytes(data[:cut]), len(sample))
    _survives(bytes(data), len(data))


@given(st.sampled_from(SAMPLES), st.integers(1, 4000))
def test_a_prefix_never_gives_another_answer_than_the_whole(sample: bytes, cut: int) -> None:
    answer = read_header(sample[:cut], len(sample))
    assert isinstance(answer, NeedMore) or answer == identify(sample)
