"""From a network's output to a job's result; pure NumPy, knows no Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from drag_imaging.geometry import cxcywh_to_xyxy, nms
from drag_imaging.letterbox import Placement
from drag_inference.repository import ModelSpec

GAUGE_KINDS: Final = frozenset(("analog", "digital", "counter"))
"""A detector whose labels are all of these finds gauges; any other finds detections."""

_MAX_CANDIDATES: Final = 1000


@dataclass(frozen=True, slots=True)
class Detections:
    """What was found in one picture, best score first.

    Attributes:
        boxes: `(N, 4)` float32 `xyxy`, pixels of the upright original.
        scores: `(N,)` float32, 0..1.
        labels: `(N,)` class numbers.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.intp]


def decode_yolov8(
    output: npt.NDArray[np.float32], spec: ModelSpec, placement: Placement, min_score: float | None = None
) -> Detections:
    """Reads the head `yolov8`.

    Args:
        output: `(4 + labels, anchors)`: centre and size in input pixels, then a score for each label.
        spec: the model.
        placement: where the original lies in the input.
        min_score: the job's own threshold; None: the model's.
    """
    threshold = spec.thresholds.score if min_score is None else min_score
    by_label = output[4:]
    best = by_label.max(axis=0)
    candidates = np.flatnonzero(best >= threshold)
    if len(candidates) > _MAX_CANDIDATES:
        order = np.argsort(-best[candidates], kind="stable")[:_MAX_CANDIDATES]
        candidates = candidates[order]
    raw = output[:4, candidates]
    sound = np.isfinite(raw).all(axis=0)
    if not sound.all():
        candidates, raw = candidates[sound], raw[:, sound]
    if len(candidates) == 0:
        return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.intp))
    boxes = cxcywh_to_xyxy(raw.T)
    scores, labels = best[candidates], by_label[:, candidates].argmax(axis=0)
    kept = nms(boxes, scores, labels, spec.thresholds.iou, spec.thresholds.max_detections)
    return Detections(placement.to_source(boxes[kept].astype(np.float32)), scores[kept], labels[kept])


def to_result(found: Detections, spec: ModelSpec, placement: Placement, orientation: int) -> dict[str, Any]:
    """A job's result: plain data, boxes to a tenth of a pixel; a box with nothing left in the picture is dropped."""
    gauges = GAUGE_KINDS.issuperset(spec.labels)
    word = "kind" if gauges else "label"
    items = []
    boxes = np.round(found.boxes.astype(np.float64), 1).tolist()
    scores = np.round(found.scores.astype(np.float64), 4).tolist()
    for box, score, label in zip(boxes, scores, found.labels.tolist(), strict=True):
        if box[0] < box[2] and box[1] < box[3]:
            items.append(
                {
                    word: spec.labels[label],
                    "score": min(1.0, score),
                    "box": box,
                    "model": spec.name,
                    "model_version": spec.version,
                }
            )
    return {
        "gauges": items if gauges else [],
        "detections": [] if gauges else items,
        "image": {
            "width_px": placement.source_width,
            "height_px": placement.source_height,
            "orientation": orientation,
        },
        "model": {"name": spec.name, "version": spec.version},
    }
