"""Task-aligned assignment and the detector's loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from training.boxes import ciou_pairs, iou_pairs, sides_to_boxes

TOP_K = 10
ALPHA, BETA = 0.5, 6.0  # weight of score and overlap in the alignment
BOX_WEIGHT, CLASS_WEIGHT = 5.0, 1.0


@torch.no_grad()
def assign(
    scores: Tensor, boxes: Tensor, points: Tensor, strides: Tensor, labels: Tensor, truth: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Matches cells to gauges.

    Args:
        scores: `(N, A, C)` probabilities.
        boxes: `(N, A, 4)` predictions.
        points: `(A, 2)` cell centres.
        strides: `(A,)`.
        labels: `(N, M)` int64, -1 where there is no gauge.
        truth: `(N, M, 4)`.

    Returns:
        Class targets `(N, A, C)`, box targets `(N, A, 4)`, and weights `(N, A)` (0: background).
    """
    n, _, classes = scores.shape
    valid = labels >= 0
    picked = labels.clamp(min=0)
    score = scores.transpose(1, 2).gather(1, picked[..., None].expand(-1, -1, scores.shape[1]))  # N, M, A
    overlap = iou_pairs(truth[:, :, None], boxes[:, None])
    x, y = points[:, 0], points[:, 1]
    inside = torch.stack([x - truth[..., 0:1], y - truth[..., 1:2], truth[..., 2:3] - x, truth[..., 3:4] - y], -1)
    # A gauge smaller than a cell would hold no centre: cells next to its own centre count as inside too.
    centre = (truth[..., :2] + truth[..., 2:]) / 2
    near = (points - centre[:, :, None]).abs().amax(-1) < 0.75 * strides
    tiny = (truth[..., 2:] - truth[..., :2]).amin(-1, keepdim=True) < 2 * strides
    candidate = ((inside.amin(-1) > 0) | (near & tiny)) & valid[..., None]
    metric = score.pow(ALPHA) * overlap.pow(BETA) * candidate
    best, where = metric.topk(TOP_K, dim=-1)
    mask = torch.zeros_like(metric, dtype=torch.bool).scatter_(-1, where, best > 1e-12)
    # Early on all overlaps may be nil; then the cell nearest to the centre learns.
    distance = (points - centre[:, :, None]).pow(2).sum(-1) + ~candidate * 1e9
    nearest = distance.argmin(-1, keepdim=True)
    lonely = ~mask.any(-1, keepdim=True) & candidate.any(-1, keepdim=True)
    mask |= torch.zeros_like(mask).scatter_(-1, nearest, lonely)
    owner = torch.where(mask, overlap, -1.0).argmax(1, keepdim=True)  # a cell serves one gauge
    mask &= torch.zeros_like(mask).scatter_(1, owner, True)
    metric = metric * mask
    peak, reach = metric.amax(-1, keepdim=True), (overlap * mask).amax(-1, keepdim=True)
    quality = torch.where(peak > 1e-12, metric / peak.clamp(min=1e-12) * reach, mask * 0.1)
    weight, index = quality.amax(1), mask.float().argmax(1)
    boxes_out = truth.gather(1, index[..., None].expand(-1, -1, 4))
    kind = picked.gather(1, index)
    classes_out = torch.zeros(n, scores.shape[1], classes, device=scores.device)
    classes_out.scatter_(2, kind[..., None], weight[..., None])
    return classes_out, boxes_out, weight


def detection_loss(
    logits: Tensor, sides: Tensor, points: Tensor, strides: Tensor, labels: Tensor, truth: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Total, class and box loss of a batch; shapes as in `assign`, `logits` `(N, A, C)`, `sides` `(N, A, 4)`."""
    boxes = sides_to_boxes(points, sides)
    target, box_target, weight = assign(logits.detach().sigmoid(), boxes.detach(), points, strides, labels, truth)
    total = target.sum().clamp(min=1.0)
    probability = logits.sigmoid()
    focus = torch.where(target > 0, torch.ones_like(target), probability.detach().pow(1.5))
    cls = (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * focus).sum() / total
    box = ((1 - ciou_pairs(boxes, box_target)) * weight).sum() / total
    return CLASS_WEIGHT * cls + BOX_WEIGHT * box, cls.detach(), box.detach()
