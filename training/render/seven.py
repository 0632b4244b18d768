"""Seven-segment and dot-matrix characters as masks."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from training.render.patch import Image

SEGMENTS = {
    "0": "abcdef", "1": "bc", "2": "abged", "3": "abgcd", "4": "fgbc", "5": "afgcd", "6": "afgedc", "7": "abc",
    "8": "abcdefg", "9": "abcdfg", "-": "g", " ": "", "E": "afged", "r": "eg", "L": "fed", "H": "fegbc", "P": "abfge",
    "A": "abcefg", "C": "afed", "F": "afge", "o": "gcde", "n": "egc", "t": "fged", "d": "bcdeg", "b": "fgedc",
    "U": "bcdef",
}  # fmt: skip


def _bars(width: float, height: float, thick: float, gap: float) -> dict[str, np.ndarray]:
    half, mid = thick / 2, height / 2

    def bar(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
        if y0 == y1:
            x0, x1 = x0 + gap, x1 - gap
            xy = [(x0, y0), (x0 + half, y0 - half), (x1 - half, y0 - half), (x1, y0), (x1 - half, y0 + half),
                  (x0 + half, y0 + half)]  # fmt: skip
        else:
            y0, y1 = y0 + gap, y1 - gap
            xy = [(x0, y0), (x0 + half, y0 + half), (x0 + half, y1 - half), (x0, y1), (x0 - half, y1 - half),
                  (x0 - half, y0 + half)]  # fmt: skip
        return np.array(xy, np.float32)

    left, right, top, bottom = half, width - half, half, height - half
    return {
        "a": bar(left, top, right, top), "g": bar(left, mid, right, mid), "d": bar(left, bottom, right, bottom),
        "f": bar(left, top, left, mid), "b": bar(right, top, right, mid),
        "e": bar(left, mid, left, bottom), "c": bar(right, mid, right, bottom),
    }  # fmt: skip


@lru_cache(maxsize=2048)
def digit_masks(char: str, height: int, aspect: float, weight: float, gap: float, slant: float) -> tuple[Image, Image]:
    """Masks `(h, w)` uint8 of the lit segments of a character and of all seven (the ghost)."""
    width, thick = height * aspect, max(1.0, height * weight)
    total = int(width + abs(slant) * height) + 3
    lit, ghost = np.zeros((height + 2, total), np.uint8), np.zeros((height + 2, total), np.uint8)
    for name, points in _bars(width, float(height), thick, gap * thick).items():
        points = points.copy()
        points[:, 0] += slant * (height - points[:, 1])
        fixed = np.round((points + 1) * 16).astype(np.int32)
        cv2.fillPoly(ghost, [fixed], 255, cv2.LINE_AA, 4)
        if name in SEGMENTS.get(char, ""):
            cv2.fillPoly(lit, [fixed], 255, cv2.LINE_AA, 4)
    return lit, ghost


def number_masks(
    text: str, height: int, aspect: float, weight: float, gap: float, slant: float, spacing: float
) -> tuple[Image, Image]:
    """Masks of a number; `.` and `:` take little room, unknown characters are left blank."""
    step = int(height * (aspect + spacing))
    narrow = max(2, int(height * (weight + 0.06)))
    width = sum(narrow if c in ".:" else step for c in text) + int(height * 0.3) + 4
    lit, ghost = np.zeros((height + 2, width), np.uint8), np.zeros((height + 2, width), np.uint8)
    x = 0
    for char in text:
        radius = max(1, int(height * weight * 0.6))
        if char in ".:":
            for y in [height - radius] if char == "." else [height // 3, 2 * height // 3]:
                cv2.circle(
                    lit, (max(radius, x + narrow // 2 - int(height * spacing / 2)), y), radius, 255, -1, cv2.LINE_AA
                )
            x += narrow
            continue
        one, all_ = digit_masks(char, height, round(aspect, 2), round(weight, 2), round(gap, 2), round(slant, 2))
        w = min(one.shape[1], width - x)
        np.maximum(lit[:, x : x + w], one[:, :w], out=lit[:, x : x + w])
        np.maximum(ghost[:, x : x + w], all_[:, :w], out=ghost[:, x : x + w])
        x += step
    return lit, ghost


def dot_matrix(mask: Image, pitch: int) -> Image:
    """Turns a text mask into dots of a pitch."""
    h, w = mask.shape
    small = cv2.resize(mask, (max(1, w // pitch), max(1, h // pitch)), interpolation=cv2.INTER_AREA)
    big = cv2.resize((np.asarray(small) > 110).astype(np.uint8) * 255, (w, h), interpolation=cv2.INTER_NEAREST)
    grid = np.ones((h, w), np.uint8)
    grid[::pitch] = 0
    grid[:, ::pitch] = 0
    return np.asarray(big, np.uint8) * grid
