"""Draws a result's boxes with their kind and score on the upright picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import cv2
import simplejpeg

from drag_imaging.decode import Decoded, Picture, decode
from drag_imaging.header import identify

_COLOURS_BGR: Final = (
    (80, 220, 255),
    (140, 230, 120),
    (255, 190, 110),
    (200, 160, 255),
    (120, 200, 255),
    (230, 230, 120),
)
_FIXED: Final = {"analog": 0, "digital": 1, "counter": 2}
_DARK: Final = (24, 24, 24)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT_PX: Final = 22.0
"""Height of a capital in this font at scale 1."""


def annotated_jpeg(data: bytes, result: Mapping[str, Any], max_side_px: int = 2048, quality: int = 88) -> bytes:
    """The stored picture, upright, with a job's own result drawn on it.

    Args:
        data: the picture as it was sent.
        result: the job's result; its boxes are in pixels of the upright original.
        max_side_px: a larger picture is scaled down to this.
        quality: of the JPEG.

    Raises:
        ImageError: the picture cannot be decoded.
    """
    decoded = decode(data, identify(data), target_px=max_side_px)
    picture = draw(decoded, result, max_side_px)
    jpeg: bytes = simplejpeg.encode_jpeg(picture, quality=quality, colorspace="BGR", colorsubsampling="420")
    return jpeg


def draw(decoded: Decoded, result: Mapping[str, Any], max_side_px: int = 2048) -> Picture:
    """Draws on a copy of the picture; the lowest score first, so that the best lies on top."""
    height, width = decoded.picture.shape[:2]
    shrink = min(1.0, max_side_px / max(width, height))
    if shrink < 1.0:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        picture = cv2.resize(decoded.picture, size, interpolation=cv2.INTER_AREA)
    else:
        picture = decoded.picture.copy()
    scale_x, scale_y = picture.shape[1] / decoded.width_px, picture.shape[0] / decoded.height_px
    found = [*result.get("gauges", ()), *result.get("detections", ())]
    for item in sorted(found, key=lambda one: float(one["score"])):
        x0, y0, x1, y1 = item["box"]
        right, bottom = picture.shape[1] - 1, picture.shape[0] - 1
        corners = (
            (min(right, round(x0 * scale_x)), min(bottom, round(y0 * scale_y))),
            (min(right, round(x1 * scale_x)), min(bottom, round(y1 * scale_y))),
        )
        _draw_one(picture, corners, str(item.get("kind") or item.get("label") or "?"), float(item["score"]))  # type: ignore[arg-type]
    return picture  # type: ignore[return-value]


def colour_of(name: str) -> tuple[int, int, int]:
    """The colour (BGR) of a kind or label: the same in every picture."""
    index = _FIXED.get(name, sum(name.encode()))
    return _COLOURS_BGR[index % len(_COLOURS_BGR)]


def _draw_one(picture: Picture, corners: tuple[tuple[int, int], tuple[int, int]], name: str, score: float) -> None:
    """A box with a dark rim, and dark words on a light label that stays inside the picture."""
    height, width = picture.shape[:2]
    side = max(width, height)
    line = max(1, round(side / 320))
    colour = colour_of(name)
    (x0, y0), (x1, y1) = corners
    cv2.rectangle(picture, (x0, y0), (x1, y1), _DARK, line + 2 * max(1, line // 2), cv2.LINE_AA)
    cv2.rectangle(picture, (x0, y0), (x1, y1), colour, line, cv2.LINE_AA)
    printable = "".join(c if " " <= c <= "~" else "?" for c in name)[:40]
    text = f"{printable} {score:.2f}"
    font = max(0.3, max(11.0, side / 45) / _FONT_HEIGHT_PX)
    weight = max(1, round(font * 1.6))
    (text_width, text_height), below = cv2.getTextSize(text, _FONT, font, weight)
    if text_width > width:
        font *= width / text_width
        (text_width, text_height), below = cv2.getTextSize(text, _FONT, font, weight)
    margin = max(2, text_height // 3)
    label_width, label_height = text_width + 2 * margin, text_height + below + 2 * margin
    left = max(0, min(x0 - line, width - label_width))
    top = y0 - label_height if y0 >= label_height else min(max(0, y0 + line), max(0, height - label_height))
    cv2.rectangle(picture, (left, top), (left + label_width, top + label_height), colour, cv2.FILLED)
    cv2.putText(picture, text, (left + margin, top + margin + text_height), _FONT, font, _DARK, weight, cv2.LINE_AA)
