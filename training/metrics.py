"""Detection figures in NumPy: IoU, non-maximum suppression, average precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def iou_matrix(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """IoU `(K, L)` of boxes `(K, 4)` and `(L, 4)`, xyxy."""
    top = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(bottom - top, 0, None).prod(-1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(-1), (b[:, 2:] - b[:, :2]).prod(-1)
    return np.asarray(inter / (area_a[:, None] + area_b[None] - inter + 1e-7), np.float32)


def suppress(boxes: Boxes, scores: NDArray[np.float32], labels: NDArray[np.int64], iou: float) -> NDArray[np.int64]:
    """Indices kept by non-maximum suppression within each class, best first."""
    order = scores.argsort()[::-1]
    kept: list[int] = []
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(int(first))
        same = labels[rest] == labels[first]
        order = rest[~(same & (iou_matrix(boxes[first][None], boxes[rest])[0] > iou))]
    return np.array(kept, np.int64)


def average_precision(scores: NDArray[np.float32], hits: NDArray[np.bool_], truths: int) -> float:
    """Area under the precision-recall curve (all points, precision made monotone); NaN without truths."""
    if truths == 0:
        return float("nan")
    order = scores.argsort()[::-1]
    good = np.cumsum(hits[order])
    recall = np.concatenate([[0.0], good / truths])
    precision = good / (np.arange(len(good)) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * precision)) if len(good) else 0.0


def match(
    boxes: Boxes, scores: NDArray[np.float32], truth: Boxes, iou: float = 0.5
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections `(K,)` of one class hit, and which truths `(L,)` are found; each once, best score first."""
    hit, found = np.zeros(len(boxes), np.bool_), np.zeros(len(truth), np.bool_)
    if not len(boxes) or not len(truth):
        return hit, found
    overlap = iou_matrix(boxes, truth)
    for k in scores.argsort()[::-1]:
        best = int(np.where(found, -1.0, overlap[k]).argmax())
        if not found[best] and overlap[k, best] >= iou:
            hit[k], found[best] = True, True
    return hit, found
