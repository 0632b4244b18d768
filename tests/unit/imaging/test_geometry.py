"""Box functions agree with slow, obvious references."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drag_imaging import geometry
from drag_imaging.geometry import clip_boxes, cxcywh_to_xyxy, iou_matrix, nms, xyxy_to_cxcywh

Floats = npt.NDArray[np.float64]
# Whole numbers: areas are exact, so that both sides decide alike at the threshold.
SIDE = st.integers(0, 12)
BOX = st.tuples(SIDE, SIDE, SIDE, SIDE).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
LABELLED = st.lists(st.tuples(BOX, st.integers(0, 20), st.integers(0, 2)), max_size=25)


def slow_iou(a: Floats, b: Floats) -> float:
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, across) * max(0.0, down)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return float(shared / union) if union > 0 else 0.0


def slow_nms(boxes: Floats, scores: Floats, labels: npt.NDArray[np.int64], iou: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda k: (-scores[k], k)):
        if all(labels[i] != labels[k] or slow_iou(boxes[i], boxes[k]) <= iou for k in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize(("few", "block"), [(12, 128), (0, 128), (0, 4), (1000, 128)])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LABELLED, st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_nms_is_the_slow_reference(
    monkeypatch: pytest.MonkeyPatch, few: int, block: int, items: list[tuple[tuple[int, ...], int, int]], iou: float
) -> None:
    monkeypatch.setattr(geometry, "_FEW", few)
    monkeypatch.setattr(geometry, "_NMS_BLOCK", block)
    boxes = np.array([i[0] for i in items], dtype=np.float64).reshape(-1, 4)
    scores = np.array([i[1] / 20 for i in items], dtype=np.float64)
    labels = np.array([i[2] for i in items], dtype=np.int64)
    assert nms(boxes, scores, labels, iou).tolist() == slow_nms(boxes, scores, labels, iou)
    assert nms(boxes, scores, None, iou).tolist() == slow_nms(boxes, scores, np.zeros_like(labels), iou)
    assert nms(boxes, scores, labels, iou, limit=3).tolist() == slow_nms(boxes, scores, labels, iou)[:3]


@settings(max_examples=150, deadline=None)
@given(st.lists(BOX, max_size=8), st.lists(BOX, max_size=8))
def test_iou_is_the_slow_reference(first: list[tuple[int, ...]], second: list[tuple[int, ...]]) -> None:
    a = np.array(first, dtype=np.float64).reshape(-1, 4)
    b = np.array(second, dtype=np.float64).reshape(-1, 4)
    expected = np.array([[slow_iou(x, y) for y in b] for x in a]).reshape(len(a), len(b))
    np.testing.assert_allclose(iou_matrix(a, b), expected)


@given(st.lists(BOX, max_size=8))
def test_conversions_undo_each_other(items: list[tuple[int, ...]]) -> None:
    boxes = np.array(items, dtype=np.float32).reshape(-1, 4)
    np.testing.assert_array_equal(cxcywh_to_xyxy(xyxy_to_cxcywh(boxes)), boxes)
    assert cxcywh_to_xyxy(boxes).dtype == np.float32


def test_clipping_makes_a_new_array() -> None:
    boxes = np.array([[-5.0, 2.0, 50.0, 60.0]])
    np.testing.assert_array_equal(clip_boxes(boxes, 40, 30), [[0, 2, 40, 30]])
    assert boxes[0, 0] == -5.0


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \(N, 4\)"):
        clip_boxes(np.zeros(3), 1, 1)
    with pytest.raises(ValueError, match=r"expected \(2,\), one a box"):
        nms(np.zeros((2, 4)), np.zeros(3), None, 0.5)
