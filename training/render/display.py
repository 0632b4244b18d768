"""LED and LCD windows: digits with ghosts, glow, secondary rows, icons and units."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from training.render.glass import add_glass
from training.render.patch import Colour, Image, Item, Patch, Rng, blank, gradient, grey, mix, paste, rect_outline
from training.render.seven import dot_matrix, number_masks
from training.render.text import draw_text, pick_font, random_text, text_mask


@dataclass
class Style:
    """Colours of one display and how far ghosts and glow show."""

    back: Colour
    ink: Colour
    ghost: float
    glow: float


def pick_style(rng: Rng) -> Style:
    """LCD dark on light (grey, green, lit blue or amber), LCD light on dark, LED, or a small OLED."""
    pick = rng.random()
    if pick < 0.5:
        backs = [(125, 160, 150), (110, 150, 140), (150, 175, 170), (90, 170, 130), (200, 150, 60), (220, 190, 90),
                 (60, 200, 110), (60, 170, 230), (215, 220, 215), (120, 140, 120), (90, 100, 95)]  # fmt: skip
        b, g, r = backs[int(rng.integers(len(backs)))]
        back = mix((b, g, r), grey(rng, 20, 255, 20), rng.uniform(0, 0.35))
        ink = mix(back, (25, 20, 15), rng.uniform(0.45, 1.0))
        return Style(back, ink, rng.uniform(0, 0.22) if rng.random() < 0.6 else 0.0, 0.0)
    if pick < 0.65:
        back = mix((150, 50, 10), (10, 10, 10), rng.random())
        return Style(back, grey(rng, 190, 255, 20), rng.uniform(0, 0.15), rng.uniform(0, 0.4))
    inks: list[Colour] = [(40, 30, 255), (40, 30, 255), (60, 255, 60), (255, 120, 30), (30, 160, 255), (255, 255, 240),
                          (60, 60, 255), (220, 255, 120)]  # fmt: skip
    ink = inks[int(rng.integers(len(inks)))]
    back = mix(grey(rng, 0, 35, 5), ink, rng.uniform(0, 0.12))
    return Style(back, ink, rng.uniform(0, 0.14), rng.uniform(0.2, 1.0))


def random_number(rng: Rng, digits: int | None = None) -> str:
    """A reading as displays show it."""
    digits = digits or int(rng.choice([1, 2, 3, 3, 4, 4, 5, 6, 7, 8]))
    text = "".join(str(d) for d in rng.integers(0, 10, digits))
    if rng.random() < 0.3 and digits > 3:
        text = "0" * int(rng.integers(1, 3)) + text[2:]
    if digits > 1 and rng.random() < 0.5:
        at = int(rng.integers(1, digits))
        text = text[:at] + "." + text[at:]
    elif digits == 4 and rng.random() < 0.15:
        text = text[:2] + ":" + text[2:]
    if rng.random() < 0.06:
        text = "-" + text
    return " " + text if rng.random() < 0.15 else text


def _blend(image: Image, mask: Image, colour: Colour, strength: float, x: int, y: int) -> None:
    ink = np.empty((*mask.shape, 3), np.uint8)
    ink[:] = colour
    paste(image, ink, (mask.astype(np.float32) * strength).astype(np.uint8), x, y)


def _digits(rng: Rng, text: str, height: int) -> tuple[Image, Image]:
    """Masks of the number and of its ghost, in one of the display's faces."""
    if rng.random() < 0.14:
        mask = text_mask(text.strip() or "0", height, pick_font(rng))
        if rng.random() < 0.6:
            mask = dot_matrix(mask, max(2, height // 9))
        return mask, np.zeros_like(mask)
    return number_masks(text, height, rng.uniform(0.42, 0.62), rng.uniform(0.09, 0.2), rng.uniform(0.05, 0.3),
                        0.0 if rng.random() < 0.45 else rng.uniform(0.04, 0.16), rng.uniform(0.1, 0.3))  # fmt: skip


def _row(image: Image, rng: Rng, style: Style, box: tuple[int, int, int, int], text: str) -> None:
    """Draws a number into a box `(x0, y0, x1, y1)`, shrunk to fit."""
    x0, y0, x1, y1 = box
    height = max(6, y1 - y0)
    lit, ghost = _digits(rng, text, height)
    fit = min(1.0, (x1 - x0) / lit.shape[1], (y1 - y0 + 2) / lit.shape[0])
    if fit < 1.0:
        size = (max(2, int(lit.shape[1] * fit)), max(2, int(lit.shape[0] * fit)))
        lit = np.asarray(cv2.resize(lit, size, interpolation=cv2.INTER_AREA), np.uint8)
        ghost = np.asarray(cv2.resize(ghost, size, interpolation=cv2.INTER_AREA), np.uint8)
    spare = x1 - x0 - lit.shape[1]
    x = x0 + int(spare * float(rng.choice([0.0, 0.5, 0.5, 1.0, 1.0])))
    y = y0 + (y1 - y0 - lit.shape[0]) // 2
    if style.ghost:
        _blend(image, ghost, style.ink, style.ghost, x, y)
    if style.ghost == 0.0 and rng.random() < 0.3 and style.glow == 0:  # the shadow that an LCD throws on its mirror
        _blend(image, lit, style.ink, 0.25, x + 2, y + 2)
    _blend(image, lit, style.ink, 1.0, x, y)
    if style.glow:
        k = 2 * max(1, height // 12) + 1
        _blend(image, np.asarray(cv2.blur(lit, (k, k)), np.uint8), style.ink, style.glow * 0.6, x, y)


def _icons(image: Image, rng: Rng, style: Style) -> None:
    """Small words, arrows and bars beside the number."""
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(0, 5))):
        x = rng.uniform(0.08, 0.92) * width
        y = float(rng.choice([0.1, 0.9])) * height
        draw_text(image, random_text(rng)[:5], x, y, height * rng.uniform(0.07, 0.13), style.ink, pick_font(rng))
    if rng.random() < 0.15:
        x, y = int(rng.uniform(0.05, 0.9) * width), int(height * 0.08)
        cv2.rectangle(image, (x, y), (x + width // 12, y + height // 14), style.ink, int(rng.choice([-1, 1])))


def window(rng: Rng, width: int, height: int, style: Style | None = None) -> Patch:
    """A lit window with one `digital` outline: its whole area."""
    style = style or pick_style(rng)
    width, height = max(12, width), max(8, height)
    patch = blank(height, width, style.back, 255)
    if rng.random() < 0.6:
        gradient(patch.image, rng, 50)
    pad, aspect = int(height * rng.uniform(0.05, 0.22)), width / height
    if rng.random() < 0.012:
        pass  # switched off
    elif aspect < 2.2 and rng.random() < 0.6:  # several rows
        rows = int(rng.integers(2, 4))
        cuts = np.cumsum([0.0, *rng.dirichlet([4.0] * rows)])
        for a, b in pairwise(cuts):
            y0, y1 = pad + int(a * (height - 2 * pad)), pad + int(b * (height - 2 * pad)) - 3
            x1 = width - pad if rng.random() < 0.6 else int(width * 0.7)
            _row(patch.image, rng, style, (pad, y0, x1, y1), random_number(rng, int(rng.integers(2, 6))))
            if x1 < width - pad:
                draw_text(
                    patch.image,
                    random_text(rng)[:5],
                    width * 0.84,
                    (y0 + y1) / 2,
                    (y1 - y0) * 0.3,
                    style.ink,
                    pick_font(rng),
                )
    else:
        unit = rng.random() < 0.5
        x1 = int(width * rng.uniform(0.72, 0.85)) if unit else width - pad
        _row(patch.image, rng, style, (pad, pad, x1, height - pad), random_number(rng))
        if unit:
            draw_text(patch.image, random_text(rng)[:4], (x1 + width) / 2, height * rng.uniform(0.3, 0.75),
                      height * rng.uniform(0.12, 0.3), style.ink, pick_font(rng))  # fmt: skip
    if rng.random() < 0.5:
        _icons(patch.image, rng, style)
    if rng.random() < 0.4:  # the frame's shadow
        patch.image[: max(1, height // 20)] = (patch.image[: max(1, height // 20)] * 0.6).astype(np.uint8)
    add_glass(patch.image, rng, width / 2, width / 2)
    patch.items.append(Item("digital", rect_outline(0, 0, width - 1, height - 1)))
    return patch
