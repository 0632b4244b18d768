"""Boxes: conversions, clipping, overlap, and non-maximum suppression in pure NumPy."""

from __future__ import annotations

from typing import Any, Final

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
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return sides[:, 0] * sides[:, 1]


def iou_matrix(first: Floats, second: Floats) -> Floats:
    """`(N, M)` intersection over union of `(N, 4)` and `(M, 4)` `xyxy`; 0 where both are empty."""
    _check_boxes(first)
    _check_boxes(second)
    corner0 = np.maximum(first[:, None, :2], second[None, :, :2])
    corner1 = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(corner1 - corner0, 0)
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
    if len(boxes) <= _FEW:
        names = None if labels is None else labels.tolist()
        return np.array(_nms_of_few(boxes.tolist(), scores.tolist(), names, iou, limit), dtype=np.intp)
    order = np.argsort(-scores, kind="stable")
    boxes = boxes[order]
    if labels is not None:
        labels = labels[order]
    kept: list[int] = []
    for start in range(0, len(order), _NMS_BLOCK):
        _keep_in_block(kept, slice(start, start + _NMS_BLOCK), boxes, labels, iou, limit)
    return order[kept]


_FEW: Final = 12
"""For so few boxes, the usual picture, plain numbers are faster than arrays."""

_NMS_BLOCK: Final = 128
"""Overlaps are told a block at a time: one call for all pairs of a usual picture, and little memory for an odd one."""


def _nms_of_few(
    boxes: list[list[float]], scores: list[float], labels: list[int] | None, iou: float, limit: int | None
) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if limit is not None and len(kept) >= limit:
            break
        if not any(
            (labels is None or labels[index] == labels[other]) and _iou(boxes[index], boxes[other]) > iou
            for other in kept
        ):
            kept.append(index)
    return kept


def _iou(a: list[float], b: list[float]) -> float:
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    own = max(0.0, a[2] - a[0]) * max(0.0, a[3] - a[1])
    return shared / (own + max(0.0, b[2] - b[0]) * max(0.0, b[3] - b[1]) - shared)


def _keep_in_block(
    kept: list[int],
    block: slice,
    boxes: Floats,
    labels: npt.NDArray[np.integer[Any]] | None,
    iou: float,
    limit: int | None,
) -> None:
    """Appends to `kept` what stays of a block of sorted boxes, beside what was kept before it."""
    if limit is not None and len(kept) >= limit:
        return
    alive = np.ones(len(boxes[block]), dtype=np.bool_)
    if kept:
        alive &= ~np.logical_or.reduce(_suppresses(boxes[kept], boxes[block], labels, kept, block, iou), axis=0)
    within = _suppresses(boxes[block], boxes[block], labels, block, block, iou)
    for index in range(len(alive)):
        if alive[index]:
            kept.append(block.start + index)
            if limit is not None and len(kept) >= limit:
                return
            alive &= ~within[index]


def _suppresses(
    first: Floats,
    second: Floats,
    labels: npt.NDArray[np.integer[Any]] | None,
    first_at: list[int] | slice,
    second_at: slice,
    iou: float,
) -> npt.NDArray[np.bool_]:
    over = iou_matrix(first, second) > iou
    if labels is not None:
        over &= labels[first_at][:, None] == labels[second_at][None, :]
    return over


def _check_boxes(boxes: Floats) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes have shape {boxes.shape}, expected (N, 4)")
