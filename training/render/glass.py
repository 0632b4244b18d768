"""What lies over a face: reflections, dust, scratches, condensation."""

from __future__ import annotations

import cv2
import numpy as np

from training.render.patch import Image, Rng


def _glare(image: Image, rng: Rng, centre: float, radius: float) -> None:
    """Soft patches or streaks of light."""
    height, width = image.shape[:2]
    light = np.zeros((height // 4 + 1, width // 4 + 1), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        x, y = (rng.normal(centre, radius * 0.4, 2) / 4).astype(int)
        axes = [max(1, int(radius / 4 * v)) for v in (rng.uniform(0.05, 0.5), rng.uniform(0.03, 0.2))]
        cv2.ellipse(light, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(60, 255)), -1)
    blur = int(rng.choice([1, 3, 7, 15]))
    light = cv2.resize(cv2.blur(light, (blur, blur)), (width, height))
    image[:] = np.minimum(image + light[..., None] * rng.uniform(0.3, 1.0), 255).astype(np.uint8)


def _band(image: Image, rng: Rng) -> None:
    """A straight-edged reflection of a window or lamp."""
    height, width = image.shape[:2]
    x, w, lean = rng.uniform(0, width), rng.uniform(0.05, 0.5) * width, rng.uniform(-0.7, 0.7) * width
    shape = np.array([[x, 0], [x + w, 0], [x + w + lean, height], [x + lean, height]], np.int32)
    layer = np.zeros((height, width), np.uint8)
    cv2.fillPoly(layer, [shape], 255, cv2.LINE_AA)
    share = layer[..., None].astype(np.float32) / 255 * rng.uniform(0.08, 0.45)
    image[:] = (image * (1 - share) + 255 * share).astype(np.uint8)


def _dust(image: Image, rng: Rng) -> None:
    """A film, specks and scratches."""
    height, width = image.shape[:2]
    small = rng.normal(0, 1, (int(rng.integers(4, 24)),) * 2).astype(np.float32)
    film = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip(film * 0.15 + rng.uniform(0, 0.25), 0, 0.6)[..., None]
    tone = np.array([rng.uniform(60, 200)] * 3, np.float32) * np.array([0.85, 0.95, 1.0], np.float32)
    image[:] = (image * (1 - share) + tone * share).astype(np.uint8)
    for _ in range(int(rng.integers(0, 25))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        cv2.circle(image, (x, y), int(rng.integers(1, 3)), (int(rng.integers(0, 256)),) * 3, -1)
    for _ in range(int(rng.integers(0, 4))):
        a, b = rng.integers(0, width, 2), rng.integers(0, height, 2)
        cv2.line(image, (int(a[0]), int(b[0])), (int(a[1]), int(b[1])), (190, 190, 190), 1, cv2.LINE_AA)


def add_glass(image: Image, rng: Rng, centre: float, radius: float) -> None:
    """A random choice of the above, in place."""
    if rng.random() < 0.35:
        _glare(image, rng, centre, radius)
    if rng.random() < 0.2:
        _band(image, rng)
    if rng.random() < 0.25:
        _dust(image, rng)
