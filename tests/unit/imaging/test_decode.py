"""One decode gives upright BGR of 8 bits, whatever the file holds; faults are the picture's own."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from drag_imaging.decode import DecodeBuffer, Decoded, decode, reduction_for, turn_upright
from drag_imaging.header import ImageHeader, identify
from drag_shared.errors import ImageError

from . import pictures as make

RED, GREEN, BLUE, WHITE = (0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255)


def decoded(data: bytes, target_px: int | None = None) -> Decoded:
    return decode(data, identify(data), target_px)


def corners(picture: npt.NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """Upper left, upper right, lower left, lower right, as the nearest pure colour."""
    height, width = picture.shape[:2]
    y, x = height // 8, width // 8
    points = [(y, x), (y, -x), (-y, x), (-y, -x)]
    return [tuple(255 if v > 127 else 0 for v in picture[p]) for p in points]


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".bmp", ".gif"])
def test_every_accepted_format_decodes(extension: str) -> None:
    out = decoded(make.encoded(extension, make.scene()))
    assert out.picture.shape == (48, 64, 3)
    assert out.picture.dtype == np.uint8
    assert corners(out.picture) == [RED, GREEN, BLUE, WHITE]


# What the stored corners (red, green / blue, white) become, by the EXIF definition of each orientation.
UPRIGHT = {
    1: [RED, GREEN, BLUE, WHITE],
    2: [GREEN, RED, WHITE, BLUE],
    3: [WHITE, BLUE, GREEN, RED],
    4: [BLUE, WHITE, RED, GREEN],
    5: [RED, BLUE, GREEN, WHITE],
    6: [BLUE, RED, WHITE, GREEN],
    7: [WHITE, GREEN, BLUE, RED],
    8: [GREEN, WHITE, RED, BLUE],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_is_turned_exactly_once(orientation: int) -> None:
    out = decoded(make.jpeg(orientation=orientation))
    assert corners(out.picture) == UPRIGHT[orientation]
    assert (out.width_px, out.height_px) == ((48, 64) if orientation >= 5 else (64, 48))
    assert out.picture.shape[:2] == (out.height_px, out.width_px)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_turning_agrees_with_opencv(orientation: int) -> None:
    data = make.jpeg(orientation=orientation)
    by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert by_opencv is not None
    plain = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert np.array_equal(turn_upright(plain, orientation), by_opencv)  # type: ignore[arg-type]


def test_webp_and_png_are_turned_too() -> None:
    webp = make.webp_extended(make.encoded(".webp", make.scene()), 64, 48, orientation=6)
    png = make.png_with(make.encoded(".png", make.scene()), b"eXIf", make.exif_block(6))
    assert corners(decoded(webp).picture) == UPRIGHT[6]
    assert corners(decoded(png).picture) == UPRIGHT[6]


@pytest.mark.parametrize("extension", [".webp", ".gif", ".png"])
def test_of_an_animation_the_first_frame_counts(extension: str) -> None:
    animation = cv2.Animation()
    animation.frames = [make.scene(), 255 - make.scene()]
    animation.durations = [100, 100]
    done, data = cv2.imencodeanimation(extension, animation)
    assert done
    assert identify(bytes(data)).animated
    assert corners(decoded(bytes(data)).picture) == UPRIGHT[1]


def test_sixteen_bits_become_eight() -> None:
    deep = np.full((4, 6, 3), 0x80FF, dtype=np.uint16)
    out = decoded(make.encoded(".png", deep)).picture
    assert out.dtype == np.uint8
    assert (out == 0x80).all()


def test_grey_becomes_bgr() -> None:
    grey = np.full((4, 6), 77, dtype=np.uint8)
    for data in (make.encoded(".png", grey), make.encoded(".jpg", grey)):
        assert decoded(data).picture.shape == (4, 6, 3)
        assert np.abs(decoded(data).picture.astype(int) - 77).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparency_lies_on_white(dtype: type[np.uint8] | type[np.uint16]) -> None:
    most = np.iinfo(dtype).max
    picture = np.zeros((4, 6, 4), dtype=dtype)
    picture[:, :2] = (0, 0, most, most)  # red, opaque
    picture[:, 2:4] = (0, 0, 0, most // 2)  # black, half
    out = decoded(make.encoded(".png", picture)).picture
    assert tuple(out[0, 0]) == RED
    assert abs(int(out[0, 2, 0]) - 128) <= 1
    assert tuple(out[0, 5]) == WHITE


def test_cmyk_jpeg_has_right_colours() -> None:
    # Written as Adobe does, inverted, with its marker: 255 is no ink. Cyan and yellow make green.
    ink = np.full((16, 16, 4), 255, dtype=np.uint8)
    ink[:, :, 0] = ink[:, :, 2] = 0
    data = simplejpeg.encode_jpeg(ink, quality=95, colorspace="CMYK", colorsubsampling="444")
    header = identify(data)
    assert header.channels == 4
    if b"Adobe" not in data:
        data = make.with_segment(data, 0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00")
    assert corners(decoded(data).picture)[0] == GREEN


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".bmp", ".gif"])
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_a_truncated_file_is_an_image_error(extension: str, share: float) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = make.encoded(extension, noise)
    header = identify(whole)
    with pytest.raises(ImageError) as caught:
        decode(whole[: int(len(whole) * share)], header)
    assert caught.value.code in ("truncated", "damaged")


def test_a_truncated_jpeg_says_so() -> None:
    whole = make.jpeg()
    with pytest.raises(ImageError, match="ends early") as caught:
        decode(whole[:-2], identify(whole))
    assert caught.value.code == "truncated"


def test_foreign_bytes_that_do_no_harm_are_forgiven() -> None:
    whole = make.jpeg()
    assert corners(decoded(whole[:-2] + b"zzzz" + whole[-2:]).picture) == UPRIGHT[1]
    assert corners(decoded(whole + b"\x00" * 100).picture) == UPRIGHT[1]


def test_a_second_frame_header_does_not_pass_the_size_check() -> None:
    large = make.jpeg(make.scene(640, 480))
    with pytest.raises(ImageError, match="two sizes"):
        decode(large, ImageHeader("image/jpeg", 64, 48))


@pytest.mark.parametrize(
    ("size", "target", "reduction"),
    [
        ((1280, 720), None, 1),
        ((1280, 720), 416, 2),
        ((720, 1280), 416, 2),
        ((1920, 1080), 416, 4),
        ((4000, 3000), 416, 8),
        ((3327, 100), 416, 8),  # rounded up, an eighth is 416
        ((3320, 100), 416, 4),
        ((400, 300), 416, 1),
    ],
)
def test_reduction_leaves_what_the_network_needs(size: tuple[int, int], target: int | None, reduction: int) -> None:
    assert reduction_for(*size, target) == reduction


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("size", [(1281, 723), (333, 1000)])
def test_scaled_decode_is_the_same_picture_smaller(size: tuple[int, int], orientation: int) -> None:
    smooth = cv2.GaussianBlur(make.scene(*size), (31, 31), 0)
    data = make.jpeg(smooth, orientation=orientation)  # type: ignore[arg-type]
    full, small = decoded(data), decoded(data, target_px=200)
    assert small.reduction == 4
    assert max(small.picture.shape) >= 200
    assert (small.width_px, small.height_px) == (full.width_px, full.height_px)
    back = cv2.resize(full.picture, small.picture.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(back.astype(int) - small.picture.astype(int)).mean() < 3


def test_a_lent_buffer_is_used_and_a_large_picture_gets_its_own() -> None:
    data = make.jpeg()
    buffer = DecodeBuffer(limit_bytes=64 * 48 * 3)
    first = decode(data, identify(data), buffer=buffer).picture
    second = decode(data, identify(data), buffer=buffer).picture
    assert np.shares_memory(first, second)
    large = make.jpeg(make.scene(128, 96))
    assert not np.shares_memory(decode(large, identify(large), buffer=buffer).picture, second)


SAMPLES = [make.encoded(e, make.scene()) for e in (".png", ".webp", ".bmp", ".gif")] + [make.jpeg(orientation=6)]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_files_decode_or_raise_an_image_error(sample: bytes, flips: list[tuple[int, int]]) -> None:
    data = bytearray(sample)
    for at, value in flips:
        data[at % len(data)] = value
    try:
        header = identify(bytes(data))
        if header.width_px * header.height_px > 1_000_000:
            return
        out = decode(bytes(data), header, target_px=32)
    except ImageError:
        return
    assert out.picture.ndim == 3
    assert out.picture.dtype == np.uint8
