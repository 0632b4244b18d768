"""Fits a picture into a network's input and maps boxes back; inputs are never changed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from drag_imaging.decode import Picture


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in a network's input: `input = source * scale + pad`, in x and y.

    Attributes:
        scale_x: input pixels a source pixel, across.
        scale_y: input pixels a source pixel, down.
        pad_x: input pixels left of the picture.
        pad_y: input pixels above the picture.
        source_width: of the picture that boxes are mapped back to, in pixels.
        source_height: likewise.
    """

    scale_x: float
    scale_y: float
    pad_x: int
    pad_y: int
    source_width: int
    source_height: int

    def to_source(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Maps `(N, 4)` `xyxy` from the input to the source, clipped to it; returns a new array."""
        mapped = (boxes - self._shift()) / self._factor()
        mapped[:, 0::2] = mapped[:, 0::2].clip(0.0, self.source_width)
        mapped[:, 1::2] = mapped[:, 1::2].clip(0.0, self.source_height)
        return mapped.astype(np.float32)

    def to_input(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Maps `(N, 4)` `xyxy` from the source to the input; returns a new array."""
        return (boxes * self._factor() + self._shift()).astype(np.float32)

    def _factor(self) -> npt.NDArray[np.float64]:
        return np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y])

    def _shift(self) -> npt.NDArray[np.float64]:
        return np.array([self.pad_x, self.pad_y, self.pad_x, self.pad_y], dtype=np.float64)


def letterbox(
    picture: Picture, size: tuple[int, int], pad: int = 114, source: tuple[int, int] | None = None
) -> tuple[Picture, Placement]:
    """Scales a picture to fit, its shape kept, and centres it on `pad`.

    Args:
        picture: `(height, width, 3)` uint8.
        size: height and width of the input.
        pad: grey level around the picture.
        source: width and height that boxes are mapped back to, when the picture was decoded smaller than it is;
            None: the picture's own.

    Returns:
        A new `(*size, 3)` uint8 array, and where the picture lies in it.
    """
    source_width, source_height = source or (picture.shape[1], picture.shape[0])
    height, width = size
    scale = min(width / source_width, height / source_height)
    placed_width = min(width, max(1, round(source_width * scale)))
    placed_height = min(height, max(1, round(source_height * scale)))
    left, top = (width - placed_width) // 2, (height - placed_height) // 2
    out = np.empty((height, width, 3), dtype=np.uint8)
    inner = out[top : top + placed_height, left : left + placed_width]
    out[:top], out[top + placed_height :] = pad, pad
    out[top : top + placed_height, :left], out[top : top + placed_height, left + placed_width :] = pad, pad
    inner[...] = _resize(picture, placed_width, placed_height)
    placement = Placement(
        placed_width / source_width, placed_height / source_height, left, top, source_width, source_height
    )
    return out, placement


def stretch(
    picture: Picture, size: tuple[int, int], source: tuple[int, int] | None = None
) -> tuple[Picture, Placement]:
    """Scales a picture to fill the input, its shape not kept; as `letterbox` otherwise."""
    source_width, source_height = source or (picture.shape[1], picture.shape[0])
    height, width = size
    out = _resize(picture, width, height)
    if out is picture:
        out = picture.copy()
    return out, Placement(width / source_width, height / source_height, 0, 0, source_width, source_height)


def _resize(picture: Picture, width: int, height: int) -> Picture:
    """Averages areas when it shrinks to less than half (no moiré on fine scales), else interpolates."""
    if (picture.shape[1], picture.shape[0]) == (width, height):
        return picture
    far = picture.shape[1] > 2 * width or picture.shape[0] > 2 * height
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if far else cv2.INTER_LINEAR)  # type: ignore[return-value]
