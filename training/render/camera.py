"""What a camera does to a scene: light, shadow, blur, noise, colour, compression."""

from __future__ import annotations

import cv2
import numpy as np

from training.render.patch import Image, Rng


def _shadow(image: Image, rng: Rng) -> None:
    """A soft-edged shadow or patch of sun over part of the scene."""
    size = image.shape[0]
    layer = np.zeros((64, 64), np.float32)
    points = rng.uniform(-20, 84, (int(rng.integers(3, 6)), 2)).astype(np.int32)
    cv2.fillPoly(layer, [cv2.convexHull(points)], 1.0)
    k = int(rng.choice([1, 3, 9]))
    share = cv2.resize(cv2.blur(layer, (k, k)), (size, size))[..., None]
    factor = rng.uniform(0.3, 0.8) if rng.random() < 0.7 else rng.uniform(1.2, 1.8)
    image[:] = np.clip(image * (1 + share * (factor - 1)), 0, 255).astype(np.uint8)


def _tone(image: Image, rng: Rng) -> Image:
    """Exposure, gamma, white balance; sometimes infrared grey or a colour cast."""
    lut = np.linspace(0, 1, 256, dtype=np.float32) ** float(np.exp(rng.normal(0, 0.3)))
    night = rng.random() < 0.1
    gain = rng.uniform(0.15, 0.5) if night else float(np.exp(rng.normal(0, 0.2)))
    lift = rng.uniform(0, 40) if rng.random() < 0.2 else 0.0
    cast = np.exp(rng.normal(0, 0.07 if rng.random() < 0.8 else 0.25, 3))
    tables = [np.clip(lut * 255 * gain * c * (1 - lift / 255) + lift, 0, 255).astype(np.uint8) for c in cast]
    image = np.asarray(cv2.LUT(image, np.stack(tables, 1)[None]), np.uint8)
    if rng.random() < 0.08:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None], 3, 2)
    return image


def _blur(image: Image, rng: Rng) -> Image:
    """Defocus, motion, or loss of resolution."""
    pick = rng.random()
    if pick < 0.35:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.5))), np.uint8)
    if pick < 0.6:
        n = int(rng.integers(3, 12))
        kernel = np.zeros((n, n), np.float32)
        a = rng.uniform(0, np.pi)
        dx, dy = n / 2 * np.cos(a), n / 2 * np.sin(a)
        cv2.line(kernel, (int(n / 2 - dx), int(n / 2 - dy)), (int(n / 2 + dx), int(n / 2 + dy)), 1.0, 1)
        return np.asarray(cv2.filter2D(image, -1, kernel / max(1.0, float(kernel.sum()))), np.uint8)
    size = image.shape[0]
    small = int(size * rng.uniform(0.3, 0.8))
    low = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(low, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def _vignette(image: Image, rng: Rng) -> None:
    line = np.linspace(-1, 1, image.shape[0], dtype=np.float32) ** 2
    fall = 1 - rng.uniform(0.2, 0.6) * (line[:, None] + line[None]) / 2
    image[:] = (image * fall[..., None]).astype(np.uint8)


def shoot(image: Image, rng: Rng) -> Image:
    """The scene `(S, S, 3)` uint8 as a camera would give it."""
    if rng.random() < 0.35:
        _shadow(image, rng)
    if rng.random() < 0.15:
        _vignette(image, rng)
    image = _tone(image, rng)
    if rng.random() < 0.35:
        image = _blur(image, rng)
    if rng.random() < 0.4:
        sigma = float(rng.uniform(2, 18))
        noise = np.empty(image.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, np.zeros(3), np.array([sigma, sigma, sigma * rng.uniform(0.8, 1.2)]))
        image = np.clip(image.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(18, 92))])
        image = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return image
