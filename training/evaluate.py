"""Judges an exported model on labelled photos with onnxruntime: table on the screen, failures as pictures.

`python -m training.evaluate model.onnx --photos DIR [--split dev] [--sheets DIR]`
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from training.classes import LABELS
from training.labels import Photo, load_labels, read_photo
from training.metrics import average_precision, iou_matrix, match, suppress

PAD = 114
SMALL = 0.12  # a gauge whose longer side is under this share of the photo's longer side counts as small
COLOURS = ((0, 255, 0), (255, 80, 0), (0, 0, 255))


@dataclass
class Found:
    """Detections of one photo in its own pixels: `boxes` `(K, 4)` xyxy, `scores` `(K,)`, `labels` `(K,)`."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]

    def over(self, threshold: float) -> Found:
        """Those that score at least `threshold`."""
        keep = self.scores >= threshold
        return Found(self.boxes[keep], self.scores[keep], self.labels[keep])


class Model:
    """An exported detector on one CPU thread, with its letterbox and suppression."""

    def __init__(self, path: Path, iou: float = 0.5, floor: float = 0.02) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.size = int(self.session.get_inputs()[0].shape[1])
        self.iou, self.floor = iou, floor
        self.times: list[float] = []

    def __call__(self, image: NDArray[np.uint8]) -> Found:
        h, w = image.shape[:2]
        scale = self.size / max(h, w)
        nh, nw = max(1, round(h * scale)), max(1, round(w * scale))
        top, left = (self.size - nh) // 2, (self.size - nw) // 2
        square = np.full((1, self.size, self.size, 3), PAD, np.uint8)
        square[0, top : top + nh, left : left + nw] = cv2.resize(image, (nw, nh), interpolation=cv2.INTER_LINEAR)
        begin = time.perf_counter()
        out = self.session.run(None, {"images": square})[0][0]
        self.times.append(time.perf_counter() - begin)
        scores, labels = out[4:].max(0), out[4:].argmax(0)
        keep = scores >= self.floor
        centre, half = out[:2, keep].T, out[2:4, keep].T / 2
        boxes = (np.concatenate([centre - half, centre + half], 1) - [left, top, left, top]) / scale
        boxes = np.clip(boxes, 0, [w, h, w, h]).astype(np.float32)
        scores, labels = scores[keep].astype(np.float32), labels[keep].astype(np.int64)
        order = suppress(boxes, scores, labels, self.iou)[:50]
        return Found(boxes[order], scores[order], labels[order])


@dataclass
class Tally:
    """What is counted over photos."""

    scores: dict[int, list[NDArray[np.float32]]] = field(default_factory=lambda: defaultdict(list))
    hits: dict[int, list[NDArray[np.bool_]]] = field(default_factory=lambda: defaultdict(list))
    truths: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    main: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    small: list[bool] = field(default_factory=list)
    alarms: list[bool] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)  # false detections at the threshold, a photo with gauges
    failures: list[tuple[str, Photo, Found]] = field(default_factory=list)


def count(tally: Tally, photo: Photo, found: Found, threshold: float) -> None:
    """Adds one photo."""
    truth, labels = photo.targets(photo.width, photo.height)
    for c in range(len(LABELS)):
        mine = found.labels == c
        hit, _ = match(found.boxes[mine], found.scores[mine], truth[labels == c])
        tally.scores[c].append(found.scores[mine])
        tally.hits[c].append(hit)
        tally.truths[c] += int((labels == c).sum())
    sure = found.over(threshold)
    if not len(truth):
        tally.alarms.append(len(sure.scores) > 0)
        if len(sure.scores):
            tally.failures.append(("alarm", photo, sure))
        return
    hits = 0
    for c in range(len(LABELS)):
        mine, own = sure.labels == c, truth[labels == c]
        hit, got = match(sure.boxes[mine], sure.scores[mine], own)
        hits += int(hit.sum())
        side = (own[:, 2:] - own[:, :2]).max(1) / max(photo.width, photo.height) if len(own) else np.zeros(0)
        tally.small.extend(got[side < SMALL].tolist())
    tally.extra.append(len(sure.scores) - hits)
    ok = bool(((sure.labels == labels[0]) & (iou_matrix(sure.boxes, truth[:1])[:, 0] >= 0.5)).any())
    tally.main[LABELS[labels[0]]].append(ok)
    tally.main[f"  {photo.source}"].append(ok)
    if not ok:
        tally.failures.append(("miss", photo, found.over(min(0.1, threshold))))
    elif len(sure.scores) > hits:
        tally.failures.append(("extra", photo, sure))


def table(tally: Tally, threshold: float, times: list[float]) -> str:
    """The figures as text."""
    lines = [f"threshold {threshold}"]
    for c, name in enumerate(LABELS):
        scores = np.concatenate([np.zeros(0, np.float32), *tally.scores[c]])
        hits = np.concatenate([np.zeros(0, np.bool_), *tally.hits[c]])
        lines.append(f"AP50 {name:8s} {average_precision(scores, hits, tally.truths[c]):.3f}  of {tally.truths[c]}")
    flat = [ok for name, oks in tally.main.items() if not name.startswith(" ") for ok in oks]
    lines.append(f"main gauge found at IoU 0.5: {np.mean(flat):.3f}  of {len(flat)}")
    lines += [f"  {name:45s} {np.mean(oks):.3f}  of {len(oks)}" for name, oks in sorted(tally.main.items())]
    if tally.small:
        lines.append(
            f"small gauges (under {SMALL:.0%} of the photo) found: {np.mean(tally.small):.3f} of {len(tally.small)}"
        )
    if tally.alarms:
        lines.append(f"false alarms on pictures without a gauge: {np.mean(tally.alarms):.3f}  of {len(tally.alarms)}")
    lines.append(f"false detections a photo with gauges: {np.mean(tally.extra):.3f}")
    lines.append(f"inference, one thread: median {np.median(times) * 1e3:.1f} ms")
    return "\n".join(lines)


def sheet(folder: Path, failures: list[tuple[str, Photo, Found]], photos: Path, side: int = 260, cols: int = 6) -> None:
    """Writes contact sheets of failures: truth thin and white, detections in colour with scores."""
    for kind in ("alarm", "miss", "extra"):
        tiles = []
        for what, photo, found in failures:
            image = read_photo(photos, photo, side) if what == kind else None
            if image is None:
                continue
            k = image.shape[1] / photo.width
            for box in photo.targets(image.shape[1], image.shape[0])[0]:
                cv2.rectangle(image, box[:2].astype(int).tolist(), box[2:].astype(int).tolist(), (255, 255, 255), 1)
            for box, score, label in zip(found.boxes * k, found.scores, found.labels, strict=True):
                a, b = box[:2].astype(int).tolist(), box[2:].astype(int).tolist()
                cv2.rectangle(image, a, b, COLOURS[label], 2)
                cv2.putText(image, f"{score:.2f}", (a[0] + 2, a[1] + 12), 0, 0.4, COLOURS[label], 1)
            tile = np.full((side, side, 3), 40, np.uint8)
            part = image[:side, :side]
            tile[: part.shape[0], : part.shape[1]] = part
            cv2.putText(tile, photo.file[-38:], (2, side - 4), 0, 0.35, (255, 255, 255), 1)
            tiles.append(tile)
        if tiles:
            tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % cols)
            rows = [np.hstack(tiles[i : i + cols]) for i in range(0, len(tiles), cols)]
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{kind}.png"), np.vstack(rows[:16]))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("model", type=Path)
    p.add_argument("--photos", type=Path, required=True)
    p.add_argument("--split", default="dev", help="dev, held (part of train kept apart) or train")
    p.add_argument("--score", type=float, default=0.4, help="threshold as shipped")
    p.add_argument("--sheets", type=Path, help="folder for pictures of the failures")
    p.add_argument("--without-unstated", action="store_true")
    p.add_argument("--sweep", action="store_true", help="main gauge, alarms and false detections over thresholds")
    args = p.parse_args()
    model, found = Model(args.model), []
    for photo in load_labels(unstated=not args.without_unstated):
        image = read_photo(args.photos, photo) if photo.split == args.split else None
        if image is not None:
            found.append((photo, model(image)))
    for threshold in np.arange(0.2, 0.75, 0.05) if args.sweep else [args.score]:
        tally = Tally()
        for photo, one in found:
            count(tally, photo, one, float(threshold))
        if args.sweep:
            flat = [ok for name, oks in tally.main.items() if not name.startswith(" ") for ok in oks]
            alarms, extra = np.mean(tally.alarms), np.mean(tally.extra)
            print(f"{threshold:.2f} main {np.mean(flat):.3f} alarms {alarms:.3f} extra {extra:.3f}")
        else:
            print(table(tally, args.score, model.times))
            if args.sheets:
                sheet(args.sheets, tally.failures, args.photos)


if __name__ == "__main__":
    main()
