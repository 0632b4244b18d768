"""Text as masks, drawn with free TrueType fonts where a folder has some, else with Pillow's own font."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from training.render.patch import Colour, Image, Rng, paste

FONT_FOLDER_VARIABLE = "DRAG_TRAINING_FONTS"  # set by --fonts, inherited by the rendering processes
SYSTEM_FONTS = Path("/usr/share/fonts/truetype")
WORDS = tuple(  # as they stand on instruments
    " ".join(
        (
            "WIKA PRESSURE GAUGE bar psi kPa MPa kg/cm2 CL.1.6 EN 837-1 MADE IN GERMANY No. 2021 SERIAL V A mA kV W kW",
            "kWh Hz m3 m3/h L/min rpm x1000 km/h mph °C °F %RH OIL WATER FUEL TEMP VOLTS AMPS CLASS 2.5 IP65 AC 220V",
            "50Hz 10(40)A SINGLE PHASE STATIC METER TYPE MODEL MODE SET ON OFF HOLD UNIT TARE ZERO COM MAX MIN 600V",
            "CAT III CE imp/kWh Qn 1.5 DN15 PROPERTY OF CAUTION WARNING INSPECTED DO NOT OPEN HIGH LOW AUTO HEAT COOL",
            "FAN lb kg g mg/dL mmol/L SYS DIA PULSE mmHg READY STEAM VACUUM AIR BRAKE Kern Siemens Rosemount Honeywell",
            "Fluke ABB Omron Elster Itron",
        )
    ).split()
)


@lru_cache(maxsize=1)
def font_paths() -> tuple[str, ...]:
    """TrueType files of the configured folder, else of the system; empty where there are none."""
    folder = Path(os.environ.get(FONT_FOLDER_VARIABLE) or SYSTEM_FONTS)
    return tuple(sorted(str(p) for p in folder.rglob("*.ttf") if "DSEG" not in p.name)) if folder.is_dir() else ()


@lru_cache(maxsize=512)
def _font(index: int, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    paths = font_paths()
    return ImageFont.truetype(paths[index % len(paths)], size) if paths else ImageFont.load_default(size)


def pick_font(rng: Rng) -> int:
    """A font number for `text_mask`."""
    return int(rng.integers(0, max(1, len(font_paths()))))


@lru_cache(maxsize=4096)
def text_mask(text: str, height: int, font: int) -> Image:
    """Coverage `(h, w)` uint8 of a text whose capitals are about `height` pixels high; cropped to its ink."""
    face = _font(font, max(5, round(height * 1.36)))
    left, top, right, bottom = face.getbbox(text)
    size = (max(1, int(right - left) + 2), max(1, int(bottom - top) + 2))
    canvas = PilImage.new("L", size, 0)
    ImageDraw.Draw(canvas).text((1 - left, 1 - top), text, fill=255, font=face)
    return np.asarray(canvas, np.uint8)


def draw_text(
    image: Image, text: str, cx: float, cy: float, height: float, colour: Colour, font: int, angle: float = 0.0
) -> None:
    """Draws a text centred at `(cx, cy)`, turned clockwise by `angle` degrees."""
    if height < 3 or not text:
        return
    mask = text_mask(text, round(height), font)
    if abs(angle) > 1:
        h, w = mask.shape
        side = int(np.hypot(h, w)) + 2
        turn = cv2.getRotationMatrix2D((w / 2, h / 2), -angle, 1.0)
        turn[:, 2] += (side / 2 - w / 2, side / 2 - h / 2)
        mask = np.asarray(cv2.warpAffine(mask, turn, (side, side)), np.uint8)
    h, w = mask.shape
    ink = np.empty((h, w, 3), np.uint8)
    ink[:] = colour
    paste(image, ink, mask, round(cx - w / 2), round(cy - h / 2))


def random_text(rng: Rng, words: int = 1) -> str:
    """A few words as they stand on instruments, sometimes a number."""
    parts = [str(rng.choice(WORDS)) for _ in range(words)]
    if rng.random() < 0.25:
        parts.append(str(rng.integers(1, 10 ** int(rng.integers(2, 9)))))
    return " ".join(parts)
