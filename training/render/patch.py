"""A patch: a flat drawn object with transparency and the outlines of the gauges on it."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Points = NDArray[np.float32]
Rng = np.random.Generator
Colour = tuple[int, int, int]


@dataclass
class Item:
    """One gauge on a patch: its kind and its outline `(K, 2)` float32 xy in pixels of the patch."""

    kind: str
    outline: Points


@dataclass
class Patch:
    """`image` `(H, W, 3)` uint8 BGR, `alpha` `(H, W)` uint8, and the gauges on it."""

    image: Image
    alpha: Image
    items: list[Item] = field(default_factory=list)


def blank(height: int, width: int, colour: Colour = (0, 0, 0), alpha: int = 0) -> Patch:
    """A patch of one colour."""
    return Patch(np.full((height, width, 3), colour, np.uint8), np.full((height, width), alpha, np.uint8))


def ellipse_outline(cx: float, cy: float, rx: float, ry: float, count: int = 32) -> Points:
    """Outline `(count, 2)` of an upright ellipse."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)], 1).astype(np.float32)


def rect_outline(x0: float, y0: float, x1: float, y1: float) -> Points:
    """Corners `(4, 2)` of a rectangle."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


def grey(rng: Rng, low: int, high: int, tint: int = 12) -> Colour:
    """A grey between `low` and `high` with a slight tint."""
    base = int(rng.integers(low, high + 1))
    b, g, r = (int(np.clip(base + rng.integers(-tint, tint + 1), 0, 255)) for _ in range(3))
    return b, g, r


def vivid(rng: Rng, value_low: int = 90) -> Colour:
    """A saturated colour."""
    hsv = np.array([[[rng.integers(0, 180), rng.integers(130, 256), rng.integers(value_low, 256)]]], np.uint8)
    b, g, r = (int(v) for v in cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0])
    return b, g, r


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with `share` of `b`."""
    x, y, z = (int(p * (1 - share) + q * share) for p, q in zip(a, b, strict=True))
    return x, y, z


def rounded_mask(height: int, width: int, radius: int) -> Image:
    """`(H, W)` uint8 mask of a rounded rectangle that fills the picture, less a pixel of margin."""
    mask = np.zeros((height, width), np.uint8)
    radius = max(0, min(radius, height // 2 - 2, width // 2 - 2))
    cv2.rectangle(mask, (1 + radius, 1), (width - 2 - radius, height - 2), 255, -1)
    cv2.rectangle(mask, (1, 1 + radius), (width - 2, height - 2 - radius), 255, -1)
    for x in (1 + radius, width - 2 - radius):
        for y in (1 + radius, height - 2 - radius):
            cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA)
    return mask


def paste(target: Image, image: Image, alpha: NDArray[np.generic], x: int, y: int) -> None:
    """Blends `image` `(h, w, 3)` with `alpha` `(h, w)` (uint8) into `target` at its top left corner, clipped."""
    height, width = image.shape[:2]
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(target.shape[1], x + width), min(target.shape[0], y + height)
    if x1 <= x0 or y1 <= y0:
        return
    part = image[y0 - y : y1 - y, x0 - x : x1 - x]
    a = alpha[y0 - y : y1 - y, x0 - x : x1 - x, None].astype(np.float32) / 255.0
    view = target[y0:y1, x0:x1]
    view[:] = (view * (1 - a) + part * a + 0.5).astype(np.uint8)


def put_patch(target: Patch, patch: Patch, x: int, y: int) -> None:
    """Pastes a patch onto another one and takes its gauges along."""
    paste(target.image, patch.image, patch.alpha, x, y)
    for item in patch.items:
        target.items.append(Item(item.kind, item.outline + np.array([x, y], np.float32)))


def resized(patch: Patch, width: int, height: int) -> Patch:
    """A copy of another size."""
    fx, fy = width / patch.image.shape[1], height / patch.image.shape[0]
    items = [Item(i.kind, i.outline * np.array([fx, fy], np.float32)) for i in patch.items]
    image = cv2.resize(patch.image, (width, height), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(patch.alpha, (width, height), interpolation=cv2.INTER_AREA)
    return Patch(np.asarray(image, np.uint8), np.asarray(alpha, np.uint8), items)


def gradient(image: Image, rng: Rng, strength: float = 40.0) -> None:
    """Adds a linear ramp of light in place."""
    height, width = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    ys = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * np.sin(angle)
    xs = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None] * np.cos(angle)
    ramp = (ys + xs) * rng.uniform(-strength, strength)
    image[:] = np.clip(image + ramp[..., None], 0, 255).astype(np.uint8)
