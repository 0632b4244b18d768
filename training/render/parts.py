"""Small parts that devices and clutter share: labels, barcodes, buttons, knobs, screws, plates."""

from __future__ import annotations

import cv2
import numpy as np

from training.render.patch import Colour, Image, Patch, Rng, blank, gradient, grey, mix, rounded_mask, vivid
from training.render.text import draw_text, pick_font, random_text


def body(rng: Rng, width: int, height: int, rounding: float = 0.1) -> Patch:
    """A housing of one colour with a little shading."""
    pick = rng.random()
    colour = grey(rng, 200, 250, 10) if pick < 0.4 else grey(rng, 20, 90, 10) if pick < 0.7 else vivid(rng, 60)
    if 0.7 < pick < 0.85:
        colour = mix(colour, grey(rng, 100, 220), 0.5)
    patch = blank(height, width, colour)
    gradient(patch.image, rng, 60)
    patch.alpha[:] = rounded_mask(height, width, int(min(width, height) * rng.uniform(0, 2 * rounding)))
    if rng.random() < 0.5:
        m = int(min(width, height) * rng.uniform(0.02, 0.08))
        cv2.rectangle(patch.image, (m, m), (width - m, height - m), mix(colour, grey(rng, 0, 255), 0.4), max(1, m // 4))
    return patch


def contrast(image: Image, x: int, y: int, rng: Rng) -> Colour:
    """A text colour that shows on the picture there."""
    here = image[int(np.clip(y, 0, image.shape[0] - 1)), int(np.clip(x, 0, image.shape[1] - 1))]
    return grey(rng, 0, 70, 10) if float(here.mean()) > 110 else grey(rng, 180, 255, 10)


def text_lines(image: Image, rng: Rng, x0: int, y0: int, x1: int, y1: int, count: int | None = None) -> None:
    """Lines of print inside a box."""
    count = count or int(rng.integers(1, 6))
    step = (y1 - y0) / max(1, count)
    if step < 4 or x1 - x0 < 10:
        return
    for k in range(count):
        height = min(step * rng.uniform(0.3, 0.62), 0.2 * (x1 - x0))
        y = y0 + (k + 0.5) * step
        text = random_text(rng, int(rng.integers(1, 4)))
        text = text[: max(2, int((x1 - x0) / max(1.0, height * 0.75)))]
        draw_text(image, text, (x0 + x1) / 2, y, height, contrast(image, (x0 + x1) // 2, int(y), rng), pick_font(rng))


def barcode(image: Image, rng: Rng, x0: int, y0: int, x1: int, y1: int) -> None:
    """A barcode on white."""
    cv2.rectangle(image, (x0, y0), (x1, y1), grey(rng, 200, 255, 5), -1)
    x = x0 + 2
    while x < x1 - 3:
        w = int(rng.integers(1, 4))
        cv2.rectangle(image, (x, y0 + 2), (x + w - 1, y1 - 2), (25, 25, 25), -1)
        x += w + int(rng.integers(1, 4))


def buttons(image: Image, rng: Rng, x0: int, y0: int, x1: int, y1: int) -> None:
    """A row or grid of buttons."""
    cols, rows = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    w, h = (x1 - x0) / cols, (y1 - y0) / rows
    colour = grey(rng, 20, 240, 20) if rng.random() < 0.6 else vivid(rng)
    is_round = rng.random() < 0.5
    for i in range(cols):
        for j in range(rows):
            cx, cy = int(x0 + (i + 0.5) * w), int(y0 + (j + 0.5) * h)
            rx, ry = max(2, int(w * 0.35)), max(2, int(h * 0.35))
            if is_round:
                cv2.circle(image, (cx, cy), min(rx, ry), colour, -1, cv2.LINE_AA)
            else:
                cv2.rectangle(image, (cx - rx, cy - ry), (cx + rx, cy + ry), colour, -1)
            draw_text(
                image, random_text(rng)[:4], cx, cy, min(rx, ry) * 0.6, contrast(image, cx, cy, rng), pick_font(rng)
            )


def knob(image: Image, rng: Rng, cx: int, cy: int, radius: int) -> None:
    """A rotary switch with marks and words around it: looks like a dial, is none."""
    colour = grey(rng, 15, 230, 15)
    cv2.circle(image, (cx, cy), radius, colour, -1, cv2.LINE_AA)
    cv2.circle(
        image, (cx, cy), int(radius * rng.uniform(0.5, 0.9)), mix(colour, grey(rng, 0, 255), 0.4), -1, cv2.LINE_AA
    )
    angle = rng.uniform(0, 6.28)
    end = (int(cx + radius * 0.9 * np.cos(angle)), int(cy + radius * 0.9 * np.sin(angle)))
    start = (cx, cy) if rng.random() < 0.6 else (2 * cx - end[0], 2 * cy - end[1])
    cv2.line(image, start, end, grey(rng, 0, 255), max(2, int(radius * rng.uniform(0.06, 0.3))), cv2.LINE_AA)
    count = int(rng.choice([0, 6, 8, 10, 12, 20]))
    for k in range(count):
        a = 2 * np.pi * k / count
        x, y = cx + 1.25 * radius * np.cos(a), cy + 1.25 * radius * np.sin(a)
        text = str(rng.choice(["V", "A", "OFF", "Ω", "20", "200", "2k", "hFE", "10A", str(k), "•"]))
        draw_text(image, text, x, y, radius * 0.16, contrast(image, int(x), int(y), rng), pick_font(rng))


def screw(image: Image, rng: Rng, cx: int, cy: int, radius: int) -> None:
    """A slotted or crossed screw head."""
    colour = grey(rng, 60, 220, 10)
    cv2.circle(image, (cx, cy), radius, colour, -1, cv2.LINE_AA)
    for a in rng.uniform(0, 3.14) + np.array([0.0, np.pi / 2])[: int(rng.integers(1, 3))]:
        dx, dy = radius * 0.8 * np.cos(a), radius * 0.8 * np.sin(a)
        cv2.line(
            image,
            (int(cx - dx), int(cy - dy)),
            (int(cx + dx), int(cy + dy)),
            mix(colour, (0, 0, 0), 0.7),
            max(1, radius // 5),
        )
