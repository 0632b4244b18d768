"""Windows of drum counters, with rolling digits and red decimals, drawn or from real strips."""

from __future__ import annotations

import cv2
import numpy as np

from training.render.glass import add_glass
from training.render.patch import Colour, Image, Item, Patch, Rng, blank, grey, mix, rect_outline
from training.render.text import pick_font, text_mask


def _drum(rng: Rng, width: int, height: int, value: float, back: Colour, ink: Colour, font: int, share: float) -> Image:
    """One drum `(height, width, 3)` that shows `value` (7.3: on its way from 7 to 8)."""
    tall = int(height * 1.25)
    image = np.empty((height, width, 3), np.uint8)
    image[:] = back
    base, part = int(value) % 10, value - int(value)
    for k in (-1, 0, 1, 2):
        mask = text_mask(str((base + k) % 10), max(4, int(height * share)), font)
        h, w = mask.shape
        fit = min(1.0, 0.86 * width / w)
        if fit < 1.0:
            mask = np.asarray(cv2.resize(mask, (max(1, int(w * fit)), h), interpolation=cv2.INTER_AREA), np.uint8)
            w = mask.shape[1]
        y, x = int(height / 2 + (k - part) * tall - h / 2), (width - w) // 2
        top, bottom = max(0, y), min(height, y + h)
        if bottom > top:
            a = mask[top - y : bottom - y, :, None].astype(np.float32) / 255
            view = image[top:bottom, x : x + w]
            view[:] = (view * (1 - a) + np.array(ink, np.float32) * a).astype(np.uint8)
    return image


def _colours(rng: Rng) -> tuple[Colour, Colour, Colour, Colour]:
    """Back and ink of whole drums, back and ink of decimals."""
    dark, light = grey(rng, 5, 55, 8), grey(rng, 180, 250, 12)
    red = mix((20, 20, 150), (60, 60, 230), rng.random())
    back, ink = (dark, light) if rng.random() < 0.62 else (light, dark)
    if rng.random() < 0.4:
        return back, ink, back, ink
    if back is dark or rng.random() < 0.5:
        return back, ink, red, light
    return back, ink, light, red


def _shade(image: Image, strength: float) -> None:
    """The drum's curvature: darker at top and bottom."""
    curve = np.cos(np.linspace(-1.25, 1.25, image.shape[0], dtype=np.float32)) ** 0.6
    image[:] = (image * (1 - strength + strength * curve[:, None, None])).astype(np.uint8)


def window(rng: Rng, height: int, strip: Image | None = None) -> Patch:
    """A counter's window with one `counter` outline: its whole area, frame left out."""
    height = max(12, height)
    if strip is not None:
        width = int(np.clip(strip.shape[1] / strip.shape[0], 1.5, 9) * height)
        image = np.asarray(cv2.resize(strip, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        patch = Patch(image, np.full((height, width), 255, np.uint8))
    else:
        patch = _drawn(rng, height)
    width = patch.image.shape[1]
    if rng.random() < 0.5:
        patch.image[: max(1, height // 12)] = (patch.image[: max(1, height // 12)] * 0.5).astype(np.uint8)
    add_glass(patch.image, rng, width / 2, width / 2)
    patch.items.append(Item("counter", rect_outline(0, 0, width - 1, height - 1)))
    return patch


def _drawn(rng: Rng, height: int) -> Patch:
    drums, decimals = int(rng.integers(4, 9)), int(rng.choice([0, 0, 1, 1, 2, 3, 3]))
    wide, gap = int(height * rng.uniform(0.5, 0.95)), int(height * rng.choice([0.02, 0.05, 0.12, 0.25]))
    pad = int(height * rng.uniform(0.0, 0.22))
    wide = max(4, wide)
    width = drums * wide + (drums + 1) * gap + 2 * pad
    frame = grey(rng, 0, 70, 6) if rng.random() < 0.6 else grey(rng, 100, 245, 10)
    patch = blank(height, width, frame, 255)
    back, ink, back2, ink2 = _colours(rng)
    font, share, curve = pick_font(rng), rng.uniform(0.5, 0.8), rng.uniform(0.1, 0.8)
    inner = height - 2 * int(height * rng.uniform(0.0, 0.18))
    values = rng.integers(0, 10, drums).astype(np.float64)
    if rng.random() < 0.5:
        values[: int(rng.integers(1, drums))] = 0
    if rng.random() < 0.7:
        values[-1] += rng.random()
        if values[-1] % 10 > 9 and rng.random() < 0.8:
            values[-2] += values[-1] % 1
    for k in range(drums):
        colours = (back2, ink2) if k >= drums - decimals else (back, ink)
        drum = _drum(rng, wide, inner, float(values[k]) + rng.normal(0, 0.02) % 1 * 0.2, *colours, font, share)
        _shade(drum, curve)
        x, y = pad + gap + k * (wide + gap), (height - inner) // 2
        patch.image[y : y + inner, x : x + wide] = drum
        if gap < 3 and rng.random() < 0.7:
            cv2.line(patch.image, (x, 0), (x, height), mix(back, (0, 0, 0), 0.5), 1)
    return patch
