"""Real photos as training material: a pool with sampling weights, and cut-outs, decoys and backgrounds for scenes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.classes import LABELS
from training.labels import Box, Photo, read_photo
from training.pool import Pool, letterbox
from training.render.patch import Image, Item, Patch, ellipse_outline, rect_outline
from training.render.scene import Assets

KIND_SHARE = {"analog": 0.44, "digital": 0.2, "counter": 0.2, "none": 0.16}
DECOYS = ("clock", "tube", "other")


def fill_pool(pool: Pool, folder: Path, photos: list[Photo], size: int) -> list[Photo]:
    """Puts photos, letterboxed, into a pool; gives those that the folder has, in the pool's order."""
    kept: list[Photo] = []
    for photo in photos:
        image = read_photo(folder, photo, size)
        if image is None:
            continue
        h, w = image.shape[:2]
        boxes, labels = photo.targets(w, h)
        square, scale, left, top = letterbox(image, size)
        moved = boxes * scale + np.array([left, top, left, top], np.float32)
        pool.put(len(kept), square, moved.astype(np.float32), labels)
        kept.append(photo)
    return kept


def weights(photos: list[Photo]) -> NDArray[np.float64]:
    """Sampling weights: kinds by `KIND_SHARE`, and within a kind the sources by the root of their number."""
    by_source = Counter((p.kind, p.source) for p in photos)
    by_kind: dict[str, float] = {}
    for (kind, _), count in by_source.items():
        by_kind[kind] = by_kind.get(kind, 0.0) + count**0.7
    each = [KIND_SHARE[p.kind] * by_source[p.kind, p.source] ** -0.3 / by_kind[p.kind] for p in photos]
    return np.asarray(np.array(each) / np.sum(each), np.float64)


def _cut(image: Image, box: Box, photo: Photo, others: list[Box], margin: float) -> Patch | None:
    """The part of a photo around a box, `margin` of its size wider; None if another instrument is cut in two."""
    h, w = image.shape[:2]
    k = w / photo.width
    bw, bh = box.x1 - box.x0, box.y1 - box.y0
    x0, y0 = max(0, int((box.x0 - margin * bw) * k)), max(0, int((box.y0 - margin * bh) * k))
    x1, y1 = min(w, int((box.x1 + margin * bw) * k)), min(h, int((box.y1 + margin * bh) * k))
    if min(x1 - x0, y1 - y0) < 24:
        return None
    crop = np.ascontiguousarray(image[y0:y1, x0:x1])
    patch = Patch(crop, np.full(crop.shape[:2], 255, np.uint8))
    for other in others:
        a = np.array([other.x0, other.y0, other.x1, other.y1], np.float32) * k - np.array([x0, y0, x0, y0], np.float32)
        inside = np.clip(a, 0, [x1 - x0, y1 - y0] * 2)
        area = float((inside[2] - inside[0]) * (inside[3] - inside[1]))
        if area <= 0 or other.kind == "face":
            continue
        if area < 0.85 * float((a[2] - a[0]) * (a[3] - a[1])):
            return None
        if other.kind in LABELS:
            patch.items.append(Item(other.kind, rect_outline(*(float(v) for v in inside))))
    return patch


def _round_cut(patch: Patch) -> None:
    """Makes a cut-out of a round dial round."""
    h, w = patch.alpha.shape
    mask = np.zeros((h, w), np.uint8)
    cv2.ellipse(mask, (w // 2, h // 2), (w // 2 - 1, h // 2 - 1), 0, 0, 360, 255, -1, cv2.LINE_AA)
    patch.alpha[:] = mask
    for item in patch.items[:1]:
        item.outline = ellipse_outline(w / 2, h / 2, w / 2, h / 2)


def _cutouts(image: Image, photo: Photo) -> tuple[list[Patch], list[Patch]]:
    """Cut-outs with gauges and decoys without."""
    good: list[Patch] = []
    bad: list[Patch] = []
    boxes = [b for b in photo.boxes if b.kind != "face"]
    for box in boxes:
        cut = box.x0 < 2 or box.y0 < 2 or box.x1 > photo.width - 2 or box.y1 > photo.height - 2
        ratio = (box.x1 - box.x0) / max(1.0, box.y1 - box.y0)
        if cut:
            continue
        if box.kind in DECOYS:
            patch = _cut(image, box, photo, boxes, 0.0)
            if patch is not None and not patch.items:
                bad.append(patch)
        elif box.kind == "analog":
            patch = _cut(image, box, photo, [box], 0.0)
            if patch is not None and box.shape == "round" and 0.8 < ratio < 1.25:
                _round_cut(patch)
                patch.items = patch.items[:1]
                others = [
                    b
                    for b in boxes
                    if b is not box and b.x0 < box.x1 and b.x1 > box.x0 and b.y0 < box.y1 and b.y1 > box.y0
                ]
                if not others:
                    good.append(patch)
        else:
            patch = _cut(image, box, photo, boxes, 0.45)
            if patch is not None:
                good.append(patch)
    return good, bad


def _corner(image: Image, photo: Photo) -> Image | None:
    """The largest part of a photo beside all its instruments, if large enough for a background."""
    k = image.shape[1] / photo.width
    x0, y0 = min(b.x0 for b in photo.boxes) * k, min(b.y0 for b in photo.boxes) * k
    x1, y1 = max(b.x1 for b in photo.boxes) * k, max(b.y1 for b in photo.boxes) * k
    parts = [image[:, : int(x0 * 0.95)], image[:, int(x1 * 1.03) :], image[: int(y0 * 0.95)], image[int(y1 * 1.03) :]]
    best = max(parts, key=lambda p: min(p.shape[:2]))
    return best if min(best.shape[:2]) >= 110 else None


def _pictures(folder: Path) -> list[Image]:
    """The JPEG files of a folder that can be read."""
    found = (cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg")))
    return [np.asarray(image, np.uint8) for image in found if image is not None]


def scene_assets(folder: Path, photos: list[Photo], extra: Path | None = None, side: int = 512) -> Assets:
    """Backgrounds, cut-outs and decoys from photos, and counter strips and more backgrounds from `extra`."""
    backgrounds: list[Image] = []
    good: list[Patch] = []
    bad: list[Patch] = []
    for photo in photos:
        image = read_photo(folder, photo, side)
        if image is None:
            continue
        if photo.kind == "none":
            backgrounds.extend([image] if "water_meter" in photo.source or "Watt" in photo.source else [image] * 3)
            continue
        found = _cutouts(image, photo)
        good.extend(found[0])
        bad.extend(found[1])
        corner = _corner(image, photo) if photo.boxes else None
        if corner is not None and "ScaleBench" in photo.source:
            backgrounds.append(corner)
    strips = _pictures(extra / "strips") if extra else []
    if extra is not None:
        backgrounds.extend(image for image in _pictures(extra / "backgrounds") for _ in range(3))
    return Assets(backgrounds, strips, good, bad)
