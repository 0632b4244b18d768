"""Boxes: conversions, clipping, overlap, and non-maximum suppression in pure NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.intp]


def cxcywh_to_xyxy(boxes: Floats) -> Floats:
    """`(N, 4)` centre and size to `(N, 4)` corners; a new array of the same type."""
    _check_boxes(boxes)
    half = boxes[:, 2:] / 2
    return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)


def xyxy_to_cxcywh(boxes: Floats) -> Floats:
    """`(N, 4)` corners to `(N, 4)` centre and size; a new array of the same type."""
    _check_boxes(boxes)
    return np.concatenate(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), axis=1)


def clip_boxes(boxes: Floats, width: float, height: float) -> Floats:
    """`(N, 4)` `xyxy`, clipped to a picture of `width` x `height`; a new array."""
    _check_boxes(boxes)
    limit = np.array([width, height, width, height], dtype=boxes.dtype)
    return np.clip(boxes, 0, limit)


def areas(boxes: Floats) -> Floats:
    """`(N,)` areas of `(N, 4)` `xyxy`; an inverted box has none."""
    return np.clip(boxes[:, 2] - boxes[:, 0], 0, None) * np.clip(boxes[:, 3] - boxes[:, 1], 0, None)


def iou_matrix(first: Floats, second: Floats) -> Floats:
    """`(N, M)` intersection over union of `(N, 4)` and `(M, 4)` `xyxy`; 0 where both are empty."""
    _check_boxes(first)
    _check_boxes(second)
    corner0 = np.maximum(first[:, None, :2], second[None, :, :2])
    corner1 = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.clip(corner1 - corner0, 0, None)
    shared = sides[..., 0] * sides[..., 1]
    union = areas(first)[:, None] + areas(second)[None, :] - shared
    overlap: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def nms(
    boxes: Floats, scores: Floats, labels: npt.NDArray[np.integer[Any]] | None, iou: float, limit: int | None = None
) -> Indices:
    """Keeps the best of the boxes that overlap.

    Args:
        boxes: `(N, 4)` `xyxy`.
        scores: `(N,)`.
        labels: `(N,)`; boxes of different labels never suppress one another. None: all are of one label.
        iou: overlap above which the lower score goes.
        limit: how many to keep at most.

    Returns:
        Indices of what is kept, best score first; of equal scores the one that came first wins.
    """
    _check_boxes(boxes)
    if scores.shape != (len(boxes),):
        raise ValueError(f"scores have shape {scores.shape}, expected {(len(boxes),)}, one a box")
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order) and (limit is None or len(kept) < limit):
        best = order[0]
        kept.append(int(best))
        rest = order[1:]
        suppressed = iou_matrix(boxes[best][None], boxes[rest])[0] > iou
        if labels is not None:
            suppressed &= labels[rest] == labels[best]
        order = rest[~suppressed]
    return np.array(kept, dtype=np.intp)


def _check_boxes(boxes: Floats) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes have shape {boxes.shape}, expected (N, 4)")
