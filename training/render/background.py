"""Backgrounds: crops of photos without gauges, and drawn walls, panels, pipes and noise."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from training.render.patch import Image, Rng, gradient, grey, mix, vivid


def _cloud(rng: Rng, size: int) -> Image:
    """Smooth noise between two colours, in several octaves."""
    field = np.zeros((size, size), np.float32)
    for cells, weight in ((3, 1.0), (9, 0.5), (40, 0.25), (size // 2, rng.uniform(0.0, 0.2))):
        noise = rng.normal(0, 1, (cells, cells)).astype(np.float32)
        field += weight * cv2.resize(noise, (size, size), interpolation=cv2.INTER_LINEAR)
    share = np.clip(0.5 + field * rng.uniform(0.05, 0.35), 0, 1)[..., None]
    a = grey(rng, 0, 255, 40) if rng.random() < 0.7 else vivid(rng, 40)
    b = grey(rng, 0, 255, 40) if rng.random() < 0.7 else vivid(rng, 40)
    return np.asarray(np.array(a, np.float32) * (1 - share) + np.array(b, np.float32) * share, np.uint8)


def _tiles(rng: Rng, size: int) -> Image:
    """Bricks, tiles, planks or panels with joints."""
    image = _cloud(rng, size)
    w, h = int(size * rng.uniform(0.08, 0.5)), int(size * rng.uniform(0.04, 0.5))
    joint = mix(grey(rng, 0, 255), (0, 0, 0), 0.3)
    thick, shift = int(rng.integers(1, 6)), w // 2 if rng.random() < 0.6 else 0
    for j, y in enumerate(range(0, size, max(8, h))):
        x0 = shift if j % 2 else 0
        for x in range(x0 - w, size, max(8, w)):
            view = image[y : y + h, max(0, x) : max(0, x + w)]
            view[:] = np.clip(view.astype(np.int16) + int(rng.normal(0, 12)), 0, 255).astype(np.uint8)
            cv2.line(image, (x, y), (x, y + h), joint, thick)
        cv2.line(image, (0, y), (size, y), joint, thick)
    return image


def _pipes(rng: Rng, size: int) -> Image:
    """Bars with round shading, as pipes, ducts and cabinets."""
    image = _cloud(rng, size)
    for _ in range(int(rng.integers(2, 8))):
        wide = int(size * rng.uniform(0.02, 0.25))
        colour = np.array(grey(rng, 20, 230, 30) if rng.random() < 0.7 else vivid(rng), np.float32)
        curve = np.cos(np.linspace(-1.3, 1.3, max(2, wide), dtype=np.float32))[:, None] * rng.uniform(0.7, 1.2)
        bar = np.clip(curve[..., None] * colour, 0, 255)
        at = int(rng.uniform(-0.1, 1.0) * size)
        lo, hi = max(0, at), min(size, at + len(bar))
        if hi <= lo:
            continue
        if rng.random() < 0.5:
            image[lo:hi] = bar[lo - at : hi - at]
        else:
            image[:, lo:hi] = bar[lo - at : hi - at].transpose(1, 0, 2)
    return image


def _shapes(rng: Rng, size: int) -> Image:
    """Random overlapping polygons and circles."""
    image = _cloud(rng, size)
    for _ in range(int(rng.integers(3, 25))):
        colour = grey(rng, 0, 255, 40) if rng.random() < 0.6 else vivid(rng)
        x, y = (int(v) for v in rng.integers(0, size, 2))
        r = int(size * rng.uniform(0.02, 0.3))
        if rng.random() < 0.3:
            cv2.circle(image, (x, y), r, colour, int(rng.choice([-1, 2, 6])), cv2.LINE_AA)
        else:
            points = np.stack([x + rng.normal(0, r, 4), y + rng.normal(0, r, 4)], 1).astype(np.int32)
            cv2.fillPoly(image, [cv2.convexHull(points)], colour, cv2.LINE_AA)
    return image


def _photo(rng: Rng, size: int, photos: Sequence[Image]) -> Image:
    """A random square crop of a photo, perhaps mirrored or turned."""
    photo = photos[int(rng.integers(len(photos)))]
    h, w = photo.shape[:2]
    side = int(min(h, w) * rng.uniform(0.4, 1.0))
    y, x = int(rng.integers(0, h - side + 1)), int(rng.integers(0, w - side + 1))
    crop = photo[y : y + side, x : x + side]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    if rng.random() < 0.15:
        crop = np.rot90(crop, int(rng.integers(1, 4)))
    return np.asarray(cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def any_background(rng: Rng, size: int, photos: Sequence[Image]) -> Image:
    """A background `(size, size, 3)` uint8 BGR."""
    if len(photos) and rng.random() < 0.62:
        return _photo(rng, size, photos)
    makers = (_cloud, _tiles, _pipes, _shapes)
    image = makers[int(rng.integers(len(makers)))](rng, size)
    if rng.random() < 0.5:
        gradient(image, rng, 80)
    if rng.random() < 0.3:
        image = np.asarray(cv2.blur(image, (5, 5)), np.uint8)
    return image
