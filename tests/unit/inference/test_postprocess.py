"""A network's numbers become a job's result, by known answers."""

from __future__ import annotations

import numpy as np
import pytest

from drag_imaging.letterbox import Placement
from drag_inference.postprocess import decode_yolov8, to_result
from drag_inference.repository import Thresholds

from .doubles import make_spec

SPEC = make_spec()
PLAIN = Placement(1.0, 1.0, 0, 0, 1000, 1000)


def output(*anchors: tuple[float, ...]) -> np.typing.NDArray[np.float32]:
    """`(7, anchors)` from one row an anchor: cx, cy, w, h and three scores."""
    return np.array(anchors, dtype=np.float32).T.copy()


def test_boxes_map_back_through_scale_and_padding() -> None:
    placement = Placement(0.5, 0.5, 0, 10, 200, 100)
    found = decode_yolov8(output((50, 35, 20, 10, 0.1, 0.8, 0.2)), SPEC, placement)
    np.testing.assert_allclose(found.boxes, [[80, 40, 120, 60]])
    assert found.labels.tolist() == [1]
    np.testing.assert_allclose(found.scores, [0.8])


def test_of_two_boxes_on_one_gauge_the_better_stays_but_not_across_labels() -> None:
    found = decode_yolov8(
        output(
            (100, 100, 50, 50, 0.7, 0, 0),
            (102, 100, 50, 50, 0.9, 0, 0),
            (101, 100, 50, 50, 0, 0.8, 0),
            (300, 300, 50, 50, 0.5, 0, 0),
        ),
        SPEC,
        PLAIN,
    )
    np.testing.assert_allclose(found.scores, [0.9, 0.8, 0.5])
    assert found.labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(("min_score", "count"), [(None, 1), (0.2, 2), (0.95, 0)])
def test_the_jobs_threshold_overrides_the_models(min_score: float | None, count: int) -> None:
    raw = output((100, 100, 50, 50, 0.3, 0, 0), (300, 300, 50, 50, 0.6, 0, 0))
    assert len(decode_yolov8(raw, SPEC, PLAIN, min_score).scores) == count


def test_no_more_than_the_models_maximum_best_first() -> None:
    anchors = [(50 + 60 * n, 50, 20, 20, 0.5 + n / 100, 0, 0) for n in range(10)]
    spec = make_spec(thresholds=Thresholds(0.4, 0.5, 3))
    np.testing.assert_allclose(decode_yolov8(output(*anchors), spec, PLAIN).scores, [0.59, 0.58, 0.57], rtol=1e-5)


def test_a_network_that_answers_everything_or_nonsense_does_no_harm() -> None:
    rng = np.random.default_rng(0)
    raw = rng.uniform(0, 1000, (7, 3549)).astype(np.float32)
    raw[4:] = 1.0
    assert len(decode_yolov8(raw, SPEC, PLAIN).scores) <= SPEC.thresholds.max_detections
    raw[:4, ::2] = np.nan
    raw[:4, 1::2] = np.inf
    assert len(decode_yolov8(raw, SPEC, PLAIN).scores) == 0
    raw[4:] = np.nan
    assert len(decode_yolov8(raw, SPEC, PLAIN, min_score=0.0).scores) == 0


def test_result_is_plain_data_in_tenths_of_pixels() -> None:
    placement = Placement(1.0, 1.0, 0, 0, 640, 480)
    found = decode_yolov8(output((100.06, 50, 30.1, 20, 0, 0, 0.91239)), SPEC, placement)
    result = to_result(found, SPEC, placement, orientation=6)
    assert result == {
        "gauges": [
            {
                "kind": "counter",
                "score": 0.9124,
                "box": [85.0, 40.0, 115.1, 60.0],
                "model": "tiny",
                "model_version": "1",
            }
        ],
        "detections": [],
        "image": {"width_px": 640, "height_px": 480, "orientation": 6},
        "model": {"name": "tiny", "version": "1"},
    }
    assert all(type(v) is float for v in result["gauges"][0]["box"])


def test_boxes_end_at_the_picture_and_those_outside_are_dropped() -> None:
    placement = Placement(1.0, 1.0, 0, 0, 100, 80)
    raw = output((95, 75, 40, 40, 0.9, 0, 0), (300, 300, 20, 20, 0.8, 0, 0))
    gauges = to_result(decode_yolov8(raw, SPEC, placement), SPEC, placement, 1)["gauges"]
    assert [gauge["box"] for gauge in gauges] == [[75.0, 55.0, 100.0, 80.0]]


def test_other_detectors_fill_detections_with_labels() -> None:
    spec = make_spec(labels=("valve", "pipe", "analog"))
    result = to_result(decode_yolov8(output((50, 50, 20, 20, 0, 0.9, 0)), spec, PLAIN), spec, PLAIN, 1)
    assert result["gauges"] == []
    assert result["detections"][0]["label"] == "pipe"
    assert "kind" not in result["detections"][0]
