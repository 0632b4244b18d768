"""Needles of many shapes, with hubs, counterweights, second pointers and set hands."""

from __future__ import annotations

import cv2
import numpy as np

from training.render.patch import Colour, Image, Rng, grey, mix, vivid


def _polygon(image: Image, pivot: tuple[float, float], degrees: float, shape: np.ndarray, colour: Colour) -> None:
    """Fills a polygon given along (x) and across (y) the needle."""
    a = np.deg2rad(degrees)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    fixed = np.round((shape @ turn + np.array(pivot)) * 16).astype(np.int32)
    cv2.fillPoly(image, [fixed], colour, cv2.LINE_AA, 4)


def draw_needle(
    image: Image, pivot: tuple[float, float], radius: float, degrees: float, rng: Rng, ink: Colour, accent: Colour
) -> None:
    """One needle from its pivot to about `radius`, perhaps with its shadow."""
    tip = radius * rng.uniform(0.72, 1.0)
    tail = -radius * (rng.uniform(0.1, 0.35) if rng.random() < 0.7 else 0.0)
    wide = radius * rng.uniform(0.006, 0.05)
    end = wide * float(rng.choice([0.1, 0.3, 1.0]))
    start = tip * rng.uniform(0.5, 0.8) if rng.random() < 0.05 else tail  # of some, only the tip shows
    shape = np.array([[start, -wide], [tip, -end], [tip, end], [start, wide]])
    colour = ink if rng.random() < 0.6 else accent if rng.random() < 0.6 else vivid(rng)
    if rng.random() < 0.4:
        offset = radius * rng.uniform(0.01, 0.05)
        under = image[int(pivot[1]) % image.shape[0], 0]
        shaded = mix((int(under[0]), int(under[1]), int(under[2])), (0, 0, 0), 0.7)
        _polygon(image, (pivot[0] + offset, pivot[1] + offset), degrees, shape, shaded)
    _polygon(image, pivot, degrees, shape, colour)
    pick = rng.random()
    if pick < 0.15:  # arrow
        base, flare = tip * rng.uniform(0.6, 0.85), wide * rng.uniform(2, 4)
        _polygon(image, pivot, degrees, np.array([[base, -flare], [tip, 0], [base, flare]]), colour)
    elif pick < 0.25:  # lollipop
        a, r = np.deg2rad(degrees), tip * rng.uniform(0.5, 0.8)
        at = (int(pivot[0] + r * np.cos(a)), int(pivot[1] + r * np.sin(a)))
        cv2.circle(image, at, max(2, int(radius * 0.06)), colour, int(rng.choice([-1, 2])), cv2.LINE_AA)
    if tail < -radius * 0.15 and rng.random() < 0.5:  # counterweight
        w = wide * rng.uniform(1.5, 4)
        _polygon(
            image, pivot, degrees, np.array([[tail, -w], [tail * 0.4, -wide], [tail * 0.4, wide], [tail, w]]), colour
        )


def draw_pointers(
    image: Image, pivot: tuple[float, float], radius: float, start: float, span: float, rng: Rng, ink: Colour,
    accent: Colour, hub: bool = True,
) -> None:  # fmt: skip
    """The needle, sometimes a second one, and the hub."""
    draw_needle(image, pivot, radius, start + rng.uniform(-0.02, 1.02) * span, rng, ink, accent)
    if rng.random() < 0.15:
        draw_needle(image, pivot, radius * rng.uniform(0.7, 1.0), start + rng.random() * span, rng, accent, ink)
    if hub and rng.random() < 0.9:
        at = (int(pivot[0]), int(pivot[1]))
        size = radius * rng.uniform(0.03, 0.16)
        tone = ink if rng.random() < 0.5 else grey(rng, 20, 240)
        cv2.circle(image, at, max(2, int(size)), tone, -1, cv2.LINE_AA)
        if rng.random() < 0.5:
            cv2.circle(image, at, max(1, int(size * 0.5)), mix(tone, grey(rng, 0, 255), 0.6), -1, cv2.LINE_AA)
