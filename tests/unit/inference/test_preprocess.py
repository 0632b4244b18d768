"""What the network sees of a picture, by known answers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import drag_imaging.decode
from drag_imaging.header import identify
from drag_inference.preprocess import pack, prepare

from .doubles import make_input


def encoded(picture: np.typing.NDArray[np.uint8], extension: str = ".png") -> bytes:
    done, data = cv2.imencode(extension, picture)
    assert done
    return bytes(data)


def test_letterboxed_picture_and_its_placement() -> None:
    data = encoded(np.full((50, 100, 3), (10, 20, 30), dtype=np.uint8))
    prepared = prepare(data, identify(data), make_input(width=64, height=64))
    assert (prepared.picture[:16] == 114).all()
    assert (prepared.picture[16:48] == (10, 20, 30)).all()
    assert (prepared.placement.source_width, prepared.placement.source_height) == (100, 50)


@pytest.mark.parametrize(("resize", "longest"), [("letterbox", 250), ("stretch", 500)])
def test_a_large_jpeg_is_decoded_smaller_but_never_blown_up_again(
    monkeypatch: pytest.MonkeyPatch, resize: str, longest: int
) -> None:
    # 2000 x 1000 into 200 x 200: a letterbox needs 200 across (an eighth is 250), stretching 200 down (400 across)
    import drag_inference.preprocess as module

    seen = []
    original = drag_imaging.decode.decode

    def spy(*args: object, **kwargs: object) -> object:
        decoded = original(*args, **kwargs)  # type: ignore[arg-type]
        seen.append(max(decoded.picture.shape))
        return decoded

    monkeypatch.setattr(module, "decode", spy)
    data = encoded(np.full((1000, 2000, 3), 90, dtype=np.uint8), ".jpg")
    prepared = prepare(data, identify(data), make_input(width=200, height=200, resize=resize))
    assert seen == [longest]
    assert (prepared.placement.source_width, prepared.placement.source_height) == (2000, 1000)


PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_pack_orders_colours_axes_and_types(colour: str, layout: str, dtype: str) -> None:
    spec = make_input(width=3, height=2, colour=colour, layout=layout, dtype=dtype)
    memory = np.zeros(spec.batch_shape(4), dtype=dtype)
    out = pack([PICTURE, PICTURE + 1], spec, memory)
    assert out.shape == spec.batch_shape(2)
    assert np.shares_memory(out, memory)
    blue = out[1, :, :, 0 if colour == "bgr" else 2] if layout == "nhwc" else out[1, 0 if colour == "bgr" else 2]
    np.testing.assert_array_equal(blue, PICTURE[:, :, 0] + 1)
    assert (memory[2:] == 0).all()


def test_pack_normalizes_in_colour_order() -> None:
    mean, std = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)
    spec = make_input(width=3, height=2, colour="rgb", layout="nchw", dtype="float32", mean=mean, std=std)
    out = pack([PICTURE], spec, np.zeros(spec.batch_shape(1), dtype=np.float32))
    for channel in range(3):  # 0 is red, which is 2 in BGR
        expected = (PICTURE[:, :, 2 - channel].astype(np.float32) - mean[channel]) / std[channel]
        np.testing.assert_allclose(out[0, channel], expected)
