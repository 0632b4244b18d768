"""A picture fits the network's input, and boxes find their way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drag_imaging.letterbox import letterbox, stretch

SIDES = st.integers(1, 700)


def test_wide_picture_lies_in_the_middle_between_bands() -> None:
    picture = np.full((100, 200, 3), 7, dtype=np.uint8)
    out, placement = letterbox(picture, (400, 400), pad=114)
    assert out.shape == (400, 400, 3)
    assert (out[:100] == 114).all()
    assert (out[100:300] == 7).all()
    assert (out[300:] == 114).all()
    assert (placement.scale_x, placement.scale_y, placement.pad_x, placement.pad_y) == (2.0, 2.0, 0, 100)


def test_stretch_fills_the_input() -> None:
    out, placement = stretch(np.full((100, 200, 3), 7, dtype=np.uint8), (400, 600))
    assert (out == 7).all()
    assert (placement.scale_x, placement.scale_y, placement.pad_x, placement.pad_y) == (3.0, 4.0, 0, 0)


def test_known_box_maps_back() -> None:
    _, placement = letterbox(np.zeros((720, 1280, 3), dtype=np.uint8), (416, 416))
    # 1280 -> 416: scale 0.325; 720 -> 234, so 91 rows above
    box = np.array([[65.0, 91.0 + 32.5, 130.0, 91.0 + 65.0]], dtype=np.float32)
    np.testing.assert_allclose(placement.to_source(box), [[200, 100, 400, 200]], atol=1e-3)


def test_boxes_in_the_bands_are_clipped_to_the_picture() -> None:
    _, placement = letterbox(np.zeros((100, 200, 3), dtype=np.uint8), (400, 400))
    mapped = placement.to_source(np.array([[-50, 0, 500, 400]], dtype=np.float32))
    np.testing.assert_array_equal(mapped, [[0, 0, 200, 100]])


def test_source_of_a_picture_that_was_decoded_smaller() -> None:
    half = np.zeros((360, 640, 3), dtype=np.uint8)
    full = np.zeros((720, 1280, 3), dtype=np.uint8)
    assert letterbox(half, (416, 416), source=(1280, 720))[1] == letterbox(full, (416, 416))[1]


@settings(max_examples=150, deadline=None)
@given(SIDES, SIDES, st.integers(1, 300), st.integers(1, 300), st.booleans(), st.data())
def test_round_trip(width: int, height: int, in_width: int, in_height: int, keep: bool, data: st.DataObject) -> None:
    picture = np.full((height, width, 3), 9, dtype=np.uint8)
    fit = letterbox if keep else stretch
    out, placement = fit(picture, (in_height, in_width))
    assert out.shape == (in_height, in_width, 3)
    xs = sorted(data.draw(st.lists(st.floats(0, width, width=32), min_size=2, max_size=2)))
    ys = sorted(data.draw(st.lists(st.floats(0, height, width=32), min_size=2, max_size=2)))
    box = np.array([[xs[0], ys[0], xs[1], ys[1]]], dtype=np.float32)
    inside = placement.to_input(box)
    assert (inside >= -1e-3).all()
    assert inside[0, 2] <= in_width + 1e-2
    assert inside[0, 3] <= in_height + 1e-2
    np.testing.assert_allclose(placement.to_source(inside), box, atol=max(width, height) * 1e-3)


@pytest.mark.parametrize("size", [(48, 64), (416, 416), (10, 10)])
def test_inputs_are_never_changed_nor_shared(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    before = picture.copy()
    for out, _ in (letterbox(picture, size), stretch(picture, size)):
        out[:] = 0
        np.testing.assert_array_equal(picture, before)


def test_shrinking_averages_instead_of_skipping() -> None:
    stripes = np.zeros((600, 600, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    out, _ = letterbox(stripes, (100, 100))
    assert np.abs(out.astype(int) - 127).max() <= 2
