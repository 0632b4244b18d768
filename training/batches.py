"""Batches drawn from the pools and augmented on the training device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training import augment
from training.pool import Pool


@dataclass
class Sampler:
    """Draws pictures from renders and real photos and augments them.

    `share`: part of real photos; `chance`: their sampling weights `(P,)`; `mosaics`: part of four-in-one pictures.
    """

    renders: Pool | None
    real: Pool | None
    chance: Tensor | None
    share: float
    mosaics: float = 0.35

    def _draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """`count` pictures `(N, 3, S, S)` with boxes and labels, as they lie in the pools."""
        real = 0 if self.real is None else count if self.renders is None else round(count * self.share)
        parts = []
        if real and self.real is not None and self.chance is not None:
            index = torch.multinomial(self.chance, real, replacement=True)
            parts.append((self.real.images[index], self.real.boxes[index], self.real.labels[index]))
        if count > real and self.renders is not None:
            index = torch.randint(0, self.renders.filled, (count - real,), device=self.renders.images.device)
            parts.append((self.renders.images[index], self.renders.boxes[index], self.renders.labels[index]))
        images, boxes, labels = (torch.cat(p) for p in zip(*parts, strict=True))
        order = torch.randperm(count, device=images.device)
        return images[order].permute(0, 3, 1, 2).float(), boxes[order], labels[order]

    def batch(self, count: int, out: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images `(N, 3, out, out)` 0..255, boxes `(N, M, 4)` xyxy and labels `(N, M)`, -1 where none."""
        four = round(count * self.mosaics)
        parts = []
        if count > four:
            images, boxes, labels = self._draw(count - four)
            parts.append(augment.warp(images, boxes, labels, out, (0.5, 1.5)))
        if four:
            images, boxes, labels = self._draw(4 * four)
            if (
                torch.rand(()) < 0.6
            ):  # a fair reduction; else the aliasing of plain sampling, which deployments have too
                images, boxes = torch.nn.functional.avg_pool2d(images, 2), boxes / 2
            parts.append(augment.mosaic(images, boxes, labels, out))
        images, boxes, labels = (torch.cat(p) for p in zip(*parts, strict=True))
        return augment.erase(augment.colour(images)), boxes, labels
