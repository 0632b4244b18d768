"""Whole devices that carry displays or counters."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from training.render import counter, display, parts
from training.render.dial import Scale, any_dial, draw_ticks, palette
from training.render.needle import draw_needle
from training.render.patch import Image, Patch, Rng, blank, grey, put_patch, resized, vivid
from training.render.ring import draw_bezel, rim_shadow
from training.render.text import draw_text, pick_font, random_text

Strips = Sequence[Image]


def _frame(patch: Patch, rng: Rng, x: int, y: int, w: int, h: int, margin: int) -> None:
    """A bezel around a window."""
    if rng.random() < 0.8:
        tone = grey(rng, 0, 70, 8) if rng.random() < 0.6 else grey(rng, 90, 240, 15)
        cv2.rectangle(patch.image, (x - margin, y - margin), (x + w + margin, y + h + margin), tone, -1)


def _a_counter(rng: Rng, height: int, strips: Strips) -> Patch:
    strip = strips[int(rng.integers(len(strips)))] if len(strips) and rng.random() < 0.35 else None
    return counter.window(rng, height, strip)


def bare_display(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A display close up: the window and a bit of bezel."""
    w = size
    h = int(w / rng.uniform(1.2, 5.0))
    m = int(h * rng.uniform(0.02, 0.4))
    patch = parts.body(rng, w + 2 * m, h + 2 * m)
    _frame(patch, rng, m, m, w, h, m // 3)
    put_patch(patch, display.window(rng, w, h), m, m)
    if m > 12 and rng.random() < 0.6:
        parts.text_lines(patch.image, rng, m, h + m + 2, w, h + 2 * m - 2, 1)
    return patch


def panel_instrument(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A process indicator: LED rows, small lamps, a few buttons."""
    w, h = size, int(size * rng.uniform(0.45, 1.1))
    patch = parts.body(rng, w, h, 0.05)
    rows = int(rng.integers(1, 4)) if h > 0.6 * w else 1
    style = display.pick_style(rng) if rng.random() < 0.6 else None
    x0, x1 = int(w * rng.uniform(0.05, 0.2)), int(w * rng.uniform(0.8, 0.95))
    y, step = int(h * rng.uniform(0.06, 0.2)), int(h * rng.uniform(0.55, 0.7) / rows)
    for _ in range(rows):
        hh = int(step * rng.uniform(0.6, 0.85))
        put_patch(patch, display.window(rng, x1 - x0, hh, style), x0, y)
        y += step
    parts.buttons(patch.image, rng, x0, int(y + 0.02 * h), x1, h - int(h * 0.05))
    return patch


def multimeter(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A handheld meter with a rotary switch and sockets."""
    w, h = int(size * rng.uniform(0.48, 0.65)), size
    patch = parts.body(rng, w, h)
    x, y, ww = int(w * 0.12), int(h * rng.uniform(0.06, 0.14)), int(w * 0.76)
    hh = int(ww * rng.uniform(0.35, 0.6))
    _frame(patch, rng, x, y, ww, hh, int(w * 0.04))
    put_patch(patch, display.window(rng, ww, hh), x, y)
    parts.knob(patch.image, rng, w // 2, int(h * rng.uniform(0.58, 0.66)), int(w * rng.uniform(0.16, 0.28)))
    for k in range(int(rng.integers(2, 5))):
        cv2.circle(patch.image, (int(w * (0.2 + 0.2 * k)), int(h * 0.92)), w // 18, (20, 20, 20), -1, cv2.LINE_AA)
    parts.text_lines(patch.image, rng, x, 2, w - x, y - 4, 1)
    return patch


def handheld(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A glucometer, thermometer, pH meter or pressure monitor: rounded body, window, buttons."""
    ratio = rng.uniform(0.4, 1.4)
    w, h = (int(size * ratio), size) if ratio < 1 else (size, int(size / ratio))
    patch = parts.body(rng, w, h, 0.25)
    ww = int(w * rng.uniform(0.5, 0.82))
    hh = int(min(h * 0.55, ww * rng.uniform(0.4, 1.2)))
    x, y = (w - ww) // 2, int(h * rng.uniform(0.1, 0.25))
    _frame(patch, rng, x, y, ww, hh, int(w * 0.04))
    put_patch(patch, display.window(rng, ww, hh), x, y)
    parts.text_lines(patch.image, rng, x, 4, x + ww, y - 6, 1)
    parts.buttons(patch.image, rng, x, y + hh + int(h * 0.08), x + ww, int(h * 0.92))
    return patch


def scale(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A kitchen or bathroom scale: a wide plate with a small display near an edge."""
    w, h = size, int(size * rng.uniform(0.7, 1.2))
    patch = parts.body(rng, w, h, 0.12)
    if rng.random() < 0.5:
        cv2.circle(patch.image, (w // 2, int(h * 0.42)), int(min(w, h) * 0.38), grey(rng, 100, 240), -1, cv2.LINE_AA)
    ww = int(w * rng.uniform(0.2, 0.4))
    hh = int(ww / rng.uniform(1.8, 3.2))
    y = int(h * (rng.uniform(0.05, 0.15) if rng.random() < 0.4 else rng.uniform(0.78, 0.83)))
    put_patch(patch, display.window(rng, ww, min(hh, h - y - 4)), (w - ww) // 2, y)
    return patch


def thermostat(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A wall unit, a plug meter or a clock-like box; sometimes round."""
    w, h = size, int(size * rng.uniform(0.6, 1.1))
    patch = parts.body(rng, w, h, 0.12)
    if rng.random() < 0.25:
        h = w
        patch = blank(size, size)
        draw_bezel(patch, rng, size / 2, size * 0.48)
        cv2.circle(patch.image, (w // 2, h // 2), int(w * 0.42), grey(rng, 10, 250), -1, cv2.LINE_AA)
        ww, hh = int(w * rng.uniform(0.45, 0.62)), int(h * rng.uniform(0.2, 0.36))
    else:
        ww, hh = int(w * rng.uniform(0.35, 0.8)), int(h * rng.uniform(0.3, 0.6))
    x, y = int((w - ww) * rng.uniform(0.35, 0.65)), int((h - hh) * rng.uniform(0.3, 0.5))
    put_patch(patch, display.window(rng, ww, hh), x, y)
    parts.text_lines(patch.image, rng, x, y + hh + 4, x + ww, min(h - 4, y + hh + h // 6), 1)
    return patch


def electricity_meter(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A kWh meter with a counter or a display, much print, a barcode, terminals."""
    w, h = int(size * rng.uniform(0.65, 0.95)), size
    patch = parts.body(rng, w, h, 0.06)
    m = int(w * rng.uniform(0.05, 0.12))
    plate = grey(rng, 160, 250, 8) if rng.random() < 0.7 else grey(rng, 20, 120)
    cv2.rectangle(patch.image, (m, m), (w - m, int(h * 0.66)), plate, -1)
    if rng.random() < 0.55:
        win = _a_counter(rng, int(h * rng.uniform(0.07, 0.12)), strips)
        if win.image.shape[1] > w * 0.8:
            win = resized(win, int(w * 0.8), max(8, int(win.image.shape[0] * w * 0.8 / win.image.shape[1])))
    else:
        ww = int(w * rng.uniform(0.45, 0.75))
        win = display.window(rng, ww, int(ww / rng.uniform(2.2, 4.5)))
    hh, ww = win.image.shape[:2]
    x, y = int((w - ww) * rng.uniform(0.3, 0.7)), int(h * rng.uniform(0.1, 0.3))
    _frame(patch, rng, x, y, ww, hh, int(w * rng.uniform(0.01, 0.05)))
    put_patch(patch, win, x, y)
    parts.text_lines(patch.image, rng, m, m + 2, w - m, y - 8)
    if rng.random() < 0.4:  # the window of the turning disc
        cv2.rectangle(patch.image, (int(w * 0.25), int(h * 0.44)), (int(w * 0.75), int(h * 0.5)), (40, 40, 40), -1)
        cv2.rectangle(
            patch.image, (int(w * 0.25), int(h * 0.465)), (int(w * 0.75), int(h * 0.475)), (180, 180, 185), -1
        )
    parts.text_lines(patch.image, rng, m, y + hh + 8, w - m, int(h * 0.55))
    if rng.random() < 0.6:
        parts.barcode(patch.image, rng, int(w * 0.2), int(h * 0.57), int(w * 0.8), int(h * 0.64))
    if rng.random() < 0.5:  # a printed serial number, which is no counter
        draw_text(
            patch.image, str(rng.integers(10**5, 10**8)), w / 2, h * 0.72, h * 0.035, (20, 20, 20), pick_font(rng)
        )
    return patch


def gas_meter(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A counter on a plain housing, close or far, with a nameplate."""
    win = _a_counter(rng, int(size * rng.uniform(0.08, 0.25)), strips)
    if win.image.shape[1] > size * 0.9:
        win = resized(win, int(size * 0.9), max(8, int(win.image.shape[0] * size * 0.9 / win.image.shape[1])))
    h, w = win.image.shape[:2]
    height = int(max(h * rng.uniform(1.3, 6), 24))
    patch = parts.body(rng, size, height, 0.08)
    x, y = int((size - w) * rng.uniform(0.2, 0.8)), int((height - h) * rng.uniform(0.2, 0.6))
    _frame(patch, rng, x, y, w, h, int(h * rng.uniform(0.03, 0.3)))
    put_patch(patch, win, x, y)
    parts.text_lines(patch.image, rng, 6, y + h + 6, size - 6, height - 4)
    parts.text_lines(patch.image, rng, 6, 4, size - 6, y - 6)
    return patch


def _sub_dial(patch: Patch, rng: Rng, x: float, y: float, radius: float, ink: tuple[int, int, int]) -> None:
    face = grey(rng, 200, 250, 5) if rng.random() < 0.6 else (50, 50, 210)
    s = Scale(x, y, radius, 0, 360, ink, face, (40, 40, 210))
    if rng.random() < 0.5:
        cv2.circle(patch.image, (int(x), int(y)), int(radius * 1.05), face, -1, cv2.LINE_AA)
    draw_ticks(patch.image, s, rng, 10, 1)
    for k in range(0, 10, int(rng.choice([1, 2, 5]))):
        a = np.deg2rad(k * 36 - 90)
        draw_text(patch.image, str(k), x + 1.3 * radius * np.cos(a), y + 1.3 * radius * np.sin(a), radius * 0.4, ink, 0)
    draw_needle(patch.image, (x, y), radius, rng.uniform(0, 360), rng, (40, 40, 210), (40, 40, 210))


def water_meter(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A round register with a counter and small red sub-dials: one `counter`, no `analog`."""
    patch = blank(size, size)
    c = size / 2
    inner = draw_bezel(patch, rng, c, size * 0.48)
    face, ink, _ = palette(rng)
    if rng.random() < 0.6:
        face, ink = grey(rng, 190, 250, 8), grey(rng, 10, 50)
    cv2.circle(patch.image, (int(c), int(c)), int(inner), face, -1, cv2.LINE_AA)
    win = _a_counter(rng, int(size * rng.uniform(0.09, 0.14)), strips)
    wide = int(inner * rng.uniform(0.8, 1.35))
    win = resized(win, wide, max(10, int(win.image.shape[0] * wide / win.image.shape[1] * rng.uniform(0.9, 1.2))))
    h, w = win.image.shape[:2]
    x, y = int(c - w / 2), int(c - inner * rng.uniform(0.15, 0.6))
    _frame(patch, rng, x, y, w, h, int(h * rng.uniform(0.02, 0.2)))
    put_patch(patch, win, x, y)
    count = int(rng.choice([0, 1, 3, 4, 4]))
    for k in range(count):
        a = np.deg2rad(20 + 140 * (k + 0.5) / max(1, count))
        radius = inner * rng.uniform(0.11, 0.15)
        _sub_dial(patch, rng, c + inner * 0.62 * np.cos(a), c + inner * 0.62 * np.sin(a), radius, ink)
    draw_text(
        patch.image,
        "m³" if rng.random() < 0.5 else random_text(rng),
        c + inner * 0.6,
        y - 4,
        inner * 0.12,
        ink,
        pick_font(rng),
    )
    parts.text_lines(patch.image, rng, int(c - inner * 0.5), int(c - inner * 0.85), int(c + inner * 0.5), y - 6, 2)
    if rng.random() < 0.5:
        cv2.circle(
            patch.image,
            (int(c), int(c + inner * 0.15)),
            int(inner * 0.08),
            (60, 60, 60) if rng.random() < 0.5 else (50, 50, 200),
            -1,
        )
    rim_shadow(patch.image, rng, c, inner)
    return patch


def odometer(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A dial with a small counter or display in its face: both are labelled."""
    patch = any_dial(rng, size)
    if rng.random() < 0.6:
        win = _a_counter(rng, int(size * 0.08), strips)
        win = resized(win, int(size * 0.32), int(size * 0.07))
    else:
        win = display.window(rng, int(size * 0.3), int(size * 0.1))
    y = int(patch.image.shape[0] * rng.uniform(0.6, 0.7))
    put_patch(patch, win, (patch.image.shape[1] - win.image.shape[1]) // 2, y)
    return patch


def instrument_panel(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A board with several gauges of any kind, lamps and print."""
    cols, rows = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    cell = size // max(cols, rows)
    patch = parts.body(rng, cols * cell, rows * cell, 0.03)
    same = rng.random() < 0.5
    first: Patch | None = None
    for i in range(cols):
        for j in range(rows):
            side = int(cell * rng.uniform(0.6, 0.9))
            if same and first is not None and rng.random() < 0.5:
                one = first
            else:
                dial = rng.random() < 0.65
                one = any_dial(rng, side) if dial else SINGLE[int(rng.integers(len(SINGLE)))](rng, side, strips)
            first = first or one
            h, w = one.image.shape[:2]
            if h > cell or w > cell:
                one = resized(one, int(w * 0.9 * cell / max(h, w)), int(h * 0.9 * cell / max(h, w)))
                h, w = one.image.shape[:2]
            put_patch(patch, one, i * cell + (cell - w) // 2, j * cell + (cell - h) // 2)
    for _ in range(int(rng.integers(0, 4))):
        x = int(rng.integers(0, cols + 1)) * cell
        cv2.circle(patch.image, (x, int(rng.integers(0, rows * cell))), cell // 20, vivid(rng), -1, cv2.LINE_AA)
    return patch


def digital_gauge(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A round pressure gauge with a display instead of a needle: `digital` only."""
    patch = blank(size, size)
    c = size / 2
    inner = draw_bezel(patch, rng, c, size * 0.48)
    tone = grey(rng, 10, 250)
    cv2.circle(patch.image, (int(c), int(c)), int(inner), tone, -1, cv2.LINE_AA)
    w, h = int(inner * rng.uniform(1.0, 1.4)), int(inner * rng.uniform(0.4, 0.75))
    put_patch(patch, display.window(rng, w, h), int(c - w / 2), int(c - h * rng.uniform(0.5, 0.9)))
    parts.text_lines(patch.image, rng, int(c - w / 3), int(c - inner * 0.85), int(c + w / 3), int(c - h), 1)
    parts.buttons(patch.image, rng, int(c - w / 3), int(c + inner * 0.5), int(c + w / 3), int(c + inner * 0.75))
    return patch


def labelled_dial(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A dial with a sticker or tag stuck over or beside it."""
    patch = any_dial(rng, size)
    h, w = patch.image.shape[:2]
    tag = parts.body(rng, int(w * rng.uniform(0.15, 0.4)), int(h * rng.uniform(0.08, 0.25)), 0.05)
    parts.text_lines(tag.image, rng, 2, 2, tag.image.shape[1] - 2, tag.image.shape[0] - 2)
    put_patch(patch, Patch(tag.image, tag.alpha), int(rng.uniform(0, 0.7) * w), int(rng.uniform(0, 0.8) * h))
    return patch


SINGLE = (bare_display, panel_instrument, multimeter, handheld, scale, thermostat, electricity_meter, gas_meter,
          water_meter, digital_gauge)  # fmt: skip
WEIGHTS = {
    bare_display: 1.6, panel_instrument: 1.2, multimeter: 1.0, handheld: 1.3, scale: 0.8, thermostat: 1.0,
    electricity_meter: 1.8, gas_meter: 1.8, water_meter: 1.8, odometer: 0.6, instrument_panel: 1.6,
    digital_gauge: 0.5, labelled_dial: 0.7,
}  # fmt: skip


def any_device(rng: Rng, size: int, strips: Strips = ()) -> Patch:
    """A device of any kind."""
    makers = list(WEIGHTS)
    weights = np.array([WEIGHTS[m] for m in makers])
    return makers[int(rng.choice(len(makers), p=weights / weights.sum()))](rng, size, strips)
