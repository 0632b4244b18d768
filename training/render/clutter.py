"""Things that look like gauges and are none, and plain clutter: patches without outlines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from training.render import parts
from training.render.dial import Scale, draw_ticks, palette
from training.render.glass import add_glass
from training.render.patch import Image, Patch, Rng, blank, gradient, grey, mix, rounded_mask, vivid
from training.render.ring import draw_bezel
from training.render.text import draw_text, pick_font, random_text

Textures = Sequence[Image]
ROMAN = ("XII", "I", "II", "III", "IIII", "V", "VI", "VII", "VIII", "IX", "X", "XI")


def clock(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """A clock or watch: twelve hours, two or three hands."""
    patch = blank(size, size)
    c = size / 2
    inner = draw_bezel(patch, rng, c, size * 0.48)
    face, ink, accent = palette(rng)
    cv2.circle(patch.image, (int(c), int(c)), int(inner), face, -1, cv2.LINE_AA)
    s = Scale(c, c, inner * rng.uniform(0.85, 0.97), -90, 360, ink, face, accent)
    if rng.random() < 0.85:
        draw_ticks(patch.image, s, rng, 12, int(rng.choice([1, 5, 5])))
    font, names = pick_font(rng), ROMAN if rng.random() < 0.4 else ("12", *map(str, range(1, 12)))
    step = int(rng.choice([1, 1, 3]))
    for k in range(0, 12, step):
        a = np.deg2rad(30 * k - 90)
        x, y = c + 0.74 * inner * np.cos(a), c + 0.74 * inner * np.sin(a)
        turn = 30.0 * k if names is ROMAN else 0.0
        draw_text(patch.image, names[k], x, y, inner * rng.uniform(0.12, 0.2), ink, font, turn)
    for length, width in ((0.5, 0.045), (0.75, 0.03), (0.8, 0.008)):
        if width > 0.01 or rng.random() < 0.5:
            a = rng.uniform(0, 6.28)
            start = (int(c - 0.12 * inner * np.cos(a)), int(c - 0.12 * inner * np.sin(a)))
            end = (int(c + length * inner * np.cos(a)), int(c + length * inner * np.sin(a)))
            colour = ink if width > 0.01 else accent
            cv2.line(patch.image, start, end, colour, max(1, int(inner * width * rng.uniform(0.7, 1.6))), cv2.LINE_AA)
    draw_text(patch.image, random_text(rng), c, c - inner * 0.35, inner * 0.09, ink, font)
    add_glass(patch.image, rng, c, inner)
    return patch


def nameplate(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """A sticker or type plate with print, barcodes, printed numbers."""
    h = int(size * rng.uniform(0.25, 1.2))
    patch = parts.body(rng, size, h, 0.08)
    parts.text_lines(
        patch.image, rng, int(size * 0.06), int(h * 0.06), int(size * 0.94), int(h * 0.9), int(rng.integers(1, 9))
    )
    if rng.random() < 0.3:
        parts.barcode(patch.image, rng, int(size * 0.1), int(h * 0.7), int(size * 0.7), int(h * 0.93))
    return patch


def number_plate(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """Large printed or painted characters: house numbers, licence plates, asset tags."""
    h = int(size * rng.uniform(0.2, 0.5))
    patch = parts.body(rng, size, h, 0.1)
    alphabet = "0123456789" if rng.random() < 0.6 else "ABCDEFGHJKLMNPRSTUVWXYZ0123456789-"
    text = "".join(rng.choice(list(alphabet), int(rng.integers(2, 9))))
    height = min(h * 0.7, 1.1 * size / max(1, len(text)))
    draw_text(
        patch.image, text, size / 2, h / 2, height, parts.contrast(patch.image, size // 2, h // 2, rng), pick_font(rng)
    )
    return patch


def disc(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """A plain disc: lid, plate, button, sign, lamp, coin, or a round cut of a photo."""
    patch = blank(size, size)
    c = size / 2
    inner = draw_bezel(patch, rng, c, size * 0.48) if rng.random() < 0.7 else size * 0.48
    mask = np.zeros((size, size), np.uint8)
    cv2.circle(mask, (int(c), int(c)), int(inner), 255, -1, cv2.LINE_AA)
    np.maximum(patch.alpha, mask, out=patch.alpha)
    fill = np.empty_like(patch.image)
    fill[:] = grey(rng, 10, 250) if rng.random() < 0.5 else vivid(rng)
    if len(textures) and rng.random() < 0.5:
        fill = np.asarray(cv2.resize(textures[int(rng.integers(len(textures)))], (size, size)), np.uint8)
    patch.image[mask > 0] = fill[mask > 0]
    gradient(patch.image, rng, 90)
    for _ in range(int(rng.integers(0, 4))):
        radius = int(inner * rng.uniform(0.1, 0.95))
        cv2.circle(
            patch.image, (int(c), int(c)), radius, grey(rng, 0, 255), int(rng.choice([-1, 1, 2, 4])), cv2.LINE_AA
        )
    if rng.random() < 0.45:
        for k in range(int(rng.integers(1, 4))):
            draw_text(patch.image, random_text(rng)[:10], c, c + (k - 1) * inner * 0.3, inner * rng.uniform(0.1, 0.3),
                      grey(rng, 0, 255), pick_font(rng))  # fmt: skip
    add_glass(patch.image, rng, c, inner)
    return patch


def handwheel(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """A valve's wheel, a car's wheel or a fan: a ring with spokes."""
    patch = blank(size, size)
    c, outer = size // 2, int(size * 0.47)
    colour = vivid(rng, 90) if rng.random() < 0.6 else grey(rng, 20, 220)
    thick = max(2, int(size * rng.uniform(0.04, 0.14)))
    count, phase = int(rng.integers(3, 9)), rng.uniform(0, 6.28)
    for layer, ink in ((patch.alpha, (255,)), (patch.image, colour)):
        cv2.circle(layer, (c, c), outer - thick // 2, ink, thick, cv2.LINE_AA)
        cv2.circle(layer, (c, c), max(3, int(size * 0.1)), ink, -1, cv2.LINE_AA)
        for k in range(count):
            a = phase + 2 * np.pi * k / count
            cv2.line(
                layer,
                (c, c),
                (int(c + outer * 0.9 * np.cos(a)), int(c + outer * 0.9 * np.sin(a))),
                ink,
                thick,
                cv2.LINE_AA,
            )
    gradient(patch.image, rng, 120)
    return patch


def bolted_flange(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """A pipe flange or cover: a disc with a circle of bolts."""
    patch = disc(rng, size)
    count = int(rng.integers(4, 13))
    for k in range(count):
        a = 2 * np.pi * k / count
        parts.screw(
            patch.image,
            rng,
            int(size / 2 + 0.4 * size * np.cos(a)),
            int(size / 2 + 0.4 * size * np.sin(a)),
            max(2, size // 24),
        )
    return patch


def control_knob(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """A knob on a plate, as on cookers and amplifiers."""
    patch = parts.body(rng, size, size, 0.2)
    parts.knob(patch.image, rng, size // 2, size // 2, int(size * rng.uniform(0.2, 0.34)))
    return patch


def keypad(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """Keys or switches on a housing."""
    patch = parts.body(rng, size, int(size * rng.uniform(0.4, 1.3)))
    h, w = patch.image.shape[:2]
    parts.buttons(patch.image, rng, int(w * 0.1), int(h * 0.1), int(w * 0.9), int(h * 0.9))
    return patch


def tube(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """A liquid-in-glass thermometer or a sight glass on a scale board."""
    w = int(size * rng.uniform(0.12, 0.35))
    patch = parts.body(rng, max(12, w), size, 0.3)
    w = patch.image.shape[1]
    ink = parts.contrast(patch.image, w // 2, size // 2, rng)
    y0, y1 = int(size * 0.12), int(size * 0.82)
    count = int(rng.integers(10, 50))
    for k in range(count + 1):
        y = y0 + (y1 - y0) * k // count
        length = 0.22 if k % 5 == 0 else 0.12
        for side in (-1, 1):
            a = int(w / 2 + side * w * 0.1)
            cv2.line(patch.image, (a, y), (int(a + side * w * length), y), ink, 1)
        if k % 10 == 0:
            draw_text(patch.image, str(10 * (count - k) // 5 - 20), w * 0.2, y, w * 0.1, ink, 0)
    cv2.line(patch.image, (w // 2, y0), (w // 2, y1), (235, 235, 235), max(2, w // 14), cv2.LINE_AA)
    colour = (40, 40, 210) if rng.random() < 0.6 else (180, 60, 30)
    level = int(rng.uniform(y0, y1))
    cv2.line(patch.image, (w // 2, level), (w // 2, y1), colour, max(1, w // 24), cv2.LINE_AA)
    cv2.circle(patch.image, (w // 2, y1), max(2, w // 12), colour, -1, cv2.LINE_AA)
    return patch


def picture(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """A framed picture, poster, window, switched-off or lit screen."""
    h = int(size * rng.uniform(0.5, 1.3))
    patch = parts.body(rng, size, h, 0.03)
    m = int(size * rng.uniform(0.02, 0.12))
    inner = np.empty((h - 2 * m, size - 2 * m, 3), np.uint8)
    inner[:] = mix(vivid(rng), grey(rng, 0, 255), rng.random())
    if len(textures) and rng.random() < 0.6:
        inner = np.asarray(cv2.resize(textures[int(rng.integers(len(textures)))], (size - 2 * m, h - 2 * m)), np.uint8)
    elif rng.random() < 0.6:
        parts.text_lines(inner, rng, 4, 4, inner.shape[1] - 4, inner.shape[0] - 4, int(rng.integers(2, 14)))
    patch.image[m : h - m, m : size - m] = inner
    add_glass(patch.image, rng, size / 2, size / 2)
    return patch


def grille(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """Slots, holes or a vent."""
    patch = parts.body(rng, size, int(size * rng.uniform(0.4, 1.0)))
    h, w = patch.image.shape[:2]
    step, tone = max(4, int(size * rng.uniform(0.04, 0.1))), grey(rng, 0, 60)
    holes = rng.random() < 0.5
    for y in range(step, h - step, step):
        if not holes:
            cv2.line(patch.image, (step, y), (w - step, y), tone, max(1, step // 3))
            continue
        for x in range(step, w - step, step):
            cv2.circle(patch.image, (x, y), max(1, step // 4), tone, -1)
    return patch


def blob(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """An irregular shape with a photo's or a plain texture."""
    patch = blank(size, size)
    count = int(rng.integers(3, 10))
    a = np.sort(rng.uniform(0, 6.28, count))
    r = size * rng.uniform(0.2, 0.49, count)
    points = np.stack([size / 2 + r * np.cos(a), size / 2 + r * np.sin(a)], 1).astype(np.int32)
    cv2.fillPoly(patch.alpha, [points], 255, cv2.LINE_AA)
    patch.image[:] = vivid(rng) if rng.random() < 0.5 else grey(rng, 0, 255)
    if len(textures) and rng.random() < 0.6:
        patch.image[:] = cv2.resize(textures[int(rng.integers(len(textures)))], (size, size))
    gradient(patch.image, rng, 100)
    return patch


def cable(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """Pipes, cables, rods."""
    patch = blank(size, size)
    for _ in range(int(rng.integers(1, 4))):
        t = np.linspace(0, 1, 24)[:, None]
        p = rng.uniform(-0.1, 1.1, (4, 2)) * size
        curve = (1 - t) ** 3 * p[0] + 3 * t * (1 - t) ** 2 * p[1] + 3 * t**2 * (1 - t) * p[2] + t**3 * p[3]
        thick = max(2, int(size * rng.uniform(0.015, 0.12)))
        colour = grey(rng, 5, 220) if rng.random() < 0.6 else vivid(rng)
        fixed = curve.astype(np.int32)
        cv2.polylines(patch.alpha, [fixed], False, 255, thick, cv2.LINE_AA)
        cv2.polylines(patch.image, [fixed], False, colour, thick, cv2.LINE_AA)
        light = mix(colour, (255, 255, 255), 0.4)
        cv2.polylines(patch.image, [fixed], False, light, max(1, thick // 4), cv2.LINE_AA)
    return patch


def rectangle(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """A housing without a display: junction box, socket, switch, empty panel."""
    h = int(size * rng.uniform(0.3, 1.4))
    patch = parts.body(rng, size, h)
    if rng.random() < 0.5:  # an empty window, no digits in it
        x0, x1 = int(size * rng.uniform(0.1, 0.3)), int(size * rng.uniform(0.6, 0.9))
        y0 = int(h * rng.uniform(0.1, 0.4))
        y1 = int(min(h - 3, y0 + (x1 - x0) * rng.uniform(0.15, 0.6)))
        cv2.rectangle(patch.image, (x0, y0), (x1, y1), grey(rng, 5, 245, 20), -1)
        if rng.random() < 0.5:
            parts.text_lines(patch.image, rng, x0, y0, x1, y1, 1)
    for x in (0.08, 0.92):
        if rng.random() < 0.5:
            parts.screw(patch.image, rng, int(x * size), int(0.08 * h) + 4, max(2, size // 40))
    patch.alpha[:] = np.minimum(patch.alpha, rounded_mask(h, size, int(size * 0.04)))
    return patch


def fastener(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """A screw, bolt, rivet or small lamp."""
    patch = blank(size, size)
    c = size // 2
    cv2.circle(patch.alpha, (c, c), int(size * 0.47), 255, -1, cv2.LINE_AA)
    parts.screw(patch.image, rng, c, c, int(size * 0.47))
    if rng.random() < 0.4:
        colour = vivid(rng) if rng.random() < 0.5 else grey(rng, 0, 255)
        cv2.circle(patch.image, (c, c), int(size * rng.uniform(0.15, 0.47)), colour, -1, cv2.LINE_AA)
    gradient(patch.image, rng, 120)
    add_glass(patch.image, rng, c, size / 2)
    return patch


Maker = Callable[[Rng, int, Textures], Patch]
MAKERS: dict[Maker, float] = {
    clock: 1.6, nameplate: 1.4, number_plate: 1.2, disc: 1.8, handwheel: 1.0, bolted_flange: 0.7, control_knob: 1.2,
    keypad: 0.8, tube: 0.9, picture: 1.0, grille: 0.6, blob: 1.0, cable: 1.2, rectangle: 1.4, fastener: 1.2,
}  # fmt: skip


def any_clutter(rng: Rng, size: int, textures: Textures = ()) -> Patch:
    """A piece of clutter of any kind."""
    makers = list(MAKERS)
    weights = np.array([MAKERS[m] for m in makers])
    return makers[int(rng.choice(len(makers), p=weights / weights.sum()))](rng, size, textures)
