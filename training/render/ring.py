"""Bezels, flanges and the shadow of the rim on round gauges."""

from __future__ import annotations

import cv2
import numpy as np

from training.render.patch import Colour, Image, Patch, Rng, grey, mix, vivid


def _metal(size: int, rng: Rng, tint: Colour) -> Image:
    """`(size, size, 3)` of a turned metal: light by angle."""
    line = np.arange(size, dtype=np.float32) - size / 2
    angle = np.arctan2(line[:, None], line[None])
    phase, waves = rng.uniform(0, 6.3), float(rng.choice([2.0, 3.0, 4.0]))
    light = 0.62 + 0.38 * np.cos(waves * angle + phase) * np.cos(angle - phase)
    return np.asarray(np.clip(light[..., None] * np.array(tint, np.float32), 0, 255), np.uint8)


def bezel_colour(rng: Rng) -> tuple[Colour, bool]:
    """A colour and whether it shines like metal."""
    pick = rng.random()
    if pick < 0.35:
        return grey(rng, 5, 60, 6), False
    if pick < 0.65:
        return grey(rng, 170, 250, 8), True
    if pick < 0.8:
        return mix((40, 110, 160), (120, 210, 250), rng.random()), True  # brass, bronze
    return (vivid(rng, 60), False) if pick < 0.88 else (grey(rng, 120, 250, 10), False)


def draw_bezel(patch: Patch, rng: Rng, centre: float, outer: float) -> float:
    """Draws the ring into the patch (and its alpha) and gives the radius of the face."""
    share = rng.uniform(0.02, 0.08) if rng.random() < 0.5 else rng.uniform(0.08, 0.22)
    colour, shines = bezel_colour(rng)
    disc = np.zeros(patch.alpha.shape, np.uint8)
    at = (round(centre * 16), round(centre * 16))
    cv2.circle(disc, at, int(outer * 16), 255, -1, cv2.LINE_AA, 4)
    texture = _metal(patch.alpha.shape[0], rng, colour) if shines else np.full_like(patch.image, colour)
    patch.image[disc > 0] = texture[disc > 0]
    np.maximum(patch.alpha, disc, out=patch.alpha)
    inner = outer * (1 - share)
    if share > 0.07 and rng.random() < 0.6:  # a second ring inside the first
        middle = outer * (1 - share * rng.uniform(0.3, 0.7))
        tone = mix(colour, grey(rng, 0, 255), rng.uniform(0.2, 0.8))
        cv2.circle(patch.image, at, int(middle * 16), tone, -1, cv2.LINE_AA, 4)
    cv2.circle(patch.image, at, int(outer * 16), mix(colour, (0, 0, 0), 0.5), 1, cv2.LINE_AA, 4)
    return inner


def draw_flange(patch: Patch, rng: Rng, centre: float, outer: float) -> None:
    """A mounting flange with screws behind the gauge (not part of its outline)."""
    colour = grey(rng, 20, 230, 15)
    size = patch.alpha.shape[0]
    mask = np.zeros_like(patch.alpha)
    cv2.circle(mask, (size // 2, size // 2), int(outer), 255, -1, cv2.LINE_AA)
    patch.image[mask > 0] = colour
    np.maximum(patch.alpha, mask, out=patch.alpha)
    count, phase = int(rng.choice([3, 4])), rng.uniform(0, 6.3)
    for k in range(count):
        angle = phase + 2 * np.pi * k / count
        x, y = centre + 0.92 * outer * np.cos(angle), centre + 0.92 * outer * np.sin(angle)
        cv2.circle(
            patch.image, (int(x), int(y)), max(2, int(outer * 0.05)), mix(colour, (0, 0, 0), 0.6), -1, cv2.LINE_AA
        )


def rim_shadow(image: Image, rng: Rng, centre: float, inner: float) -> None:
    """The shadow that the rim throws on the face."""
    if rng.random() < 0.5:
        return
    size = image.shape[0]
    disc, moved = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    at = int(centre)
    dx, dy = rng.uniform(-0.08, 0.08, 2) * inner
    cv2.circle(disc, (at, at), int(inner), 255, -1)
    cv2.circle(moved, (int(at + dx), int(at + dy)), int(inner), 255, -1)
    shade = cv2.blur(cv2.bitwise_and(disc, cv2.bitwise_not(moved)), (5, 5)).astype(np.float32)
    image[:] = (image * (1 - shade[..., None] / 255 * rng.uniform(0.2, 0.6))).astype(np.uint8)
