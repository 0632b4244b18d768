"""Average precision, suppression and matching against worked examples."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy", reason="needs NumPy: pip install -r training/requirements.txt")

from training.metrics import average_precision, match, suppress  # noqa: E402


def test_average_precision_of_a_worked_example() -> None:
    scores, hits = np.array([0.9, 0.8, 0.7], np.float32), np.array([True, False, True])
    assert average_precision(scores, hits, 2) == pytest.approx(0.5 * 1.0 + 0.5 * 2 / 3)


@pytest.mark.parametrize(
    ("labels", "kept"), [([0, 0], [0]), ([0, 1], [0, 1])], ids=["same class: one goes", "two classes: both stay"]
)
def test_suppression_is_within_a_class(labels: list[int], kept: list[int]) -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9]], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    assert suppress(boxes, scores, np.array(labels, np.int64), 0.5).tolist() == kept


def test_one_truth_is_found_once() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    hit, found = match(boxes, np.array([0.5, 0.6], np.float32), np.array([[0, 0, 10, 11]], np.float32))
    assert hit.tolist() == [False, True]
    assert found.tolist() == [True]
