"""Scenes: gauges and clutter at random poses on a background, with boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from training.classes import LABELS
from training.render.background import any_background
from training.render.camera import shoot
from training.render.clutter import any_clutter
from training.render.device import any_device
from training.render.dial import any_dial
from training.render.patch import Image, Patch, Points, Rng, grey, vivid

MIN_SIDE = 9.0  # smaller gauges, in pixels of the scene, are not labelled (and not drawn on purpose)


@dataclass
class Assets:
    """Real material for scenes; each list may be empty."""

    backgrounds: Sequence[Image] = field(default_factory=list)
    strips: Sequence[Image] = field(default_factory=list)
    cutouts: Sequence[Patch] = field(default_factory=list)
    decoys: Sequence[Patch] = field(default_factory=list)


@dataclass
class Scene:
    """`image` `(S, S, 3)` uint8 BGR; `boxes` `(K, 4)` float32 xyxy in its pixels; `labels` `(K,)` int64."""

    image: Image
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


def pose(rng: Rng, h: int, w: int, cx: float, cy: float, side: float, tilt_max: float = 50.0) -> NDArray[np.float64]:
    """Homography from a patch `(h, w)` to the scene: longer side about `side` pixels, turned and tilted."""
    pick = rng.random()
    roll = rng.normal(0, 4) if pick < 0.75 else rng.uniform(-35, 35) if pick < 0.96 else rng.uniform(-180, 180)
    tilt = abs(rng.normal(0, 12)) if rng.random() < 0.6 else rng.uniform(10, tilt_max)
    tilt = np.deg2rad(min(tilt, tilt_max))
    axis, r = rng.uniform(0, 2 * np.pi), np.deg2rad(roll)
    corners = np.array([[-w, -h], [w, -h], [w, h], [-w, h]], np.float64) / 2 * (side / max(h, w))
    turn = np.array([[np.cos(r), -np.sin(r)], [np.sin(r), np.cos(r)]])
    flat = corners @ turn.T
    u = np.array([np.cos(axis), np.sin(axis)])
    along = flat @ u
    depth = along * np.sin(tilt)
    flat = flat - np.outer(along * (1 - np.cos(tilt)), u)
    far = side * rng.uniform(1.6, 6.0)
    flat = flat * (far / (far + depth))[:, None] + np.array([cx, cy])
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(source, flat.astype(np.float32)), np.float64)


def project(points: Points, matrix: NDArray[np.float64]) -> Points:
    """Points `(K, 2)` through a homography."""
    return np.asarray(cv2.perspectiveTransform(points[None].astype(np.float64), matrix)[0], np.float32)


def _blend(image: Image, patch: Patch, matrix: NDArray[np.float64], shadow: float, rng: Rng) -> None:
    """Warps a patch into the scene over its shadow, touching only where it lands."""
    h, w = patch.alpha.shape
    corners = project(np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32), matrix)
    size, margin = image.shape[0], 12
    x0, y0 = (max(0, int(v) - margin) for v in corners.min(0))
    x1, y1 = (min(size, int(v) + margin) for v in corners.max(0))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    shift = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]], np.float64) @ matrix
    rgba = np.dstack([patch.image, patch.alpha])
    warped = cv2.warpPerspective(rgba, shift, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    alpha = warped[..., 3:].astype(np.float32) / 255
    view = image[y0:y1, x0:x1]
    if shadow > 0:
        dark = cv2.blur(warped[..., 3], (13, 13)).astype(np.float32) / 255 * shadow
        dark = np.roll(dark, (int(rng.integers(-6, 9)), int(rng.integers(-6, 7))), (0, 1))
        view[:] = (view * (1 - dark[..., None])).astype(np.uint8)
    view[:] = (view * (1 - alpha) + warped[..., :3] * alpha + 0.5).astype(np.uint8)


def _gauge(rng: Rng, size: int, assets: Assets) -> Patch:
    pick = rng.random()
    if len(assets.cutouts) and pick < 0.2:
        return assets.cutouts[int(rng.integers(len(assets.cutouts)))]
    return any_dial(rng, size) if pick < 0.5 else any_device(rng, size, assets.strips)


def _decoy(rng: Rng, size: int, assets: Assets) -> Patch:
    if len(assets.decoys) and rng.random() < 0.25:
        return assets.decoys[int(rng.integers(len(assets.decoys)))]
    return any_clutter(rng, size, assets.backgrounds)


def _overlap(box: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> float:
    """Largest share of the smaller of two boxes that they have in common."""
    worst = 0.0
    for other in others:
        w = min(box[2], other[2]) - max(box[0], other[0])
        h = min(box[3], other[3]) - max(box[1], other[1])
        if w > 0 and h > 0:
            small = min((box[2] - box[0]) * (box[3] - box[1]), (other[2] - other[0]) * (other[3] - other[1]))
            worst = max(worst, float(w * h / max(1.0, small)))
    return worst


def _bounds(points: Points) -> NDArray[np.float32]:
    return np.concatenate([points.min(0), points.max(0)]).astype(np.float32)


class Composer:
    """Puts patches into one scene and keeps their boxes."""

    def __init__(self, rng: Rng, size: int, assets: Assets) -> None:
        self.rng, self.size, self.assets = rng, size, assets
        self.image = any_background(rng, size, assets.backgrounds)
        self.taken: list[NDArray[np.float32]] = []
        self.boxes: list[NDArray[np.float32]] = []
        self.labels: list[int] = []

    def _stem(self, matrix: NDArray[np.float64], patch: Patch) -> None:
        """A pipe that leads to a dial from below or behind."""
        h, w = patch.alpha.shape
        a, b = project(np.array([[w / 2, h / 2], [w / 2, h * self.rng.uniform(1.1, 1.8)]], np.float32), matrix)
        wide = max(2, int(np.hypot(*(b - a)) * self.rng.uniform(0.1, 0.35)))
        colour = (60, 140, 190) if self.rng.random() < 0.4 else grey(self.rng, 40, 200)
        cv2.line(self.image, a.astype(int).tolist(), b.astype(int).tolist(), colour, wide, cv2.LINE_AA)
        light = tuple(min(255, c + 50) for c in colour)
        cv2.line(self.image, a.astype(int).tolist(), b.astype(int).tolist(), light, max(1, wide // 4), cv2.LINE_AA)

    def add(self, side: float, gauge: bool, cut: bool) -> None:
        """Adds one patch about `side` pixels long where there is room; `cut`: it may run out of the picture."""
        rng = self.rng
        draw = int(np.clip(side * rng.uniform(1.0, 1.3), 72, 460))
        patch = _gauge(rng, draw, self.assets) if gauge else _decoy(rng, draw, self.assets)
        h, w = patch.alpha.shape
        for _ in range(6):
            slack = side * (0.25 if cut else 0.5)
            low, high = min(slack, self.size / 2), max(self.size - slack, self.size / 2)
            matrix = pose(rng, h, w, rng.uniform(low, high), rng.uniform(low, high), side)
            whole = _bounds(project(np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32), matrix))
            boxes = [_bounds(project(item.outline, matrix)) for item in patch.items]
            if _overlap(whole, self.taken) < (0.05 if gauge else 0.3) and self._visible(boxes):
                break
        else:
            return
        if gauge and len(patch.items) == 1 and patch.items[0].kind == "analog" and rng.random() < 0.4:
            self._stem(matrix, patch)
        _blend(self.image, patch, matrix, rng.uniform(0.2, 0.7) if rng.random() < 0.6 else 0.0, rng)
        self.taken.append(whole)
        for item, box in zip(patch.items, boxes, strict=True):
            self._label(item.kind, box)

    def _visible(self, boxes: Sequence[NDArray[np.float32]]) -> bool:
        """Whether every gauge is at least 60 % inside and large enough to be asked for."""
        for box in boxes:
            inside = np.clip(box, 0, self.size)
            area = float(np.prod(box[2:] - box[:2]))
            if float(np.prod(inside[2:] - inside[:2])) < 0.6 * area or float((box[2:] - box[:2]).max()) < MIN_SIDE:
                return False
        return True

    def _label(self, kind: str, box: NDArray[np.float32]) -> None:
        self.boxes.append(np.clip(box, 0, self.size).astype(np.float32))
        self.labels.append(LABELS.index(kind))

    def occlude(self) -> None:
        """A thin thing in front of everything: cable, pipe, branch, fence."""
        a, b = self.rng.uniform(0, self.size, 2), self.rng.uniform(0, self.size, 2)
        colour = grey(self.rng, 0, 200) if self.rng.random() < 0.7 else vivid(self.rng)
        thick = int(self.rng.integers(2, max(3, self.size // 40)))
        cv2.line(self.image, (int(a[0]), 0), (int(b[0]), self.size), colour, thick, cv2.LINE_AA)
        if self.rng.random() < 0.3:
            cv2.line(self.image, (0, int(a[1])), (self.size, int(b[1])), colour, thick, cv2.LINE_AA)

    def scene(self) -> Scene:
        """The finished scene."""
        boxes = np.array(self.boxes, np.float32).reshape(-1, 4)
        return Scene(shoot(self.image, self.rng), boxes, np.array(self.labels, np.int64))


def render(seed: int, size: int, assets: Assets | None = None) -> Scene:
    """One scene, the same for the same seed and assets."""
    rng = np.random.default_rng(seed)
    composer = Composer(rng, size, assets or Assets())
    pick = rng.random()
    behind = int(rng.integers(0, 4))
    if pick < 0.28:  # close: one fills the picture, perhaps cut
        composer.add(size * rng.uniform(0.55, 1.25), True, bool(rng.random() < 0.3))
        behind = int(rng.integers(0, 3))
    elif pick < 0.61:
        for _ in range(int(rng.integers(1, 4))):
            composer.add(size * rng.uniform(0.18, 0.5), True, False)
    elif pick < 0.84:  # far: small gauges in a wide scene
        for _ in range(int(rng.integers(1, 6))):
            composer.add(size * rng.uniform(0.06, 0.2), True, False)
    else:  # none
        behind = int(rng.integers(1, 8))
    for _ in range(behind):
        composer.add(size * (rng.uniform(0.04, 0.4) if pick < 0.84 else rng.uniform(0.05, 1.0)), False, True)
    if rng.random() < 0.15:
        composer.occlude()
    return composer.scene()
