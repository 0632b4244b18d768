"""Box arithmetic in PyTorch; boxes are `xyxy` in pixels unless a name says otherwise."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def iou_pairs(a: Tensor, b: Tensor) -> Tensor:
    """IoU of broadcastable boxes `(..., 4)`; gives `(...)`."""
    top = torch.maximum(a[..., :2], b[..., :2])
    bottom = torch.minimum(a[..., 2:], b[..., 2:])
    inter = (bottom - top).clamp(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    return inter / (area_a + area_b - inter + 1e-7)


def ciou_pairs(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU of boxes `(..., 4)`: IoU less the distance of centres and the difference of aspect ratios."""
    iou = iou_pairs(a, b)
    span = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    diagonal = span.pow(2).sum(-1) + 1e-7
    offset = ((a[..., :2] + a[..., 2:]) - (b[..., :2] + b[..., 2:])).pow(2).sum(-1) / 4
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    angle_a = torch.atan(size_a[..., 0] / (size_a[..., 1] + 1e-7))
    angle_b = torch.atan(size_b[..., 0] / (size_b[..., 1] + 1e-7))
    v = 4 / math.pi**2 * (angle_a - angle_b).pow(2)
    with torch.no_grad():
        alpha = v / (1 - iou + v + 1e-7)
    return iou - offset / diagonal - alpha * v


def sides_to_boxes(points: Tensor, sides: Tensor) -> Tensor:
    """Cell centres `(A, 2)` and side distances `(N, A, 4)` to boxes `(N, A, 4)`."""
    return torch.cat([points - sides[..., :2], points + sides[..., 2:]], -1)
