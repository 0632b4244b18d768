"""From a picture's bytes to a network's input: one decode, one resize; knows no Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drag_imaging.decode import DecodeBuffer, Picture, decode
from drag_imaging.header import ImageHeader
from drag_imaging.letterbox import Placement, letterbox, stretch
from drag_inference.repository import InputSpec
from drag_inference.runner import Batch


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture of the network's size.

    Attributes:
        picture: `(height, width, 3)` uint8, BGR.
        placement: where the upright original lies in it.
    """

    picture: Picture
    placement: Placement


def prepare(data: bytes, header: ImageHeader, spec: InputSpec, buffer: DecodeBuffer | None = None) -> Prepared:
    """Decodes a file no larger than the network needs it, turns it upright and fits it into the input.

    Raises:
        ImageError: the file cannot be decoded.
    """
    decoded = decode(data, header, target_px=_target_px(header, spec), buffer=buffer)
    size, source = (spec.height, spec.width), (decoded.width_px, decoded.height_px)
    if spec.resize == "stretch":
        return Prepared(*stretch(decoded.picture, size, source))
    return Prepared(*letterbox(decoded.picture, size, spec.pad, source))


def pack(pictures: Sequence[Picture], spec: InputSpec, batch: Batch) -> Batch:
    """Writes pictures into a batch in the network's colour order, layout and numbers.

    Args:
        pictures: each `(height, width, 3)` uint8, BGR.
        spec: what the network takes.
        batch: memory for at least as many pictures.

    Returns:
        A view of the part of `batch` that is filled.
    """
    filled = batch[: len(pictures)]
    for place, picture in zip(filled, pictures, strict=True):
        ordered = picture if spec.colour == "bgr" else picture[:, :, ::-1]
        target = place if spec.layout == "nhwc" else place.transpose(1, 2, 0)
        target[...] = ordered
        if any(spec.mean):
            target -= np.array(spec.mean, dtype=target.dtype)
        if spec.std != (1.0, 1.0, 1.0):
            target /= np.array(spec.std, dtype=target.dtype)
    return filled


def _target_px(header: ImageHeader, spec: InputSpec) -> int:
    """The long side that the resize needs: what is smaller would have to be blown up again."""
    width, height = header.upright_size
    if spec.resize == "stretch":
        scale = max(spec.width / width, spec.height / height)
    else:
        scale = min(spec.width / width, spec.height / height)
    return max(1, round(max(width, height) * min(1.0, scale)))
