"""The labels of real photos: `labels/photos.csv` (one row a photo) and `labels/boxes.csv` (one row an instrument)."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.classes import LABELS

FOLDER = Path(__file__).parent / "labels"
HELD_OUT_PERCENT = 8  # of `train`, kept apart to choose the threshold on


@dataclass(frozen=True)
class Box:
    """An instrument; `x0` ... `y1` in pixels of the labelled file. Kinds beside the classes are hard negatives."""

    kind: str
    shape: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Photo:
    """A labelled photo; its first box of a class is the main gauge."""

    file: str
    split: str  # train | held | dev
    kind: str  # analog | digital | counter | none
    source: str
    stated: bool  # whether the source states where its photos come from
    width: int
    height: int
    same_as: str
    sha256: str
    boxes: tuple[Box, ...]

    def targets(self, width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Boxes `(K, 4)` float32 xyxy of the classes in pixels of a copy of that size, and labels `(K,)`."""
        scale = np.array([width / self.width, height / self.height] * 2, np.float32)
        own = [b for b in self.boxes if b.kind in LABELS]
        boxes = np.array([[b.x0, b.y0, b.x1, b.y1] for b in own], np.float32).reshape(-1, 4) * scale
        limit = np.array([width, height] * 2, np.float32)
        return np.clip(boxes, 0, limit), np.array([LABELS.index(b.kind) for b in own], np.int64)


def _split(row: dict[str, str]) -> str:
    if row["split"] != "train":
        return row["split"]
    key = row["same_as"] or row["file"]
    bucket = int(hashlib.sha256(key.encode()).hexdigest(), 16) % 100
    return "held" if bucket < HELD_OUT_PERCENT else "train"


def load_labels(folder: Path = FOLDER, unstated: bool = True, copies: bool = False) -> list[Photo]:
    """All labelled photos; a gauge without a box counts as not labelled.

    Args:
        folder: where the two tables lie.
        unstated: take sources that do not state the provenance of their photos.
        copies: take photos that occur twice.
    """
    boxes: dict[str, list[Box]] = defaultdict(list)
    with open(folder / "boxes.csv", newline="") as handle:
        for row in csv.DictReader(handle):
            corners = (float(row[c]) for c in ("x0", "y0", "x1", "y1"))
            boxes[row["file"]].append(Box(row["kind"], row["shape"], *corners))
    photos = []
    with open(folder / "photos.csv", newline="") as handle:
        for row in csv.DictReader(handle):
            stated = row["provenance"] == "stated"
            unlabelled = row["kind"] != "none" and not boxes[row["file"]]
            if unlabelled or (row["same_as"] and not copies) or not (stated or unstated):
                continue
            photos.append(
                Photo(row["file"], _split(row), row["kind"], row["source"], stated, int(row["width"]),
                      int(row["height"]), row["same_as"], row["sha256"], tuple(boxes[row["file"]]))
            )  # fmt: skip
    return photos


def read_photo(folder: Path, photo: Photo, side: int | None = None) -> NDArray[np.uint8] | None:
    """The photo `(H, W, 3)` uint8 BGR, shrunk to `side` if longer; None where the folder lacks it."""
    image = cv2.imread(str(folder / photo.file), cv2.IMREAD_COLOR)
    if image is None:
        return None
    scale = 1.0 if side is None else side / max(image.shape[:2])
    if scale < 1.0:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(image, np.uint8)


def pack(source: Path, target: Path, side: int = 512, quality: int = 88) -> int:
    """Writes shrunk JPEG copies of the labelled `train` photos under the same names; gives the bytes written."""
    total = 0
    for photo in load_labels():
        image = read_photo(source, photo, side) if photo.split != "dev" else None
        if image is None:
            continue
        out = target / photo.file
        out.parent.mkdir(parents=True, exist_ok=True)
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        out.write_bytes(code.tobytes())
        total += len(code)
    return total


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description="Shrunk copies of the labelled train photos")
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--quality", type=int, default=88)
    args = parser.parse_args()
    print(f"{pack(args.photos, args.out, args.side, args.quality) / 1e6:.1f} MB")
