"""Augmentation of whole batches on the training device: geometry, mosaics, colour, noise, blur."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from training.model import PAD
from training.pool import MOST


def _uniform(n: int, low: float, high: float, device: torch.device) -> Tensor:
    return torch.empty(n, device=device).uniform_(low, high)


def warp(
    images: Tensor, boxes: Tensor, labels: Tensor, out: int, zoom: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Random zoom, aspect, turn, flip and shift.

    Args:
        images: `(N, 3, S, S)` float.
        boxes: `(N, M, 4)` xyxy.
        labels: `(N, M)`, -1 where none.
        out: side of the result.
        zoom: range of the scale, 1 fits the whole picture.

    Returns:
        Images `(N, 3, out, out)` and the boxes and labels that are still to be seen.
    """
    n, size, device = len(images), images.shape[-1], images.device
    scale = torch.exp(_uniform(n, math.log(zoom[0]), math.log(zoom[1]), device))
    aspect = torch.exp(torch.randn(n, device=device) * 0.08)
    angle = torch.randn(n, device=device) * math.radians(3.5)
    angle = torch.where(torch.rand(n, device=device) < 0.12, _uniform(n, -0.35, 0.35, device), angle)
    quarter = torch.randint(1, 4, (n,), device=device) * (math.pi / 2)
    angle = angle + torch.where(torch.rand(n, device=device) < 0.06, quarter, torch.zeros_like(quarter))
    flip = torch.where(torch.rand(n, device=device) < 0.3, -1.0, 1.0)
    c, s = torch.cos(angle), torch.sin(angle)
    sx, sy = scale * aspect.sqrt(), scale / aspect.sqrt()
    # forward, in units of half a side: x' = R diag(sx flip, sy) x + t
    forward = torch.stack([torch.stack([c * sx * flip, -s * sy], -1), torch.stack([s * sx * flip, c * sy], -1)], -2)
    room = (scale - 1).abs()[:, None] + 0.1
    shift = (torch.rand(n, 2, device=device) * 2 - 1) * room
    inverse = torch.linalg.inv(forward)
    theta = torch.cat([inverse, -(inverse @ shift[..., None])], -1)
    grid = F.affine_grid(theta.to(images.dtype), [n, 3, out, out], align_corners=False)
    fill = torch.where(
        torch.rand(n, 1, 1, 1, device=device) < 0.7, float(PAD), torch.rand(n, 1, 1, 1, device=device) * 255
    )
    fill = fill.to(images.dtype)
    warped = F.grid_sample(images - fill, grid, mode="bilinear", align_corners=False) + fill
    return warped, *_move(boxes, labels, forward, shift, size, out)


def _move(boxes: Tensor, labels: Tensor, forward: Tensor, shift: Tensor, size: int, out: int) -> tuple[Tensor, Tensor]:
    """Boxes through the same affine map; those less than 40 % inside, or tiny, lose their label."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / size - 1
    half = (boxes[..., 2:] - boxes[..., :2]) / size
    centre = centre @ forward.transpose(1, 2) + shift[:, None]
    corners = half @ forward.abs().transpose(1, 2)
    ellipse = (half.pow(2) @ forward.pow(2).transpose(1, 2)).clamp(min=0).sqrt()
    dial = (labels == 0)[..., None]
    half = torch.where(dial, 0.3 * corners + 0.7 * ellipse, corners)
    moved = (torch.cat([centre - half, centre + half], -1) + 1) * (out / 2)
    inside = moved.clamp(0, out)
    area = (moved[..., 2:] - moved[..., :2]).prod(-1)
    left = (inside[..., 2:] - inside[..., :2]).prod(-1)
    seen = (left > 0.4 * area) & ((inside[..., 2:] - inside[..., :2]).amin(-1) > 5)
    return inside, torch.where(seen, labels, -1)


def mosaic(images: Tensor, boxes: Tensor, labels: Tensor, out: int) -> tuple[Tensor, Tensor, Tensor]:
    """Four pictures in one: takes `4 N` pictures, gives `N`; shapes as in `warp`."""
    half = out // 2
    tiles, boxes, labels = warp(images, boxes, labels, half, (0.75, 1.9))
    n = len(tiles) // 4
    tiles = tiles.reshape(n, 2, 2, 3, half, half).permute(0, 3, 1, 4, 2, 5).reshape(n, 3, out, out)
    offset = torch.tensor([[0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1]], device=boxes.device) * half
    boxes = (boxes.reshape(n, 4, -1, 4) + offset[None, :, None]).reshape(n, -1, 4)
    labels = labels.reshape(n, -1)
    order = (labels < 0).long().argsort(dim=1, stable=True)[:, :MOST]
    return tiles, boxes.gather(1, order[..., None].expand(-1, -1, 4)), labels.gather(1, order)


def colour(images: Tensor) -> Tensor:
    """Light, contrast, gamma, casts, grey, noise and blur, each on a share of the pictures; 0..255 in and out."""
    n, device, kind = len(images), images.device, images.dtype

    def some(share: float) -> Tensor:
        return torch.rand(n, 1, 1, 1, device=device) < share

    x = images.float() / 255
    gain = torch.exp(torch.randn(n, 1, 1, 1, device=device) * 0.18)
    cast = torch.exp(torch.randn(n, 3, 1, 1, device=device) * 0.06)
    mean = x.mean((1, 2, 3), keepdim=True)
    contrast = torch.exp(torch.randn(n, 1, 1, 1, device=device) * 0.18)
    x = torch.where(some(0.7), ((x - mean) * contrast + mean) * gain * cast, x)
    x = torch.where(some(0.25), x.clamp(0, 1) ** torch.exp(torch.randn(n, 1, 1, 1, device=device) * 0.35), x)
    grey = x.mean(1, keepdim=True).expand_as(x)
    share = torch.rand(n, 1, 1, 1, device=device)
    x = torch.where(some(0.2), grey + (x - grey) * share * 1.6, x)
    x = torch.where(some(0.06), grey, x)
    x = torch.where(some(0.05), x[:, [2, 1, 0]], x)
    x = torch.where(some(0.02), 1 - x, x)
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = torch.where(some(0.15), soft, x)
    x = torch.where(some(0.05), F.avg_pool2d(F.pad(soft, (2, 2, 2, 2), mode="replicate"), 5, 1), x)
    noise = torch.randn_like(x) * (torch.rand(n, 1, 1, 1, device=device) * 0.06)
    x = torch.where(some(0.25), x + noise, x)
    return (x.clamp(0, 1) * 255).to(kind)


def erase(images: Tensor) -> Tensor:
    """A rectangle of one colour over part of some pictures, so that half-hidden gauges are learnt."""
    n, size, device = len(images), images.shape[-1], images.device
    line = torch.arange(size, device=device)
    x, y = _uniform(n, 0, size, device), _uniform(n, 0, size, device)
    w, h = _uniform(n, 0.02, 0.16, device) * size, _uniform(n, 0.02, 0.16, device) * size
    inside_x = (line > x[:, None]) & (line < (x + w)[:, None])
    inside_y = (line > y[:, None]) & (line < (y + h)[:, None])
    hit = inside_y[:, None, :, None] & inside_x[:, None, None, :] & (torch.rand(n, 1, 1, 1, device=device) < 0.2)
    return torch.where(hit, (torch.rand(n, 3, 1, 1, device=device) * 255).to(images.dtype), images)
