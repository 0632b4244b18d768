"""The overlay shows boxes where the result says, at any size, and changes nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import simplejpeg

from drag_imaging.decode import decode
from drag_imaging.header import identify
from drag_imaging.overlay import annotated_jpeg, colour_of, draw

from . import pictures as make


def result(box: list[float], kind: str = "analog", score: float = 0.93) -> dict[str, Any]:
    return {"gauges": [{"kind": kind, "score": score, "box": box}], "detections": []}


def changed(data: bytes, answer: dict[str, Any]) -> tuple[Any, Any]:
    decoded = decode(data, identify(data))
    drawn = draw(decoded, answer)
    return drawn, (drawn.astype(int) - decoded.picture.astype(int) != 0).any(axis=2)


def test_box_is_drawn_where_the_result_says() -> None:
    data = make.jpeg(np.zeros((600, 800, 3), dtype=np.uint8))
    drawn, touched = changed(data, result([200.0, 300.0, 500.0, 500.0]))
    assert tuple(drawn[400, 200]) == colour_of("analog")
    assert tuple(drawn[500, 350]) == colour_of("analog")
    assert not touched[320:480, 220:480].any()  # inside the box
    assert not touched[520:, :].any()  # below it


def test_boxes_of_the_upright_original_fit_a_turned_and_scaled_picture() -> None:
    data = make.jpeg(np.zeros((1000, 3000, 3), dtype=np.uint8), orientation=6)
    jpeg = annotated_jpeg(data, result([100.0, 600.0, 900.0, 2400.0]), max_side_px=1500)
    picture = simplejpeg.decode_jpeg(jpeg, "BGR")
    assert picture.shape == (1500, 500, 3)
    bright = np.argwhere(picture[320:, :].max(axis=2) > 120)  # below the label
    assert abs(bright[:, 1].min() - 50) <= 4
    assert abs(bright[:, 1].max() - 450) <= 4
    assert abs(bright[:, 0].max() + 320 - 1200) <= 4


@pytest.mark.parametrize("size", [(1, 1), (16, 12), (40, 600), (4000, 300)])
@pytest.mark.parametrize("box", [[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 4000.0, 600.0], [3999.0, 599.0, 4000.0, 600.0]])
def test_any_size_and_any_place_are_drawn(size: tuple[int, int], box: list[float]) -> None:
    data = make.jpeg(np.zeros((size[1], size[0], 3), dtype=np.uint8))
    out = identify(annotated_jpeg(data, result(box, kind="Zähler " * 9)))
    assert max(out.width_px, out.height_px) == min(2048, max(size))


def test_label_is_legible_on_small_and_large_pictures() -> None:
    for width, height in ((320, 240), (2000, 1500)):
        data = make.jpeg(np.full((height, width, 3), 40, dtype=np.uint8))
        box = [width * 0.25, height * 0.5, width * 0.75, height * 0.9]
        drawn, touched = changed(data, result(box))
        label = touched[: int(height * 0.5) - 4]
        rows = np.flatnonzero(label.any(axis=1))
        assert len(rows) >= max(12, height // 40)
        strip = drawn[rows[len(rows) // 2], touched[rows[len(rows) // 2]]]
        assert strip.max() > 200  # light ground
        assert strip.max(axis=1).min() < 80  # dark words


def test_nothing_found_leaves_the_picture_alone() -> None:
    _, touched = changed(make.jpeg(), {"gauges": [], "detections": []})
    assert not touched.any()


def test_detections_of_other_pipelines_are_drawn_by_their_label() -> None:
    answer = {"gauges": [], "detections": [{"label": "valve", "score": 0.5, "box": [10, 10, 40, 40]}]}
    _, touched = changed(make.jpeg(), answer)
    assert touched.any()
