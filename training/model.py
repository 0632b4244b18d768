"""The gauge detector: EfficientNet-Lite0, a light two-way pyramid and an anchor-free head."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.backbone import TAP_CHANNELS, Lite0
from training.classes import LABELS

STRIDES = (8, 16, 32)
SIZE = 416  # side of the square input, pixels
PAD = 114  # grey of the letterbox


class Separable(nn.Module):
    """Depthwise 5x5 then pointwise convolution, each normalized and rectified."""

    def __init__(self, cin: int, cout: int, stride: int = 1) -> None:
        super().__init__()
        self.depth = nn.Conv2d(cin, cin, 5, stride, 2, groups=cin, bias=False)
        self.norm1 = nn.BatchNorm2d(cin, eps=1e-3, momentum=0.03)
        self.point = nn.Conv2d(cin, cout, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(cout, eps=1e-3, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.norm1(self.depth(x)))
        return F.relu6(self.norm2(self.point(x)))


class Lateral(nn.Module):
    """Pointwise convolution that brings a backbone map to the pyramid's width."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, 1, bias=False)
        self.norm = nn.BatchNorm2d(cout, eps=1e-3, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(self.norm(self.conv(x)))


class Pyramid(nn.Module):
    """Top-down, then bottom-up fusion of three maps (PAN) at one width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList([Lateral(c, width) for c in TAP_CHANNELS])
        self.down4 = Separable(2 * width, width)
        self.down3 = Separable(2 * width, width)
        self.pool3 = Separable(width, width, stride=2)
        self.pool4 = Separable(width, width, stride=2)
        self.up4 = Separable(2 * width, width)
        self.up5 = Separable(2 * width, width)

    def forward(self, taps: list[Tensor]) -> list[Tensor]:
        c3, c4, c5 = (lateral(t) for lateral, t in zip(self.lateral, taps, strict=True))
        m4 = self.down4(torch.cat([c4, F.interpolate(c5, scale_factor=2.0)], 1))
        p3 = self.down3(torch.cat([c3, F.interpolate(m4, scale_factor=2.0)], 1))
        p4 = self.up4(torch.cat([m4, self.pool3(p3)], 1))
        p5 = self.up5(torch.cat([c5, self.pool4(p4)], 1))
        return [p3, p4, p5]


class Head(nn.Module):
    """Class logits and distances to the four sides, for one level."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.cls = nn.Sequential(Separable(width, width), Separable(width, width))
        self.reg = nn.Sequential(Separable(width, width), Separable(width, width))
        self.cls_out = nn.Conv2d(width, classes, 1)
        self.reg_out = nn.Conv2d(width, 4, 1)
        nn.init.constant_(self.cls_out.bias, -math.log((1 - 0.01) / 0.01))  # type: ignore[arg-type]
        nn.init.constant_(self.reg_out.bias, 2.0)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.cls_out(self.cls(x)), self.reg_out(self.reg(x))


def anchor_points(size: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Cell centres `(A, 2)` float32 xy in pixels of the input, and their strides `(A,)`, levels one after the other."""
    points, strides = [], []
    for stride in STRIDES:
        n = size // stride
        line = (torch.arange(n, device=device, dtype=torch.float32) + 0.5) * stride
        ys, xs = torch.meshgrid(line, line, indexing="ij")
        points.append(torch.stack([xs, ys], -1).reshape(-1, 2))
        strides.append(torch.full((n * n,), float(stride), device=device))
    return torch.cat(points), torch.cat(strides)


class Detector(nn.Module):
    """Raw outputs for training: logits `(N, A, C)` and side distances `(N, A, 4)` in pixels, left top right bottom."""

    def __init__(self, width: int = 96, classes: int = len(LABELS)) -> None:
        super().__init__()
        self.classes = classes
        self.backbone = Lite0()
        self.pyramid = Pyramid(width)
        self.heads = nn.ModuleList([Head(width, classes) for _ in STRIDES])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`x`: `(N, 3, S, S)` float BGR, 0..255."""
        maps = self.pyramid(self.backbone((x - 127.0) / 128.0))
        logits, sides = [], []
        for head, level, stride in zip(self.heads, maps, STRIDES, strict=True):
            cls, reg = head(level)
            cells = int(cls.shape[2]) * int(cls.shape[3])  # a constant in the exported graph
            logits.append(cls.reshape(-1, self.classes, cells))
            sides.append(F.softplus(reg.float().reshape(-1, 4, cells)) * stride)
        return torch.cat(logits, 2).transpose(1, 2).float(), torch.cat(sides, 2).transpose(1, 2)


class Deployed(nn.Module):
    """The graph that ships: uint8 NHWC BGR in; `(N, 4 + C, A)` float32 cx, cy, w, h (pixels) and scores 0..1 out."""

    points: Tensor

    def __init__(self, detector: Detector, size: int = SIZE) -> None:
        super().__init__()
        self.detector = detector
        points, _ = anchor_points(size)
        self.register_buffer("points", points.T[None].contiguous())

    def forward(self, images: Tensor) -> Tensor:
        x = images.permute(0, 3, 1, 2).float()
        logits, sides = self.detector(x)
        sides, logits = sides.transpose(1, 2), logits.transpose(1, 2)
        before, after = sides[:, :2], sides[:, 2:]
        centre = self.points + (after - before) * 0.5
        return torch.cat([centre, before + after, logits.sigmoid()], 1)
