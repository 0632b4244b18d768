"""Dials: round faces, panel meters and sectors, each a patch with one `analog` outline."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.render import ring
from training.render.glass import add_glass
from training.render.needle import draw_needle, draw_pointers
from training.render.patch import (
    Colour,
    Image,
    Item,
    Patch,
    Rng,
    blank,
    ellipse_outline,
    gradient,
    grey,
    mix,
    rect_outline,
    rounded_mask,
    vivid,
)
from training.render.text import draw_text, pick_font, random_text


@dataclass
class Scale:
    """Geometry and colours of one scale: angles in degrees clockwise from 3 o'clock, radii in pixels."""

    cx: float
    cy: float
    radius: float
    start: float
    span: float
    ink: Colour
    face: Colour
    accent: Colour


def palette(rng: Rng) -> tuple[Colour, Colour, Colour]:
    """Colours of face, ink and accent."""
    kind = rng.random()
    accent = (30, 30, 200) if rng.random() < 0.5 else vivid(rng, 120)
    if kind < 0.5:
        return grey(rng, 190, 250, 8), grey(rng, 5, 60, 8), accent
    if kind < 0.66:
        return grey(rng, 5, 50, 8), grey(rng, 180, 255, 10), accent
    if kind < 0.8:  # cream, brass, parchment
        shade = rng.uniform(0.6, 1.0)
        return mix((0, 0, 0), (170, 215, 235), shade), grey(rng, 10, 60, 15), accent
    if kind < 0.88:  # metal
        return grey(rng, 110, 190, 10), grey(rng, 5, 50, 5), accent
    if kind < 0.94:
        return vivid(rng, 60), grey(rng, 220, 255, 5), grey(rng, 220, 255, 5)
    face = grey(rng, 90, 200, 40)
    return face, mix(face, (0, 0, 0), rng.uniform(0.4, 0.8)), accent  # low contrast


def _point(s: Scale, degrees: float, radius: float) -> tuple[float, float]:
    angle = np.deg2rad(degrees)
    return s.cx + radius * float(np.cos(angle)), s.cy + radius * float(np.sin(angle))


def line(image: Image, a: tuple[float, float], b: tuple[float, float], colour: Colour, width: float) -> None:
    """Antialiased line with subpixel ends."""
    p, q = (tuple(round(v * 16) for v in point) for point in (a, b))
    cv2.line(image, p, q, colour, max(1, round(width)), cv2.LINE_AA, 4)


def draw_arc(image: Image, s: Scale, radius: float, a: float, b: float, colour: Colour, width: float) -> None:
    """Arc of a scale from angle `a` to `b`."""
    angle = np.deg2rad(np.linspace(a, b, max(3, int(abs(b - a) / 4) + 2)))
    points = np.stack([s.cx + radius * np.cos(angle), s.cy + radius * np.sin(angle)], 1)
    fixed = np.round(points * 16).astype(np.int32)
    cv2.polylines(image, [fixed], False, colour, max(1, round(width)), cv2.LINE_AA, 4)


def draw_zones(image: Image, s: Scale, rng: Rng) -> None:
    """Coloured zones along the scale."""
    edges = np.sort(rng.uniform(0, 1, int(rng.integers(1, 4))))
    edges = np.concatenate([[0.0], edges, [1.0]])
    colours: list[Colour] = [(40, 160, 40), (30, 200, 230), (30, 30, 210), vivid(rng)]
    rng.shuffle(colours)
    radius, width = s.radius * rng.uniform(0.75, 1.02), s.radius * rng.uniform(0.03, 0.14)
    for a, b, colour in zip(edges, edges[1:], colours, strict=False):
        if rng.random() < 0.8:
            draw_arc(image, s, radius, s.start + a * s.span, s.start + b * s.span, colour, width)


def draw_ticks(image: Image, s: Scale, rng: Rng, majors: int, minors: int, inward: bool = True) -> None:
    """Major and minor marks, sometimes with an arc."""
    sign = -1 if inward else 1
    long, short = s.radius * rng.uniform(0.07, 0.16), s.radius * rng.uniform(0.03, 0.07)
    thick, thin = s.radius * rng.uniform(0.008, 0.035), s.radius * rng.uniform(0.004, 0.014)
    for i in range(majors * minors + 1):
        angle = s.start + s.span * i / (majors * minors)
        major = i % minors == 0
        half = minors % 2 == 0 and i % (minors // 2) == 0
        length = long if major else (short + long) / 2 if half else short
        line(
            image,
            _point(s, angle, s.radius),
            _point(s, angle, s.radius + sign * length),
            s.ink,
            thick if major else thin,
        )
    if rng.random() < 0.5:
        draw_arc(image, s, s.radius, s.start, s.start + s.span, s.ink, thin * 1.5)


def draw_numerals(image: Image, s: Scale, rng: Rng, majors: int, size: float, radius: float) -> None:
    """Numerals at the major marks: horizontal or turned with the scale."""
    first = float(rng.choice([0, 0, 0, 0, -1, -30, -100, 10, 20, 960]))
    step = float(rng.choice([0.1, 0.2, 0.5, 1, 2, 4, 5, 10, 20, 40, 50, 100, 200]))
    font, turned, skip = pick_font(rng), rng.random() < 0.3, 2 if rng.random() < 0.2 else 1
    for i in range(0, majors + 1, skip):
        if abs(s.span) > 350 and i == majors:
            continue
        angle = s.start + s.span * i / majors
        x, y = _point(s, angle, radius)
        value = first + step * i
        text = f"{value:g}" if rng.random() > 0.01 else "?"
        draw_text(image, text, x, y, size, s.ink, font, angle + 90 if turned else 0)


def draw_scale(image: Image, s: Scale, rng: Rng) -> None:
    """Marks, numerals, zones, perhaps a second scale."""
    majors, minors = int(rng.integers(3, 13)), int(rng.choice([1, 2, 4, 5, 5, 10]))
    if abs(s.span) < 130:
        majors = min(majors, 7)
    if rng.random() < 0.35:
        draw_zones(image, s, rng)
    if rng.random() > 0.04:
        draw_ticks(image, s, rng, majors, minors)
    outside = rng.random() < 0.15
    size = s.radius * rng.uniform(0.07, 0.2) * (0.8 if majors > 8 else 1)
    if rng.random() > 0.07:
        draw_numerals(image, s, rng, majors, size, s.radius * (1.13 if outside else rng.uniform(0.68, 0.8)))
    if rng.random() < 0.25 and not outside:
        ink = s.accent if rng.random() < 0.6 else s.ink
        second = Scale(s.cx, s.cy, s.radius * rng.uniform(0.45, 0.62), s.start, s.span, ink, s.face, s.accent)
        majors = int(rng.integers(4, 12))
        draw_ticks(image, second, rng, majors, int(rng.choice([1, 2, 5])), bool(rng.random() < 0.5))
        draw_numerals(image, second, rng, majors, size * 0.7, second.radius * 0.8)


def draw_print(image: Image, s: Scale, rng: Rng) -> None:
    """Unit, maker, small print, logos; sometimes a sub-dial or a window on the face."""
    for _ in range(int(rng.integers(0, 5))):
        x = s.cx + rng.uniform(-0.35, 0.35) * s.radius
        y = s.cy + rng.uniform(-0.5, 0.65) * s.radius
        colour = s.ink if rng.random() < 0.8 else s.accent
        text = random_text(rng, int(rng.integers(1, 3)))[:18]
        draw_text(image, text, x, y, s.radius * rng.uniform(0.04, 0.13), colour, pick_font(rng))
    if rng.random() < 0.3:
        x, y = s.cx, s.cy + rng.uniform(-0.4, 0.5) * s.radius
        draw_text(image, str(rng.choice(["A", "V", "bar", "°C", "psi", "MPa", "kV", "mA", "%"])), x, y,
                  s.radius * rng.uniform(0.15, 0.3), s.ink, pick_font(rng))  # fmt: skip
    if rng.random() < 0.12 and abs(s.span) > 200:
        angle = rng.uniform(0, 360)
        x, y = _point(s, angle, s.radius * 0.38)
        sub = Scale(x, y, s.radius * rng.uniform(0.18, 0.3), rng.uniform(0, 360), 300, s.ink, s.face, s.accent)
        draw_ticks(image, sub, rng, int(rng.integers(4, 11)), 2)
        draw_needle(image, (x, y), sub.radius, rng.uniform(0, 360), rng, s.ink, s.accent)
    if rng.random() < 0.06:  # a plate that hides the pivot, as on gas density gauges
        w, h = s.radius * rng.uniform(0.4, 0.9), s.radius * rng.uniform(0.2, 0.5)
        y = s.cy + rng.uniform(-0.1, 0.5) * s.radius
        box = [int(v) for v in (s.cx - w / 2, y - h / 2, s.cx + w / 2, y + h / 2)]
        cv2.rectangle(image, box[:2], box[2:], (60, 220, 240) if rng.random() < 0.5 else grey(rng, 150, 250), -1)
        for k in range(3):
            draw_text(
                image, random_text(rng, 2)[:14], s.cx, y + (k - 1) * h * 0.28, h * 0.16, (20, 20, 20), pick_font(rng)
            )


def round_dial(rng: Rng, size: int) -> Patch:
    """A round gauge with its bezel; the outline is the bezel's outer edge."""
    patch = blank(size, size)
    face, ink, accent = palette(rng)
    c, outer = size / 2, size * rng.uniform(0.44, 0.49)
    if rng.random() < 0.15:
        ring.draw_flange(patch, rng, c, outer)
        outer *= rng.uniform(0.72, 0.85)
    inner = ring.draw_bezel(patch, rng, c, outer)
    cv2.circle(patch.image, (int(c), int(c)), int(inner), face, -1, cv2.LINE_AA)
    if rng.random() < 0.35:
        gradient(patch.image, rng)
    if rng.random() < 0.12:
        tone = mix(face, grey(rng, 0, 255), rng.uniform(0.2, 0.8))
        cv2.circle(patch.image, (int(c), int(c)), int(inner * rng.uniform(0.3, 0.7)), tone, -1, cv2.LINE_AA)
    span = float(rng.choice([270, 270, 270, 300, 240, 180, 320, 350, 360, 120, 90]))
    middle = 270 + (rng.normal(0, 4) if rng.random() < 0.8 else rng.uniform(-180, 180))
    off = 0.0 if rng.random() < 0.9 or span > 200 else inner * 0.3
    s = Scale(c, c + off, inner * rng.uniform(0.8, 0.97) - off * 0.4, middle - span / 2, span, ink, face, accent)
    draw_scale(patch.image, s, rng)
    draw_print(patch.image, s, rng)
    draw_pointers(patch.image, (s.cx, s.cy), s.radius, s.start, s.span, rng, ink, accent)
    add_glass(patch.image, rng, c, inner)
    ring.rim_shadow(patch.image, rng, c, inner)
    patch.items.append(Item("analog", ellipse_outline(c, c, outer, outer)))
    return patch


def panel_meter(rng: Rng, size: int) -> Patch:
    """A square or wide panel meter: the pivot low or in a corner, often behind a cover."""
    height = int(size * (rng.uniform(0.6, 0.9) if rng.random() < 0.5 else rng.uniform(0.95, 1.0)))
    patch = blank(height, size)
    face, ink, accent = palette(rng)
    body = grey(rng, 5, 60, 5) if rng.random() < 0.6 else grey(rng, 150, 235, 15)
    patch.image[:] = body
    patch.alpha[:] = rounded_mask(height, size, int(size * rng.uniform(0, 0.08)))
    m = int(size * rng.uniform(0.015, 0.09))
    bottom = height - m if rng.random() < 0.5 else int(height * rng.uniform(0.62, 0.85))
    cv2.rectangle(patch.image, (m, m), (size - 1 - m, bottom), face, -1)
    corner = rng.random() < 0.35
    if corner:
        span, middle = rng.uniform(84, 100), 225.0
        s = Scale(size * 0.82, height * 0.82, min(size, height) * rng.uniform(0.62, 0.72), 0, span, ink, face, accent)
    else:
        span, middle = rng.uniform(75, 125), 270.0
        radius = min(size * 0.44 / np.sin(np.deg2rad(span / 2)), height * 0.75) * rng.uniform(0.85, 1.0)
        top = m + height * rng.uniform(0.13, 0.25)
        s = Scale(size / 2, top + radius, float(radius), 0, span, ink, face, accent)
    s.start = middle - span / 2
    keep = patch.image.copy()
    draw_scale(patch.image, s, rng)
    draw_print(patch.image, s, rng)
    draw_pointers(patch.image, (s.cx, s.cy), s.radius, s.start, s.span, rng, ink, accent, hub=bool(rng.random() < 0.3))
    patch.image[bottom:] = keep[bottom:]
    if bottom < height - m:
        _cover(patch.image, rng, m, bottom, body)
    elif corner and rng.random() < 0.6:
        radius = int(size * rng.uniform(0.12, 0.3))
        cv2.circle(patch.image, (int(s.cx), int(s.cy)), radius, grey(rng, 5, 240, 5), -1, cv2.LINE_AA)
    add_glass(patch.image, rng, size / 2, size * 0.7)
    patch.items.append(Item("analog", rect_outline(1, 1, size - 2, height - 2)))
    return patch


def _cover(image: Image, rng: Rng, margin: int, bottom: int, body: Colour) -> None:
    """The lower cover of a panel meter, with a screw or print."""
    height, width = image.shape[:2]
    tone = body if rng.random() < 0.5 else grey(rng, 10, 220, 5)
    cv2.rectangle(image, (margin, bottom), (width - 1 - margin, height - 1 - margin), tone, -1)
    if rng.random() < 0.6:
        cv2.circle(
            image,
            (width // 2, (bottom + height - margin) // 2),
            max(2, width // 30),
            grey(rng, 80, 200),
            -1,
            cv2.LINE_AA,
        )
    if rng.random() < 0.4:
        draw_text(
            image,
            random_text(rng, 1),
            width * 0.3,
            (bottom + height) / 2,
            width * 0.05,
            grey(rng, 100, 255),
            pick_font(rng),
        )


def square_round(rng: Rng, size: int) -> Patch:
    """A square housing with a round face; the outline is the housing."""
    dial = round_dial(rng, size)
    patch = blank(size, size, grey(rng, 5, 235, 20))
    gradient(patch.image, rng, 30)
    patch.alpha[:] = rounded_mask(size, size, int(size * rng.uniform(0, 0.15)))
    a = dial.alpha[..., None].astype(np.float32) / 255
    patch.image[:] = (patch.image * (1 - a) + dial.image * a).astype(np.uint8)
    for x in (0.07, 0.93):
        for y in (0.07, 0.93):
            if rng.random() < 0.7:
                cv2.circle(patch.image, (int(x * size), int(y * size)), size // 40, grey(rng, 40, 200), -1, cv2.LINE_AA)
    patch.items.append(Item("analog", rect_outline(1, 1, size - 2, size - 2)))
    return patch


def any_dial(rng: Rng, size: int) -> Patch:
    """A dial of any shape."""
    pick = rng.random()
    if pick < 0.72:
        return round_dial(rng, size)
    return panel_meter(rng, size) if pick < 0.94 else square_round(rng, size)
